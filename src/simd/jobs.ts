// What all threads do together. A job is a few words, which the main thread writes into the first page of the memory and
// every thread reads. Knows nothing of how threads are started or woken.

import { IDS, POSITIONS, TABLES } from './control.js';
import type { Pointer } from './kernels.js';
import { type Matrix, matrixBytes } from './matrix.js';
import { PASSES } from './passes.js';
import type { SimdArchitecture, SimdModel, Tokens } from './simd-model.js';
import { meet, share, type Thread } from './thread.js';

const STOP = 0;
const FORWARD = 1;
const LAY = 2;

export type Job = readonly number[];

/** The end of a thread. */
export const stopJob: Job = [STOP];

/** Where the scores of all threads are kept; see `Tokens`. */
export type ScoresRoom = Pick<Tokens, 'scores' | 'scoresBytes'>;
/** Where what heads look at goes. */
export type AttentionRoom = Pick<Tokens, 'attention' | 'columns'>;

/** A pass over T tokens, N of them wanted. @param asked undefined: nobody asks what heads look at */
export function forwardJob(
  T: number,
  N: number,
  lm_head: Matrix,
  { scores, scoresBytes }: ScoresRoom,
  asked: AttentionRoom = { attention: 0, columns: 0 },
): Job {
  const { at, scales, rows, columns } = lm_head;
  return [FORWARD, T, N, at, scales, rows, columns, scores, scoresBytes, asked.attention, asked.columns];
}

/** Brings lines of float32 into the order of a matrix, from row `firstRow` on. */
export function layJob(source: Pointer, lines: 'rows' | 'columns', count: number, matrix: Matrix, firstRow = 0): Job {
  const { columns, scales } = matrix;
  const at = matrix.at + matrixBytes({ scales, columns, rows: firstRow });
  const rowScales = scales === 0 ? 0 : scales + 4 * firstRow;
  return [LAY, source, lines === 'rows' ? 1 : 0, count, columns, at, rowScales];
}

/**
 * Does this thread's part of the job.
 * @param words where the job is
 * @param wanted [N] of a pass
 * @returns false: the thread is to end
 * @throws Error when another thread has failed, or a kernel traps
 */
export function doJob(model: SimdModel, thread: Thread, words: Uint32Array, wanted: Uint32Array): boolean {
  switch (words[0]) {
    case FORWARD:
      runPass(model, thread, words, wanted);
      return true;
    case LAY:
      layMatrix(thread, words);
      return true;
    default:
      return false;
  }
}

function runPass(model: SimdModel, thread: Thread, words: Uint32Array, wanted: Uint32Array): void {
  const [, T = 0, N = 0, at = 0, scales = 0, rows = 0, K = 0, scores = 0, scoresBytes = 0, ...asked] = words;
  const [attention = 0, columns = 0] = asked;
  const { forward } = PASSES[model.config.modelType] as SimdArchitecture;
  forward(model, thread, {
    T,
    ids: IDS,
    positions: POSITIONS,
    tables: TABLES,
    wanted: Array.from(wanted.subarray(0, N)),
    lm_head: { at, scales, rows, columns: K },
    scores,
    scoresBytes,
    attention,
    columns,
  });
}

/** Each thread takes some of the rows that the matrix gets. */
function layMatrix(thread: Thread, words: Uint32Array): void {
  const [, source = 0, isRows = 0, count = 0, K = 0, at = 0, scales = 0] = words;
  const { kernels } = thread;
  const [from, to] = share(thread, count, 4);
  if (isRows === 1) {
    const part = source + 4 * from * K;
    if (scales === 0) {
      kernels.layRowsFloat32(part, to - from, K, at + 4 * from * K);
    } else {
      kernels.layRowsInt8(part, to - from, K, at + from * K, scales + 4 * from);
    }
  } else if (scales === 0) {
    kernels.layColumnsFloat32(source, count, K, from, to, at);
  } else {
    kernels.layColumnsInt8(source, count, K, from, to, at, scales);
  }
  meet(thread);
}
