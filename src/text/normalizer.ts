// What a tokenizer.json does to a text before it is split: Unicode's normal forms, lower case, replacements. Each is what
// Hugging Face's Rust tokenizers do; any other is refused by name. Knows nothing of tokens.

import type { JsonPart } from './json-part.js';
import { readPattern } from './pattern.js';
import { skipSpace, skipSpaceBack } from './white-space.js';

/** A longer one could make any text too large. */
const LONGEST_CONTENT = 1000;
/** Sequences within sequences, and what is in all of them. */
const DEEPEST = 16;
const MOST = 64;
/** How much longer a text may become. Unicode's normal forms make 18 characters of one. */
const GROWTH = 32;

/** Marks on one letter. Unicode's Stream-Safe Text Format has 30. */
const MOST_MARKS = 256;

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
  const normalize = (text: string) =>
    steps.reduce((changed, step) => {
      const next = step(changed);
      if (next.length > GROWTH * text.length + LONGEST_CONTENT) {
        throw json.unsupported(`it makes a text of ${text.length} characters one of ${next.length}`);
      }
      return next;
    }, text);
  return { normalize, risky };
}

/** The members of sequences, and of sequences in them, in their order; none for null. @throws KvgenError for too many */
export function flatten(json: JsonPart, members: string): JsonPart[] {
  const parts: JsonPart[] = [];
  const add = (part: JsonPart, depth: number): void => {
    if (part.missing) {
      return;
    }
    if (part.at('type').value !== 'Sequence') {
      parts.push(part);
    } else {
      const list = part.at(members).list(); // empty lists within each other take time, too
      if (depth === DEEPEST || list.length > MOST) {
        const limits = `more than ${DEEPEST} sequences within each other, or ${MOST} parts of one`;
        throw part.unsupported(`${limits}, are not supported`);
      }
      for (const one of list) {
        add(one, depth + 1);
      }
    }
    if (parts.length > MOST) {
      throw json.unsupported(`more than ${MOST} parts are not supported`);
    }
  };
  add(json, 0);
  return parts;
}

async function readStep(json: JsonPart, risky: string[]): Promise<Normalize> {
  const type = json.at('type').text();
  switch (type) {
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (text) => {
        checkMarks(json, text);
        return text.normalize(type);
      };
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

/** More of them in a row take the system's library quadratic time, in which nothing can stop it. @throws KvgenError */
function checkMarks(json: JsonPart, text: string): void {
  for (const [marks] of text.matchAll(/\p{M}+/gu)) {
    if (marks.length > MOST_MARKS) {
      const what = `a text with ${marks.length} marks on one letter, more than ${MOST_MARKS}, is not supported`;
      throw json.unsupported(what, 'remove them');
    }
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
