// Saved answers: the whole text of a run, found again when everything that decides it is the same. The file holds the
// question too, which is compared, and a CRC-32 of both. Knows nothing of what a question is made of.

import { errorCode, errorMessage } from '../errors.js';
import { crcDigits } from '../files/crc32.js';
import { makeRoom } from './eviction.js';
import type { StoreOptions } from './location.js';
import { answerName } from './names.js';
import type { StoreFolder } from './store-folder.js';
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

/** In bytes. A longer answer is not kept. */
const MAX_BYTES = 1 << 26;

export class AnswerStore {
  readonly #options: StoreOptions;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /**
   * The answer to exactly this question; undefined if there is none, or if it is damaged.
   * @param isAnswer is it of the form that was kept?
   */
  find<T>(question: string, isAnswer: (found: unknown) => found is T): T | undefined {
    const { folder, write, onNote, ledger } = this.#options;
    if (folder === undefined) {
      return undefined;
    }
    const name = answerName(question);
    if (folder.stat(name) === undefined) {
      folder.sayObstacle(name, onNote);
      ledger?.add({ misses: 1, reasons: { 'no stored answer to this question': 1 } });
      return undefined;
    }
    const found = readAnswer(folder, name);
    if (found?.question === question && isAnswer(found.answer)) {
      if (write) {
        folder.touch(name);
        recordUse(folder, name.slice(0, 32), found.meta.ms);
      }
      ledger?.add({ hits: 1, read: found.meta.tokens, savedMs: found.meta.ms });
      return found.answer;
    }
    ledger?.add({ misses: 1, reasons: { 'the stored file is damaged': 1 } });
    onNote(`${folder.shortPathOf(name)}: damaged, or not what its name says${write ? '; removed' : ''}`);
    if (write) {
      folder.remove(name);
    }
    return undefined;
  }

  /** Never fails: an answer that cannot be kept only costs the next run time. */
  keep(stored: StoredAnswer): void {
    const { folder, write, limits, onNote, ledger } = this.#options;
    if (folder === undefined || !write) {
      return;
    }
    try {
      const bytes = encodeAnswer(stored);
      if (bytes.length > MAX_BYTES) {
        throw new Error(`it takes ${bytes.length} bytes, more than ${MAX_BYTES}`);
      }
      folder.write(answerName(stored.question), bytes);
      const evicted = makeRoom(folder, limits, bytes.length);
      ledger?.add({ written: stored.meta.tokens, evictedBytes: evicted.bytes });
    } catch (error) {
      onNote(`the answer is not kept: ${folder.path}: ${errorCode(error) ?? errorMessage(error)}`);
    }
  }
}

/** JSON behind the eight digits of its CRC-32. */
function encodeAnswer(stored: StoredAnswer): Uint8Array<ArrayBuffer> {
  const json = Buffer.from(JSON.stringify(stored));
  return new Uint8Array(Buffer.concat([Buffer.from(crcDigits(json)), json]));
}

/** Returns undefined when what is stored there is not whole, or no answer. */
export function readAnswer(folder: StoreFolder, name: string): StoredAnswer | undefined {
  try {
    return decodeAnswer(folder.read(name, MAX_BYTES) ?? new Uint8Array());
  } catch {
    return undefined;
  }
}

/** @throws an error for what is no JSON */
function decodeAnswer(bytes: Uint8Array): StoredAnswer | undefined {
  const json = Buffer.from(bytes.subarray(8));
  const found = Buffer.from(bytes.subarray(0, 8)).toString('latin1');
  if (bytes.length <= 8 || found !== crcDigits(json)) {
    return undefined;
  }
  const stored: unknown = JSON.parse(json.toString());
  return isStored(stored) ? stored : undefined;
}

function isStored(value: unknown): value is StoredAnswer {
  const { question, meta } = Object(value);
  const { model, created, words, tokens, ms } = Object(meta);
  return (
    [question, model, created, words].every((text) => typeof text === 'string') &&
    [tokens, ms].every((number) => typeof number === 'number')
  );
}
