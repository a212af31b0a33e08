// SentencePiece's precompiled map of characters: a trie from bytes to places in a text of replacements. It is applied to each
// grapheme of fewer than 6 bytes, whose first bytes may decide for all of it, and else to each character: so do Hugging
// Face's Rust tokenizers. Knows nothing of files.
// References: google/sentencepiece src/normalizer.cc; the crate spm_precompiled; Yata et al., darts-clone.

/** A map is at most so large. Those of known models have 240 kB. */
const LARGEST = 2 ** 24;
/** A replacement is at most so long. */
const LONGEST_REPLACEMENT = 1000;
/** A grapheme with as many bytes is taken apart. */
const BYTES_TAKEN_APART = 6;
const MAX_KEPT = 20_000;
/** UTF-16 units that are segmented at once. */
const PORTION = 256;

/** Characters that may belong to the grapheme before or behind them. */
const JOINING =
  '\\p{M}\\p{Cf}\\p{Regional_Indicator}\\p{Emoji_Modifier}\\r\\n\\u0d4e\\u0e33\\u0eb3\\u1100-\\u11ff\\ua960-\\ua97f\\uac00-\\ud7ff\\uff9e\\uff9f\\u{111c2}-\\u{111c3}\\u{1193f}-\\u{11941}\\u{11a3a}-\\u{11a89}\\u{11d46}\\u{11f02}';
/** Stretches with such characters; between them each character is a grapheme. */
const STRETCHES = new RegExp(`(?:[^${JOINING}]?[${JOINING}]+)+[^${JOINING}]?`, 'gu');

export class Charsmap {
  readonly #units: DataView;
  /** The replacements, each ended by a byte 0. */
  readonly #texts: Uint8Array;
  readonly #segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
  readonly #known = new Map<string, string | undefined>();

  /** @throws Error that says what is wrong */
  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = bytes.length < 4 ? 0 : view.getUint32(0, true);
    if (length < 4 || length % 4 !== 0 || length > bytes.length - 4 || bytes.length > LARGEST) {
      throw new Error(`expected at most ${LARGEST} bytes, the first the size of a trie, found ${bytes.length} bytes`);
    }
    this.#units = new DataView(bytes.buffer, bytes.byteOffset + 4, length);
    this.#texts = bytes.subarray(4 + length);
  }

  /** @throws Error where the map points outside of itself */
  normalize(text: string): string {
    const parts: string[] = [];
    for (const grapheme of this.#graphemes(text)) {
      const isShort = Buffer.byteLength(grapheme) < BYTES_TAKEN_APART;
      const whole = isShort ? this.#replacement(grapheme) : undefined;
      if (whole !== undefined) {
        parts.push(whole);
      } else {
        for (const character of grapheme) {
          parts.push(this.#replacement(character) ?? character);
        }
      }
    }
    return parts.join('');
  }

  *#graphemes(text: string): Generator<string, void> {
    let done = 0;
    for (const { 0: stretch, index } of text.matchAll(STRETCHES)) {
      yield* text.slice(done, index);
      yield* this.#clusters(stretch);
      done = index + stretch.length;
    }
    yield* text.slice(done);
  }

  /** In portions, since to segment a long text takes quadratic time. Each begins where a grapheme does. */
  *#clusters(stretch: string): Generator<string, void> {
    let size = PORTION;
    for (let at = 0; at < stretch.length; ) {
      const isWhole = (stretch.codePointAt(at + size - 1) ?? 0) <= 0xffff;
      const part = stretch.slice(at, at + size + (isWhole ? 0 : 1));
      const segments = Array.from(this.#segmenter.segment(part), ({ segment }) => segment);
      const last = at + part.length < stretch.length ? (segments.pop() as string) : ''; // it may go on
      at += part.length - last.length;
      size = segments.length === 0 ? 2 * size : PORTION;
      yield* segments;
    }
  }

  #replacement(chunk: string): string | undefined {
    if (!this.#known.has(chunk)) {
      if (this.#known.size >= MAX_KEPT) {
        this.#known.clear();
      }
      this.#known.set(chunk, this.#find(chunk));
    }
    return this.#known.get(chunk);
  }

  /** The replacement of the shortest beginning that has one. */
  #find(chunk: string): string | undefined {
    let node = offsetOf(this.#unit(0));
    for (const byte of Buffer.from(chunk)) {
      node ^= byte;
      const unit = this.#unit(node);
      if (byte === 0 || (unit & 0x800000ff) >>> 0 !== byte) {
        return undefined;
      }
      node ^= offsetOf(unit);
      if (((unit >>> 8) & 1) === 1) {
        return this.#textAt(this.#unit(node) & 0x7fffffff);
      }
    }
    return undefined;
  }

  #unit(node: number): number {
    const at = 4 * (node >>> 0);
    if (at >= this.#units.byteLength) {
      throw new Error('its map of characters points outside of its trie');
    }
    return this.#units.getUint32(at, true);
  }

  #textAt(start: number): string {
    const end = this.#texts.subarray(0, start + LONGEST_REPLACEMENT + 1).indexOf(0, start);
    const stop = end < 0 ? this.#texts.length : end;
    if (start > this.#texts.length || stop - start > LONGEST_REPLACEMENT) {
      throw new Error('its map of characters points outside of its replacements');
    }
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.#texts.subarray(start, stop));
  }
}

/** From a node of a double array to where its children are, before their byte is added. */
function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
