// The regular expressions of a tokenizer.json, which Rust's tokenizers give to Oniguruma, as those of JavaScript.
// @huggingface/tokenizers translates them. A pattern may take for ever on a short text, `(a+)+$` for one; known are those
// that do not.

import { errorMessage } from '../errors.js';
import { GGUF_PATTERNS } from './gguf-pre.js';
import type { JsonPart } from './json-part.js';

/** A longer one would take long to translate. Those of known models have some hundred characters. */
const LONGEST = 10_000;

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const MARKS_AND_SPACE = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const UPPER = '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';

/** Of Qwen 2 and 3. */
export const QWEN2_PATTERN = `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${MARKS_AND_SPACE}`;

/** They never look at a character more than a few times. */
const KNOWN: ReadonlySet<string> = new Set([
  ...GGUF_PATTERNS,
  // what a model of SentencePiece is normalized with
  ' {2,}',
  // GPT-2
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  // GPT-4 (cl100k) and Llama 3; Qwen 2 and 3
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${MARKS_AND_SPACE}`,
  QWEN2_PATTERN,
  // GPT-4o (o200k)
  `${UPPER}*${LOWER}+${CONTRACTIONS}?|${UPPER}+${LOWER}*${CONTRACTIONS}?|\\p{N}{1,3}|${MARKS_AND_SPACE.replace('[\\r\\n]*', '[\\r\\n/]*')}`,
]);

export interface Pattern {
  /** With the flags g and u. */
  readonly regex: RegExp;
  /** Its text, where it may take for ever; undefined: it is known that it does not. */
  readonly risky: string | undefined;
}

/** A pattern as a tokenizer.json writes it: `{"String": " "}` or `{"Regex": "\\s+"}`. @throws KvgenError */
export async function readPattern(json: JsonPart): Promise<Pattern> {
  const [plain, expression] = [json.at('String'), json.at('Regex')];
  const part = plain.missing ? expression : plain;
  const text = part.text();
  if (text === '' || text.length > LONGEST) {
    throw part.unsupported(`a pattern must have 1 … ${LONGEST} characters, found ${text.length}`);
  }
  if (part === plain) {
    return { regex: literal(text), risky: undefined };
  }
  return { regex: await translate(part, text), risky: KNOWN.has(text) ? undefined : text };
}

/** The pattern of a text that stands for itself. */
export function literal(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&'), 'gu');
}

/** The part of @huggingface/tokenizers that translates; its types cannot be reached from here. */
interface Library {
  readonly SplitPreTokenizer: new (json: object) => { readonly pattern: RegExp };
}

async function translate(part: JsonPart, text: string): Promise<RegExp> {
  const { SplitPreTokenizer } = (await import('@huggingface/tokenizers')) as unknown as Library;
  try {
    return new SplitPreTokenizer({ pattern: { Regex: text } }).pattern;
  } catch (error) {
    throw part.unsupported(`not a pattern that can be read (${errorMessage(error)})`);
  }
}
