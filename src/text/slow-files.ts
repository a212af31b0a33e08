// The files that are older than tokenizer.json, and what makes of each what tokenizer.json would say. Which of them counts
// is decided by the class that the configuration names, and else by which are there. One more kind is one more row.

import { KvgenError } from '../errors.js';
import { fromGpt2Files } from './gpt2-files.js';
import { mainPath, type TokenizerFiles } from './tokenizer-files.js';
import type { Converter, TokenizerParts, TokenizerSettings } from './tokenizer-parts.js';

interface SlowFiles {
  /** Are the files there that it needs? */
  readonly has: (files: TokenizerFiles) => boolean;
  /** Whose they are, where nobody says. */
  readonly className: string;
  readonly convert: Converter;
}

const KINDS: readonly SlowFiles[] = [
  {
    has: ({ vocab, merges }) => vocab !== undefined && merges !== undefined,
    className: 'GPT2Tokenizer',
    convert: fromGpt2Files,
  },
];

/** undefined: nobody knows. */
export function classOfFiles(files: TokenizerFiles): string | undefined {
  return KINDS.find(({ has }) => has(files))?.className;
}

/** @throws KvgenError for files that are not computed, or damaged */
export function convertFiles(files: TokenizerFiles, settings: TokenizerSettings): TokenizerParts {
  const kind = KINDS.find(({ has }) => has(files));
  if (kind === undefined) {
    throw new KvgenError(`${mainPath(files)}: this kind of tokenizer is not supported; use a GPT-2-style model`);
  }
  return kind.convert(files, settings);
}
