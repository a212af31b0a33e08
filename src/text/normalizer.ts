// What a tokenizer.json does to a text before it is split: Unicode's normal forms, lower case, replacements. Each is what
// Hugging Face's Rust tokenizers do; any other is refused by name. Knows nothing of tokens.

import type { JsonPart } from './json-part.js';
import { readPattern } from './pattern.js';
import { skipSpace, skipSpaceBack } from './white-space.js';

/** A longer one could make any text too large. */
const LONGEST_CONTENT = 1000;
/** Sequences within sequences. */
const DEEPEST = 16;

export type Normalize = (text: string) => string;

export interface Normalizer {
  readonly normalize: Normalize;
  /** Patterns that may take for ever. */
  readonly risky: readonly string[];
}

/** @throws KvgenError that names what is not done */
export async function readNormalizer(json: JsonPart): Promise<Normalizer> {
  const steps: Normalize[] = [];
  const risky: string[] = [];
  for (const part of flatten(json, 'normalizers')) {
    steps.push(await readStep(part, risky));
  }
  return { normalize: (text) => steps.reduce((changed, step) => step(changed), text), risky };
}

/** The members of sequences, and of sequences in them, in their order; none for null. */
export function* flatten(json: JsonPart, members: string, depth = 0): Generator<JsonPart, void> {
  if (json.missing) {
    return;
  }
  if (json.at('type').value !== 'Sequence') {
    yield json;
    return;
  }
  if (depth === DEEPEST) {
    throw json.unsupported(`more than ${DEEPEST} sequences within each other are not supported`);
  }
  for (const part of json.at(members).list()) {
    yield* flatten(part, members, depth + 1);
  }
}

async function readStep(json: JsonPart, risky: string[]): Promise<Normalize> {
  const type = json.at('type').text();
  switch (type) {
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (text) => text.normalize(type);
    case 'Lowercase': // each character alone: toLowerCase of a word would write a Greek final sigma
      return (text) => Array.from(text, (character) => character.toLowerCase()).join('');
    case 'StripAccents':
      return (text) => text.replace(/\p{M}/gu, '');
    case 'Strip':
      return strip(json.at('strip_left').flag(false), json.at('strip_right').flag(false));
    case 'Prepend': {
      const prefix = content(json.at('prepend'));
      return (text) => (text === '' ? '' : prefix + text);
    }
    case 'Replace': {
      const pattern = await readPattern(json.at('pattern'));
      const replacement = content(json.at('content'));
      risky.push(...(pattern.risky === undefined ? [] : [pattern.risky]));
      return (text) => text.replace(pattern.regex, () => replacement);
    }
    default:
      throw json.unsupported(`the normalizer ${type} is not supported`);
  }
}

function strip(left: boolean, right: boolean): Normalize {
  return (text) => {
    const start = left ? skipSpace(text, 0) : 0;
    return text.slice(start, right ? Math.max(start, skipSpaceBack(text, text.length)) : text.length);
  };
}

function content(part: JsonPart): string {
  const text = part.text();
  if (text.length > LONGEST_CONTENT) {
    throw part.unsupported(
      `a replacement of ${text.length} characters, more than ${LONGEST_CONTENT}, is not supported`,
    );
  }
  return text;
}
