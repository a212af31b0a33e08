// One thread of several that run the same program: which part of the work is its own, and how it waits for the others.

import type { Kernels, Pointer } from './kernels.js';

export interface Thread {
  readonly kernels: Kernels;
  /** 0 is the main thread. */
  readonly index: number;
  readonly count: number;
  /** The words of kernels/barrier.ts. */
  readonly barrier: Pointer;
}

/** The first, and the one behind the last. */
export type Range = readonly [from: number, to: number];

/** This thread's part of `total` things, in units of `unit`. */
export function share({ index, count }: Thread, total: number, unit = 1): Range {
  const units = total / unit;
  return [Math.floor((units * index) / count) * unit, Math.floor((units * (index + 1)) / count) * unit];
}

/**
 * Waits until all threads are here.
 * @throws Error when one of them has failed
 */
export function meet({ kernels, count, barrier }: Thread): void {
  if (count > 1 && kernels.barrier(barrier, count) === 0) {
    throw new Error('another thread has failed');
  }
}
