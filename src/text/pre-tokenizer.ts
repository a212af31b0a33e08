// How a tokenizer.json splits a text into the words that become ids, each by itself, and how byte-level BPE writes their
// bytes: each as one printable character. Each step is what Hugging Face's Rust tokenizers do; any other is refused by
// name. Words come one at a time, so that a long text is never there twice.
// References: huggingface/tokenizers src/pre_tokenizers; `bytes_to_unicode` of openai/gpt-2 src/encoder.py.

import { shown } from '../errors.js';
import type { JsonPart } from './json-part.js';
import { flatten } from './normalizer.js';
import { literal, readPattern } from './pattern.js';
import { asUnicode16, PUNCTUATION_MARK, WORDS_AND_MARKS } from './unicode-classes.js';

/** One step: the pieces of a piece; empty ones do not count. */
type Split = (piece: string, isFirst: boolean) => Iterable<string>;

export interface PreTokenizer {
  /** @param isFirst is it where the text begins, with nothing before it? */
  words(text: string, isFirst: boolean): Iterable<string>;
  /** Does it matter whether a piece is the first? */
  readonly minds: boolean;
  /** Are words written as BYTE_CHARACTERS? */
  readonly writesBytes: boolean;
  /** Patterns that may take for ever. */
  readonly risky: readonly string[];
}

interface Step {
  readonly split: Split;
  readonly minds?: boolean;
  readonly risky?: string | undefined;
}

/** What becomes of the matches of a pattern. */
const BEHAVIORS = ['Isolated', 'Removed', 'Contiguous', 'MergedWithPrevious', 'MergedWithNext'] as const;
type Behavior = (typeof BEHAVIORS)[number];

// GPT-2's pattern, with Unicode's White_Space in place of \s, as Rust has it: the \s of JavaScript also has U+FEFF, and lacks
// U+0085.
const GPT2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const WHITE_SPACE = /\p{White_Space}/gu;

/** @throws KvgenError that names what is not done */
export async function readPreTokenizer(json: JsonPart): Promise<PreTokenizer> {
  const parts = flatten(json, 'pretokenizers');
  const steps: Step[] = [];
  for (const part of parts) {
    const step = await readStep(part);
    if (step.minds && steps.length > 0) {
      // where the text begins would be a matter of single characters
      throw part.unsupported('prepend_scheme "first" behind another pre-tokenizer is not supported');
    }
    steps.push(step);
  }
  return {
    words: (text, isFirst) =>
      steps.reduce<Iterable<string>>((pieces, { split }) => inTurn(pieces, split, isFirst), [text]),
    minds: steps.some(({ minds }) => minds),
    writesBytes: parts.some((part) => part.at('type').value === 'ByteLevel'),
    risky: steps.flatMap(({ risky }) => risky ?? []),
  };
}

function* inTurn(pieces: Iterable<string>, split: Split, isFirst: boolean): Generator<string, void> {
  for (const piece of pieces) {
    for (const part of split(piece, isFirst)) {
      if (part !== '') {
        yield part;
      }
    }
  }
}

async function readStep(json: JsonPart): Promise<Step> {
  const type = json.at('type').text();
  switch (type) {
    case 'ByteLevel':
      return { split: byteLevel(json.at('add_prefix_space').flag(false), json.at('use_regex').flag(true)) };
    case 'BertPreTokenizer': {
      const [words, marks] = [by(WHITE_SPACE, 'Removed'), by(PUNCTUATION_MARK, 'Isolated')];
      return { split: (piece, isFirst) => inTurn(words(piece, isFirst), marks, isFirst) };
    }
    case 'CharDelimiterSplit':
      return { split: by(literal(character(json.at('delimiter'))), 'Removed') };
    case 'Digits':
      return { split: by(/\p{N}/gu, json.at('individual_digits').flag(false) ? 'Isolated' : 'Contiguous') };
    case 'Metaspace':
      return metaspace(json);
    case 'Punctuation':
      return { split: by(PUNCTUATION_MARK, behavior(json.at('behavior'))) };
    case 'Split': {
      const { regex, risky } = await readPattern(json.at('pattern'));
      const invert = json.at('invert').flag(false);
      return { split: by(regex, behavior(json.at('behavior')), { invert, see: asUnicode16 }), risky };
    }
    case 'Whitespace':
      return { split: by(WORDS_AND_MARKS, 'Removed', { invert: true }) };
    case 'WhitespaceSplit':
      return { split: by(WHITE_SPACE, 'Removed') };
    default:
      throw json.unsupported(`the pre-tokenizer ${type} is not supported`);
  }
}

