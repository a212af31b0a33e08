// What a file is read as, which decides how large it may be: far more than people have, and less than would fill the
// memory. Knows nothing of how files are opened.

import { getHeapStatistics } from 'node:v8';

export interface FileKind {
  /** What messages call it, such as `the prompt`. */
  readonly name: string;
  readonly maxBytes: number;
  /** What to do about one that is no such file. */
  readonly advice: string;
  /** What to do about one that is too large, where something can be done. */
  readonly remedy?: string;
}

const DOWNLOAD = 'download it again';
const NAME = 'name a file or a pipe';

/** config.json and all that is small in a model's folder. */
export const CONFIG: FileKind = { name: 'the configuration', maxBytes: 8e6, advice: DOWNLOAD };
/** Where the tensors of a model in several files are. */
export const INDEX: FileKind = { name: 'the index', maxBytes: 20e6, advice: DOWNLOAD };
export const TOKENIZER: FileKind = { name: 'the tokenizer', maxBytes: 128e6, advice: DOWNLOAD };
/** They are read a tensor at a time. */
export const WEIGHTS: FileKind = { name: 'the file', maxBytes: Number.POSITIVE_INFINITY, advice: DOWNLOAD };

/** Tokenizing takes up to 35 bytes of the heap for each byte of a text. */
const HEAP_PER_BYTE = 40;
const MORE_MEMORY = 'give a part of it, or more memory with NODE_OPTIONS=--max-old-space-size=16000';
const MAX_TEXT_BYTES = Math.min(256e6, Math.floor(getHeapStatistics().heap_size_limit / HEAP_PER_BYTE));

export const PROMPT: FileKind = { name: 'the prompt', maxBytes: MAX_TEXT_BYTES, advice: NAME, remedy: MORE_MEMORY };
/** A text to be scored. */
export const TEXT: FileKind = { name: 'the text', maxBytes: MAX_TEXT_BYTES, advice: NAME, remedy: MORE_MEMORY };
/** Of `kvgen score`, one a line. */
export const CHOICES: FileKind = { name: 'the list of choices', maxBytes: 16e6, advice: NAME };
/** A run that `kvgen view` has recorded, with what each head looked at. */
export const RECORD: FileKind = { name: 'the record of a run', maxBytes: 256e6, advice: NAME };
/** What is said in a chat, a turn a line. */
export const TURNS: FileKind = { name: 'the turns', maxBytes: Number.POSITIVE_INFINITY, advice: NAME };
/** JSON lines, which are read one at a time. */
export const ROWS: FileKind = { name: 'the rows', maxBytes: Number.POSITIVE_INFINITY, advice: NAME };
