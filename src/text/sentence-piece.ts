// A model of SentencePiece (spiece.model, tokenizer.model): its pieces, how it was trained, and how it normalizes. Read are
// the fields that decide what ids a text has. Knows nothing of tokenizers.
// Reference: google/sentencepiece src/sentencepiece_model.proto.

import { errorMessage, KvgenError, shown } from '../errors.js';
import { type Field, fieldsOf } from './protobuf.js';
import { MAX_IDS } from './token-ids.js';
import type { ByteFile } from './tokenizer-files.js';

/** What a piece is; others than these are normal. */
export const PIECE = { control: 3, userDefined: 4 } as const;

export interface Piece {
  readonly text: string;
  /** Finite. */
  readonly score: number;
  readonly type: number;
}

export interface SentencePieceModel {
  readonly pieces: readonly Piece[];
  readonly type: 'unigram' | 'bpe';
  readonly byteFallback: boolean;
  readonly unknownId: number;
  readonly unknownPiece: string;
  /** Empty: there is none. */
  readonly charsmap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

const TYPES = new Map([
  [1, 'unigram'],
  [2, 'bpe'],
  [3, 'word'],
  [4, 'char'],
]);

/** @throws KvgenError for what is none, or is of a type that is not computed */
export function readSentencePiece({ path, bytes }: ByteFile): SentencePieceModel {
  try {
    return modelOf(bytes);
  } catch (error) {
    if (error instanceof RangeError || !(error instanceof KvgenError)) {
      const problem = error instanceof RangeError ? 'it ends within a field' : errorMessage(error);
      throw new KvgenError(`${path}: no model of SentencePiece (${problem}); download the file again`);
    }
    throw new KvgenError(`${path}: ${error.message}`);
  }
}

function modelOf(bytes: Uint8Array): SentencePieceModel {
  const pieces: Piece[] = [];
  const trainer = new Map<number, Field['value']>();
  const normalizer = new Map<number, Field['value']>();
  for (const { number, value } of fieldsOf(bytes)) {
    if (number === 1) {
      pieces.push(pieceOf(asBytes(value), pieces.length));
    } else if (number === 2 || number === 3) {
      keep(number === 2 ? trainer : normalizer, asBytes(value));
    }
    if (pieces.length > MAX_IDS) {
      throw new Error(`more than ${MAX_IDS} pieces`);
    }
  }
  if (pieces.length === 0) {
    throw new Error('it has no pieces');
  }
  const number = (fields: typeof trainer, key: number, usual: number) => {
    const value = fields.get(key) ?? usual;
    return typeof value === 'number' ? value : Number.NaN;
  };
  const type = TYPES.get(number(trainer, 3, 1));
  if (type !== 'unigram' && type !== 'bpe') {
    const found = type ?? shown(trainer.get(3));
    throw new KvgenError(`a model of SentencePiece of the type ${found} is not supported; use a GPT-2-style model`);
  }
  return {
    pieces,
    type,
    byteFallback: number(trainer, 35, 0) !== 0,
    unknownId: number(trainer, 40, 0),
    unknownPiece: textOf(trainer.get(45) ?? '<unk>'),
    charsmap: asBytes(normalizer.get(2) ?? new Uint8Array()),
    addDummyPrefix: number(normalizer, 3, 1) !== 0,
    removeExtraWhitespaces: number(normalizer, 4, 1) !== 0,
    escapeWhitespaces: number(normalizer, 5, 1) !== 0,
  };
}

/** The last of a field counts. */
function keep(fields: Map<number, Field['value']>, message: Uint8Array): void {
  for (const { number, value } of fieldsOf(message)) {
    fields.set(number, value);
  }
}

function pieceOf(message: Uint8Array, id: number): Piece {
  const fields = new Map<number, Field['value']>();
  keep(fields, message);
  const bytes = asBytes(fields.get(2) ?? new Uint8Array(4));
  const score = bytes.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset, 4).getFloat32(0, true) : Number.NaN;
  if (!Number.isFinite(score)) {
    throw new Error(`the piece ${id} has no score that is a number`);
  }
  const type = fields.get(3) ?? 1;
  return { text: textOf(fields.get(1) ?? ''), score, type: typeof type === 'number' ? type : 1 };
}

function asBytes(value: Field['value']): Uint8Array {
  if (typeof value === 'number') {
    throw new Error('a number where bytes are expected');
  }
  return value;
}

function textOf(value: Field['value'] | string): string {
  return typeof value === 'string'
    ? value
    : new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(asBytes(value));
}
