// Tokens that stand for one byte, as SentencePiece writes them: <0x0A>. Knows nothing of words.

/** From a byte to its token. */
export const BYTE_TOKENS: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);

/** The ids of the bytes of a text; undefined: not all of them have a token. */
export function fallbackIds(text: string, ids: ReadonlyMap<string, number>): number[] | undefined {
  const bytes = Array.from(Buffer.from(text), (byte) => ids.get(BYTE_TOKENS[byte] as string));
  return bytes.includes(undefined) ? undefined : (bytes as number[]);
}

/** undefined: the token is none of a byte. As Rust reads a number: a sign may stand before it, and letters may be small. */
export function byteOf(token: string): number | undefined {
  const [, digits] = /^<0x([0-9a-fA-F]{2}|\+[0-9a-fA-F])>$/.exec(token) ?? [];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}
