// What a tokenizer.json says of how tokens become text again, checked: a list of steps. A decoder that is not computed is
// refused by name. `clean_up_tokenization_spaces`, with which transformers changes a text behind the decoder, is left out:
// the text is to be what the model goes on from. Knows nothing of ids, nor of how text arrives.
// Reference: huggingface/tokenizers src/decoders.

import { shown } from '../errors.js';
import type { JsonPart } from './json-part.js';
import { flatten } from './normalizer.js';
import { readPattern } from './pattern.js';
import { prependScheme } from './pre-tokenizer.js';

/** A step from token to token. */
export type TokenStep =
  | { readonly kind: 'replace'; readonly pattern: RegExp; readonly content: string }
  | { readonly kind: 'strip'; readonly content: string; readonly start: number; readonly stop: number }
  /** Spaces have another character in tokens; the one before the text is left out where `hidesFirst` says so. */
  | { readonly kind: 'metaspace'; readonly replacement: string; readonly hidesFirst: boolean }
  /** Tokens without the prefix begin a word. */
  | { readonly kind: 'wordPiece'; readonly prefix: string; readonly cleansUp: boolean }
  /** Tokens with the suffix end a word. */
  | { readonly kind: 'wordEnds'; readonly suffix: string }
  /** A space between any two tokens. */
  | { readonly kind: 'spaces' }
  /** Tokens such as <0x0A> are bytes; those of a row are characters together, or else each is U+FFFD. */
  | { readonly kind: 'bytes' };

/** A step over the text that the tokens are together. */
export type TextStep =
  | { readonly kind: 'replaceText'; readonly pattern: string; readonly content: string }
  | Extract<TokenStep, { readonly kind: 'strip' }>;

/** What tokens are, one behind the other. */
export interface Decoding {
  readonly tokens: readonly TokenStep[];
  readonly text: readonly TextStep[];
}

/** What decoders put in or take away has few characters; this bounds what a token can become. */
const LONGEST = 100;

/**
 * @param writesBytes are words written as BYTE_CHARACTERS?
 * @returns undefined: tokens are bytes, one behind the other
 * @throws KvgenError that names a decoder which is not computed
 */
export async function readDecoder(json: JsonPart, writesBytes: boolean): Promise<Decoding | undefined> {
  const parts = flatten(json, 'decoders');
  const types = parts.map((part) => part.at('type').text());
  if (types.includes('ByteLevel') || (parts.length === 0 && writesBytes)) {
    checkBytesAlone(parts);
    return undefined;
  }
  const tokens: TokenStep[] = parts.length === 0 ? [{ kind: 'spaces' }] : [];
  const text: TextStep[] = [];
  const fused = types.indexOf('Fuse');
  for (const [i, part] of parts.entries()) {
    if (fused < 0 || i < fused) {
      tokens.push(await readTokenStep(part));
    } else if (types[i] !== 'Fuse') {
      text.push(readTextStep(part));
    }
  }
  return { tokens, text };
}

function checkBytesAlone(parts: readonly JsonPart[]): void {
  for (const part of parts) {
    const type = part.at('type').text();
    if (type !== 'ByteLevel' && type !== 'Fuse') {
      throw part.unsupported(`the decoder ${shown(type)} beside ByteLevel is not supported`);
    }
  }
}

async function readTokenStep(json: JsonPart): Promise<TokenStep> {
  const type = json.at('type').text();
  switch (type) {
    case 'BPEDecoder': {
      const suffix = json.at('suffix');
      return { kind: 'wordEnds', suffix: suffix.missing ? '</w>' : short(suffix) };
    }
    case 'ByteFallback':
      return { kind: 'bytes' };
    case 'Metaspace': {
      const replacement = short(json.at('replacement'));
      return { kind: 'metaspace', replacement, hidesFirst: prependScheme(json) !== 'never' };
    }
    case 'Replace': {
      const { regex, risky } = await readPattern(json.at('pattern'));
      if (risky !== undefined) {
        throw json.unsupported(`a decoder with the pattern ${shown(risky)} is not supported`);
      }
      return { kind: 'replace', pattern: regex, content: short(json.at('content')) };
    }
    case 'Strip':
      return readStrip(json);
    case 'WordPiece': {
      const prefix = json.at('prefix');
      const cleansUp = json.at('cleanup').flag(true);
      return { kind: 'wordPiece', prefix: prefix.missing ? '##' : short(prefix), cleansUp };
    }
    default:
      throw json.unsupported(`the decoder ${shown(type)} is not supported`);
  }
}

/** Behind Fuse there is one text, in which each step holds back as little as it can. */
function readTextStep(json: JsonPart): TextStep {
  const type = json.at('type').text();
  if (type === 'Strip') {
    return readStrip(json);
  }
  const pattern = type === 'Replace' ? json.at('pattern').at('String') : undefined;
  if (pattern === undefined || pattern.missing || pattern.value === '') {
    throw json.unsupported(`the decoder ${shown(type)} behind Fuse is not supported`);
  }
  return { kind: 'replaceText', pattern: short(pattern), content: short(json.at('content')) };
}

function short(part: JsonPart): string {
  const text = part.text();
  if (text.length > LONGEST) {
    throw part.unsupported(`${text.length} characters, more than ${LONGEST}, are not supported`);
  }
  return text;
}

function readStrip(json: JsonPart): Extract<TokenStep, { kind: 'strip' }> {
  const content = json.at('content').text();
  const [start, stop] = ['start', 'stop'].map((key) => {
    const { value } = json.at(key);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw json.at(key).wrong('a number of characters');
    }
    return value;
  }) as [number, number];
  if (Array.from(content).length !== 1) {
    throw json.at('content').wrong('one character');
  }
  return { kind: 'strip', content, start, stop };
}
