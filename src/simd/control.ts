// The first page of the linear memory: where threads meet, and where the main thread writes what they are to do.

import type { Pointer } from './kernels.js';

/** The most tokens that run together: a longer pass is run in pieces of so many, which changes no bit of the result. */
export const MAX_TOKENS = 64;

/** The words of kernels/barrier.ts. */
export const BARRIER: Pointer = 64;
/** The fourth of them: 1 when a thread has failed. */
const FAILED: Pointer = BARRIER + 12;
/** The second: goes up when all have arrived. */
const MEETING: Pointer = BARRIER + 4;
/** Goes up with each job. */
export const ROUND: Pointer = 128;
/** The words of the newest job. */
export const JOB: Pointer = 192;
export const JOB_WORDS = 16;
/** Of a pass: for each of its tokens one word; see Tokens. */
export const IDS: Pointer = 1024;
export const POSITIONS: Pointer = IDS + 4 * MAX_TOKENS;
export const TABLES: Pointer = POSITIONS + 4 * MAX_TOKENS;
export const WANTED: Pointer = TABLES + 4 * MAX_TOKENS;
/** What the thread that failed says: its length in bytes, then UTF-8. */
export const MESSAGE: Pointer = WANTED + 4 * MAX_TOKENS;
export const MESSAGE_BYTES = 500;

/** Marks the team as failed, and wakes all who wait for each other or for a job: nobody is to go on. */
export function announceFailure({ buffer }: WebAssembly.Memory): void {
  const words = new Int32Array(buffer, 0, (ROUND + 4) / 4);
  Atomics.store(words, FAILED / 4, 1);
  Atomics.notify(words, MEETING / 4);
  Atomics.notify(words, ROUND / 4);
}

export function hasFailed({ buffer }: WebAssembly.Memory): boolean {
  return Atomics.load(new Int32Array(buffer, FAILED, 1), 0) !== 0;
}
