// How log-probabilities name tokens. Knows nothing of their numbers.

import type { TokenTexts } from '../text/detokenizer.js';

export interface TokenNames {
  readonly tokenizer: TokenTexts | null;
  /** By their ids, as vLLM does it on request: two tokens may have the same text. */
  readonly namesIds: boolean;
}

/** The token's text; its bytes, as OpenAI writes them, where these are no whole characters. */
export function tokenName({ tokenizer, namesIds }: TokenNames, id: number): string {
  if (namesIds || tokenizer === null) {
    return `token_id:${id}`;
  }
  const bytes = tokenizer.bytes(id);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}

export function tokenBytes({ tokenizer }: TokenNames, id: number): number[] {
  return [...(tokenizer?.bytes(id) ?? [])];
}
