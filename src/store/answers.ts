// Saved answers: the whole text of a run, found again when everything that decides it is the same. The file holds the
// question too, which is compared, and a CRC-32 of both. Knows nothing of what a question is made of.

import { join } from 'node:path';
import { errorCode, errorMessage } from '../errors.js';
import { crcDigits } from './crc32.js';
import { evict } from './eviction.js';
import { readWhole, removeFile, touch, writeWhole } from './files.js';
import type { StoreOptions } from './location.js';
import { answerName } from './names.js';
import { recordUse } from './uses.js';

export interface StoredAnswer {
  readonly question: string;
  readonly answer: unknown;
  readonly meta: {
    readonly model: string;
    /** ISO 8601. */
    readonly created: string;
    /** The first words of the prompt. */
    readonly words: string;
    readonly tokens: number;
    /** How long the run took, in milliseconds. */
    readonly ms: number;
  };
}

export class AnswerStore {
  readonly #options: StoreOptions;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** The answer to exactly this question; undefined if there is none, or if it is damaged. */
  find(question: string): unknown {
    const { folder, write, onNote } = this.#options;
    if (folder === undefined) {
      return undefined;
    }
    const name = answerName(question);
    const path = join(folder, name);
    const bytes = readWhole(path);
    if (bytes === undefined) {
      return undefined;
    }
    const found = decodeAnswer(bytes);
    if (found?.question === question) {
      if (write) {
        touch(path);
        recordUse(folder, name.slice(0, 32), found.meta.ms);
      }
      return found.answer;
    }
    onNote(`${path}: damaged${write ? '; removed' : ''}`);
    if (write) {
      removeFile(path);
    }
    return undefined;
  }

  /** Never fails: an answer that cannot be kept only costs the next run time. */
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
}

/** JSON behind the eight digits of its CRC-32. */
function encodeAnswer(stored: StoredAnswer): Uint8Array {
  const json = Buffer.from(JSON.stringify(stored));
  return Buffer.concat([Buffer.from(crcDigits(json)), json]);
}

/** Returns undefined when the bytes are not whole. */
export function decodeAnswer(bytes: Uint8Array): StoredAnswer | undefined {
  const json = Buffer.from(bytes.subarray(8));
  const found = Buffer.from(bytes.subarray(0, 8)).toString('latin1');
  return bytes.length > 8 && found === crcDigits(json) ? (JSON.parse(json.toString()) as StoredAnswer) : undefined;
}
