// What a tokenizer is made from, whichever files it was in: what its tokenizer.json says, or would say, and what stands
// beside it. Knows nothing of files, nor of what the parts mean.

import type { JsonPart } from './json-part.js';
import type { SpecialTokens } from './special-tokens.js';
import type { TokenizerFiles } from './tokenizer-files.js';

/** The members of a tokenizer.json. */
export interface TokenizerParts {
  /** The file that errors name. */
  readonly path: string;
  /** `type` and the options of the model; its vocabulary and merges may be in other files. */
  readonly model: JsonPart;
  /** An object of tokens and ids, or what else the model has: a list of tokens and scores. */
  readonly vocab: JsonPart;
  readonly merges: JsonPart;
  /** A list; missing: none. */
  readonly added: JsonPart;
  readonly normalizer: JsonPart;
  readonly preTokenizer: JsonPart;
  readonly postProcessor: JsonPart;
  readonly decoder: JsonPart;
}

/** What the other files say. */
export interface TokenizerSettings {
  /** Such as `GPT2Tokenizer`, without `Fast`; undefined: no file names one. */
  readonly className: string | undefined;
  /** The class that a file names, without `Fast`; undefined: none does. */
  readonly named?: string | undefined;
  /** tokenizer_config.json; an empty object where there is none. */
  readonly config: JsonPart;
  /** What is named or added beside tokenizer.json. */
  readonly special: SpecialTokens;
  /** Is the text of a special token a text like any other? */
  readonly splitsSpecial: boolean;
}

/** Makes what tokenizer.json would say from older files, as transformers converts the slow tokenizer of a class. */
export type Converter = (files: TokenizerFiles, settings: TokenizerSettings) => TokenizerParts;