function behavior(part: JsonPart): Behavior {
  const { value = 'Isolated' } = part;
  const found = BEHAVIORS.find((name) => name === value);
  if (found === undefined) {
    throw part.unsupported(`${shown(value)} is not supported, only ${BEHAVIORS.join(', ')}`);
  }
  return found;
}

function character(part: JsonPart): string {
  const text = part.text();
  if (Array.from(text).length !== 1) {
    throw part.wrong('one character');
  }
  return text;
}

/** SentencePiece's way: spaces are a character of words, and one is put before the text. */
function metaspace(json: JsonPart): Step {
  const replacement = character(json.at('replacement'));
  const scheme = prependScheme(json);
  const splits = json.at('split').flag(true);
  const split = by(literal(replacement), 'MergedWithNext');
  return {
    minds: scheme === 'first',
    split: (piece, isFirst) => {
      const text = piece.replaceAll(' ', replacement);
      const isPrepended = (scheme === 'always' || (scheme === 'first' && isFirst)) && !text.startsWith(replacement);
      const whole = isPrepended ? replacement + text : text;
      return splits ? split(whole, isFirst) : [whole];
    },
  };
}

/** Where a space is put before the text. Older files have `add_prefix_space` alone. */
export function prependScheme(json: JsonPart): 'always' | 'first' | 'never' {
  const part = json.at('prepend_scheme');
  const isOff = !json.at('add_prefix_space').flag(true);
  const scheme = part.missing ? 'always' : part.text();
  if (scheme !== 'always' && scheme !== 'first' && scheme !== 'never') {
    throw part.unsupported(`${shown(scheme)} is not supported, only always, first and never`);
  }
  return isOff ? 'never' : scheme;
}

interface Search {
  /** What lies between the matches is meant. */
  readonly invert?: boolean;
  /** What is searched in place of the text; it is as long. */
  readonly see?: (text: string) => string;
}

function by(regex: RegExp, kept: Behavior, search: Search = {}): Split {
  const join = JOINS[kept];
  return (piece) => join(matches(regex, piece, search));
}

/** A part of a piece. */
interface Part {
  readonly text: string;
  readonly isMatch: boolean;
}

const JOINS: Readonly<Record<Behavior, (parts: Iterable<Part>) => Iterable<string>>> = {
  *Isolated(parts) {
    for (const { text } of parts) {
      yield text;
    }
  },
  *Removed(parts) {
    for (const { text, isMatch } of parts) {
      yield isMatch ? '' : text;
    }
  },
  Contiguous: (parts) => joined(parts, (part, next) => part.isMatch === next.isMatch),
  MergedWithPrevious: (parts) => joined(parts, (part, next) => next.isMatch && !part.isMatch),
  MergedWithNext: (parts) => joined(parts, (part, next) => part.isMatch && !next.isMatch),
};

/** Neighbours that belong together become one. */
function* joined(parts: Iterable<Part>, together: (part: Part, next: Part) => boolean): Generator<string, void> {
  let last: Part | undefined;
  let text = '';
  for (const part of parts) {
    if (last !== undefined && !together(last, part)) {
      yield text;
      text = '';
    }
    text += part.text;
    last = part;
  }
  yield text;
}

/** All of a text in parts. As matchAll, which would compile the pattern anew for every piece. */
function* matches(regex: RegExp, text: string, { invert = false, see }: Search): Generator<Part, void> {
  const seen = see?.(text) ?? text;
  let end = 0;
  let next = 0;
  for (;;) {
    regex.lastIndex = next; // another text may have been searched since
    const found = regex.exec(seen);
    if (found === null) {
      break;
    }
    const { index } = found;
    const match = text.slice(index, index + found[0].length);
    if (index > end) {
      yield { text: text.slice(end, index), isMatch: invert };
    }
    yield { text: match, isMatch: !invert };
    end = index + match.length;
    next = match === '' ? end + String.fromCodePoint(text.codePointAt(end) ?? 0).length : end;
  }
  if (end < text.length) {
    yield { text: text.slice(end), isMatch: invert };
  }
}

function byteLevel(addsSpace: boolean, usesPattern: boolean): Split {
  const split: Split = usesPattern ? by(GPT2, 'Isolated', { see: asUnicode16 }) : (piece) => [piece];
  return function* words(piece, isFirst) {
    for (const word of split(addsSpace && !piece.startsWith(' ') ? ` ${piece}` : piece, isFirst)) {
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
