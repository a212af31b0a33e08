// The files that are older than tokenizer.json, and what makes of each what tokenizer.json would say. Which of them counts
// is decided by the class that the configuration names, and else by which are there. One more kind is one more row.

import { KvgenError, shown } from '../errors.js';
import { BERT_CLASSES, fromBertFiles } from './bert-files.js';
import { fromGpt2Files, GPT2_CLASSES } from './gpt2-files.js';
import { fromSentencePiece, SENTENCE_PIECE_CLASSES } from './sentence-piece-files.js';
import { mainPath, type TokenizerFiles } from './tokenizer-files.js';
import type { Converter, TokenizerParts, TokenizerSettings } from './tokenizer-parts.js';

interface SlowFiles {
  /** Are the files there that it needs? */
  readonly has: (files: TokenizerFiles) => boolean;
  /** Whose they are, where nobody says; undefined: that cannot be known. */
  readonly className: string | undefined;
  /** Whose they may be: others have files of these names too, and read them in another way. */
  readonly classes: ReadonlySet<string>;
  readonly convert: Converter;
}

const KINDS: readonly SlowFiles[] = [
  {
    has: ({ vocab, merges }) => vocab !== undefined && merges !== undefined,
    className: 'GPT2Tokenizer',
    classes: GPT2_CLASSES,
    convert: fromGpt2Files,
  },
  {
    has: ({ pieces }) => pieces !== undefined,
    className: 'BertTokenizer',
    classes: BERT_CLASSES,
    convert: fromBertFiles,
  },
  {
    has: ({ sentencePiece }) => sentencePiece !== undefined,
    className: undefined,
    classes: SENTENCE_PIECE_CLASSES,
    convert: fromSentencePiece,
  },
];

/** undefined: nobody knows. */
export function classOfFiles(files: TokenizerFiles): string | undefined {
  return KINDS.find(({ has }) => has(files))?.className;
}

/** The usual class of a model, if it reads files that are there; else the one whose files they are. */
export function classForFiles(files: TokenizerFiles, usual: string | undefined): string | undefined {
  const fits = KINDS.some(({ has, classes }) => has(files) && classes.has(usual ?? ''));
  return fits && usual !== undefined ? usual : (classOfFiles(files) ?? usual);
}

/** @throws KvgenError for files that are not computed, or damaged */
export function convertFiles(files: TokenizerFiles, settings: TokenizerSettings): TokenizerParts {
  const { className, named = className } = settings;
  const there = KINDS.filter(({ has }) => has(files));
  const kind = there.find(({ classes }) => classes.has(named ?? '')) ?? there[0];
  if (kind === undefined) {
    throw new KvgenError(`${mainPath(files)}: this kind of tokenizer is not supported; use a GPT-2-style model`);
  }
  if (!kind.classes.has(named ?? '')) {
    throw unfitting(mainPath(files), named, kind.classes);
  }
  return kind.convert(files, settings);
}

function unfitting(path: string, name: string | undefined, classes: ReadonlySet<string>): KvgenError {
  const found =
    name === undefined ? 'no class is named that reads it' : `the class ${shown(name)} is not supported for it`;
  const known = [...classes].join(', ');
  const advice =
    name === undefined
      ? 'name one of them as tokenizer_class in tokenizer_config.json'
      : 'save it with transformers as tokenizer.json, if that class has one, or give --prompt-ids';
  return new KvgenError(`${path}: ${found}, only ${known}; ${advice}`);
}
