// What a tokenizer.json does to a text before it is split: Unicode's normal forms, lower case, replacements. Each is what
// Hugging Face's Rust tokenizers do; any other is refused by name. Knows nothing of tokens.

import { errorMessage } from '../errors.js';
import { type BertOptions, bertNormalize, bertTrims, lowercase } from './bert-normalizer.js';
import { Charsmap } from './charsmap.js';
import type { JsonPart } from './json-part.js';
import { readPattern } from './pattern.js';
import { IS_MARK, normalizeUnicode } from './unicode-classes.js';
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
  /** Does what is left of a text begin behind its first character? */
  readonly trims: (text: string) => boolean;
  /** Patterns that may take for ever. */
  readonly risky: readonly string[];
}

interface Step {
  readonly apply: Normalize;
  readonly trims?: (text: string) => boolean;
  readonly risky?: string | undefined;
}

/** @throws KvgenError that names what is not done */
export async function readNormalizer(json: JsonPart): Promise<Normalizer> {
  const steps: Step[] = [];
  for (const part of flatten(json, 'normalizers')) {
    steps.push(await readStep(part));
  }
  const run = (text: string, before: (step: Step, text: string) => void = () => {}) =>
    steps.reduce((changed, step) => {
      before(step, changed);
      const next = step.apply(changed);
      if (next.length > GROWTH * text.length + LONGEST_CONTENT) {
        throw json.unsupported(`it makes a text of ${text.length} characters one of ${next.length}`);
      }
      return next;
    }, text);
  return {
    normalize: (text) => run(text),
    trims: (text) => {
      let trimmed = false;
      run(text, (step, changed) => {
        trimmed ||= step.trims?.(changed) ?? false;
      });
      return trimmed;
    },
    risky: steps.flatMap(({ risky }) => risky ?? []),
  };
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

async function readStep(json: JsonPart): Promise<Step> {
  const type = json.at('type').text();
  switch (type) {
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return {
        apply: (text) => {
          checkMarks(json, text);
          return normalizeUnicode(text, type);
        },
      };
    case 'BertNormalizer':
      return bert(json);
    case 'Lowercase':
      return { apply: lowercase };
    case 'Nmt':
      return NMT;
    case 'Precompiled':
      return precompiled(json.at('precompiled_charsmap'));
    case 'StripAccents':
      return { apply: (text) => text.replace(IS_MARK, ''), trims: (text) => text.search(IS_MARK) === 0 };
    case 'Strip':
      return strip(json.at('strip_left').flag(false), json.at('strip_right').flag(false));
    case 'Prepend': {
      const prefix = content(json.at('prepend'));
      return { apply: (text) => (text === '' ? '' : prefix + text) };
    }
    case 'Replace':
      return replace(json);
    default:
      throw json.unsupported(`the normalizer ${type} is not supported`);
  }
}

function bert(json: JsonPart): Step {
  const isLower = json.at('lowercase').flag(true);
  const options: BertOptions = {
    cleanText: json.at('clean_text').flag(true),
    handleChinese: json.at('handle_chinese_chars').flag(true),
    stripAccents: json.at('strip_accents').flag(isLower),
    lowercase: isLower,
  };
  return {
    apply: (text) => {
      if (options.stripAccents) {
        checkMarks(json, text);
      }
      return bertNormalize(text, options);
    },
    trims: (text) => bertTrims(text, options),
  };
}

/** What SentencePiece's `nmt` maps do, of which the characters are few. */
const NMT_CONTROLS = '\\u0001-\\u0008\\u000b\\u000e-\\u001f\\u007f\\u008f\\u009f';
const NMT_REMOVED = new RegExp(`[${NMT_CONTROLS}]`, 'gu');
const NMT_SPACE = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/gu;
const NMT: Step = {
  apply: (text) => text.replace(NMT_REMOVED, '').replace(NMT_SPACE, ' '),
  trims: (text) => text.search(NMT_REMOVED) === 0,
};

function precompiled(json: JsonPart): Step {
  let charsmap: Charsmap;
  try {
    charsmap = new Charsmap(Buffer.from(json.text(), 'base64'));
  } catch (error) {
    throw json.broken(errorMessage(error));
  }
  return { apply: (text) => charsmap.normalize(text) };
}

async function replace(json: JsonPart): Promise<Step> {
  const { regex, risky } = await readPattern(json.at('pattern'));
  const replacement = content(json.at('content'));
  return {
    apply: (text) => text.replace(regex, () => replacement),
    trims: (text) => {
      regex.lastIndex = 0;
      const found = regex.exec(text);
      return found?.index === 0 && (replacement === '' || Array.from(found[0]).length > 1);
    },
    risky,
  };
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

function strip(left: boolean, right: boolean): Step {
  return {
    apply: (text) => {
      const start = left ? skipSpace(text, 0) : 0;
      return text.slice(start, right ? Math.max(start, skipSpaceBack(text, text.length)) : text.length);
    },
    trims: (text) => left && skipSpace(text, 0) > 0,
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
