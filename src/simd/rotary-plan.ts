// What rotary positions take in linear memory: the frequencies once, and for each thread the cosines and sines of a piece of a pass.

import type { Rotary } from '../model/rotary.js';
import { MAX_TOKENS } from './control.js';
import type { Pointer } from './kernels.js';
import type { MemoryPlan } from './linear-memory.js';
import type { Scratch } from './matrix.js';

/** What a thread makes for itself, with the angles of its tokens. */
export interface TurnsScratch extends Scratch {
  readonly cosines: Pointer; // [T, dimensions / 2]
  readonly sines: Pointer; // [T, dimensions / 2]
}

export function planTurns(
  plan: Pick<MemoryPlan, 'reserve'>,
  { dimensions }: Rotary,
): Omit<TurnsScratch, keyof Scratch> {
  const angles = () => plan.reserve(4 * MAX_TOKENS * (dimensions / 2));
  return { cosines: angles(), sines: angles() };
}

/** Where the frequencies go: they are computed from the config. */
export function frequencies(
  at: Pointer,
  { inverseFrequencies }: Rotary,
): readonly (readonly [Pointer, Float32Array])[] {
  return [[at, Float32Array.from(inverseFrequencies)]];
}
