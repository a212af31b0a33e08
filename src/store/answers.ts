// Saved answers: the whole text of a run, found again when everything that decides it is the same. The question lies
// in the file beside the answer and is compared; a CRC-32 guards both. Knows nothing of what makes up a question.

import { join } from 'node:path';
import { errorCode, errorMessage } from '../errors.js';
import type { Limits } from '../settings.js';
import { crc32 } from './crc32.js';
import { evict } from './eviction.js';
import { readWhole, removeFile, touch, writeWhole } from './files.js';
import { answerName } from './names.js';
import { recordUse } from './uses.js';

export interface AnswerMeta {
  readonly model: string;
  /** ISO 8601. */
  readonly created: string;
  readonly words: string;
  readonly tokens: number;
  /** What the run took, in milliseconds. */
  readonly ms: number;
}

export interface StoredAnswer {
  readonly question: string;
  readonly answer: unknown;
  readonly meta: AnswerMeta;
}

export interface AnswerStoreOptions {
  /** The private folder; undefined: nothing is stored yet and nothing will be. */
  readonly folder: string | undefined;
  readonly write: boolean;
  readonly limits: Limits;
  readonly onNote: (line: string) => void;
}

export class AnswerStore {
  readonly #options: AnswerStoreOptions;

  constructor(options: AnswerStoreOptions) {
    this.#options = options;
  }

  /** What was answered to exactly this question; undefined: nothing, or it is damaged. */
  find(question: string): unknown {
    const { folder, write, onNote } = this.#options;
    if (folder === undefined) {
      return undefined;
    }
    const path = join(folder, answerName(question));
    const bytes = readWhole(path);
    if (bytes === undefined) {
      return undefined;
    }
    const found = decodeAnswer(bytes);
    if (found?.question === question) {
      this.#used(path, found);
      return found.answer;
    }
    onNote(`${path}: damaged${write ? '; removed' : ''}`);
    if (write) {
      removeFile(path);
    }
    return undefined;
  }

  /** Never fails: an answer that cannot be kept costs the next run time. */
  keep(stored: StoredAnswer): void {
    const { folder, write, limits, onNote } = this.#options;
    if (folder === undefined || !write) {
      return;
    }
    try {
      writeWhole(folder, answerName(stored.question), encodeAnswer(stored));
      evict(folder, limits);
    } catch (error) {
      onNote(`the answer is not kept: ${folder}: ${errorCode(error) ?? errorMessage(error)}`);
    }
  }

  #used(path: string, { question, meta }: StoredAnswer): void {
    const { folder, write } = this.#options;
    if (write) {
      touch(path);
      recordUse(folder as string, answerName(question).slice(0, 32), meta.ms);
    }
  }
}

/** The CRC-32 of the rest in eight digits, then JSON. */
export function encodeAnswer(stored: StoredAnswer): Uint8Array {
  const json = Buffer.from(JSON.stringify(stored));
  return Buffer.concat([Buffer.from(digits(json)), json]);
}

/** undefined: not whole. */
export function decodeAnswer(bytes: Uint8Array): StoredAnswer | undefined {
  const json = Buffer.from(bytes.subarray(8));
  const found = Buffer.from(bytes.subarray(0, 8)).toString('latin1');
  return bytes.length > 8 && found === digits(json) ? (JSON.parse(json.toString()) as StoredAnswer) : undefined;
}

function digits(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0');
}
