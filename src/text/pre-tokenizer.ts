// How a tokenizer.json splits a text into the words that are merged, each within itself, and how byte-level BPE writes
// their bytes: each as one printable character. Each step is what Hugging Face's Rust tokenizers do; any other is refused
// by name. Words come one at a time, so that a long text is never there twice.
// Reference: `bytes_to_unicode` of openai/gpt-2 src/encoder.py.

import { shown } from '../errors.js';
import type { JsonPart } from './json-part.js';
import { flatten } from './normalizer.js';
import { readPattern } from './pattern.js';

/** One step: the pieces of a piece. */
type Split = (piece: string) => Iterable<string>;

export interface PreTokenizer {
  /** @param atStart is it the beginning of the whole text? */
  words(text: string, atStart: boolean): Iterable<string>;
  /** Patterns that may take for ever. */
  readonly risky: readonly string[];
}

/** What of a piece a pattern leaves: all of it in parts, what the pattern matches, or what is between. */
type Kept = 'all' | 'matches' | 'rest';

// GPT-2's pattern, with Unicode's White_Space in place of \s, as Rust has it: the \s of JavaScript also has U+FEFF, and lacks
// U+0085.
const GPT2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const PUNCTUATION = '[\\p{P}!-\\/:-@\\[-`\\{-~]';

/** @throws KvgenError that names what is not done, or that the text does not become bytes */
export async function readPreTokenizer(json: JsonPart): Promise<PreTokenizer> {
  const parts = flatten(json, 'pretokenizers');
  const types = parts.map((part) => part.at('type').text());
  if (types.filter((type) => type === 'ByteLevel').length !== 1) {
    const found = types.length === 0 ? 'no pre-tokenizer' : `pre-tokenizer ${types.join(', ')}`;
    throw json.unsupported(`expected a byte-level BPE tokenizer, got BPE with ${found}`);
  }
  const steps: Split[] = [];
  const risky: string[] = [];
  for (const part of parts) {
    steps.push(await readStep(part, risky));
  }
  return { words: (text) => steps.reduce(inTurn, [text]), risky };
}

function* inTurn(pieces: Iterable<string>, split: Split): Generator<string, void> {
  for (const piece of pieces) {
    yield* split(piece);
  }
}

async function readStep(json: JsonPart, risky: string[]): Promise<Split> {
  const type = json.at('type').text();
  switch (type) {
    case 'ByteLevel':
      return byteLevel(json.at('add_prefix_space').flag(false), json.at('use_regex').flag(true));
    case 'Digits':
      return by(json.at('individual_digits').flag(false) ? /\p{N}/gu : /\p{N}+/gu, 'all');
    case 'Punctuation': {
      const isContiguous = behavior(json, ['Isolated', 'Contiguous']) === 'Contiguous';
      return by(new RegExp(isContiguous ? `${PUNCTUATION}+` : PUNCTUATION, 'gu'), 'all');
    }
    case 'Split': {
      const { regex, risky: slow } = await readPattern(json.at('pattern'));
      risky.push(...(slow === undefined ? [] : [slow]));
      const inverted = json.at('invert').flag(false);
      const isRemoved = behavior(json, ['Isolated', 'Removed']) === 'Removed';
      return by(regex, isRemoved ? (inverted ? 'matches' : 'rest') : 'all');
    }
    default:
      throw json.unsupported(`the pre-tokenizer ${type} is not supported`);
  }
}

/** What becomes of the matches; the first that is supported is the default. */
function behavior(json: JsonPart, supported: readonly string[]): unknown {
  const { value = supported[0] } = json.at('behavior');
  if (!supported.some((name) => name === value)) {
    throw json.unsupported(`behavior ${shown(value)} is not supported, only ${supported.join(' and ')}`);
  }
  return value;
}

function by(regex: RegExp, kept: Kept): Split {
  return function* split(piece) {
    let end = 0;
    for (const { index, match } of matches(regex, piece)) {
      if (kept !== 'matches' && index > end) {
        yield piece.slice(end, index);
      }
      if (kept !== 'rest' && match !== '') {
        yield match;
      }
      end = index + match.length;
    }
    if (kept !== 'matches' && end < piece.length) {
      yield piece.slice(end);
    }
  };
}

/** As matchAll, which would compile the pattern anew for every piece. */
function* matches(regex: RegExp, text: string) {
  regex.lastIndex = 0;
  for (let found = regex.exec(text); found !== null; found = regex.exec(text)) {
    const { index, 0: match } = found;
    const next = match === '' ? index + String.fromCodePoint(text.codePointAt(index) ?? 0).length : regex.lastIndex;
    yield { index, match };
    regex.lastIndex = next; // another text may have been searched since
  }
}

function byteLevel(addsSpace: boolean, usesPattern: boolean): Split {
  const split = usesPattern ? by(GPT2, 'all') : (piece: string) => [piece];
  return function* words(piece) {
    for (const word of split(addsSpace && !piece.startsWith(' ') ? ` ${piece}` : piece)) {
      yield toByteCharacters(word);
    }
  };
}

/** The characters, in the order of the bytes that they stand for. */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

function byteCharacters(): string[] {
  let unprintable = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(isPrintable ? byte : 256 + unprintable++);
  });
}

function toByteCharacters(word: string): string {
  let characters = '';
  for (const byte of Buffer.from(word)) {
    characters += BYTE_CHARACTERS[byte];
  }
  return characters;
}
