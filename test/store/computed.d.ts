import type { KvRows } from '../../src/engine/kv-rows.js';
import type { PartShape } from '../../src/store/part.js';
import type { Computed, Found } from '../../src/store/prompts.js';

export const SHAPE: PartShape;
export function rowsOf(ids: readonly number[], from?: number, to?: number): KvRows;
export function logitsOf(ids: readonly number[]): Float32Array;
export function computed(ids: readonly number[]): Computed;
export function wrongWith(
  ids: readonly number[],
  found: Found,
  round?: (values: Float32Array) => Float32Array,
): string | undefined;
