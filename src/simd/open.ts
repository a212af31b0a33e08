// Opens the WebAssembly engine.

import type { Engine } from '../engine/engine.js';
import { KvgenError } from '../errors.js';
import type { ModelConfig } from '../model/config.js';
import type { NamedTensor } from '../weights/weight-file.js';

export interface SimdOptions {
  readonly threads?: number | undefined;
  readonly weights: 'float32' | 'int8';
}

/**
 * How many threads would work: the asked number, else chosen by kvgen.
 * @throws UsageError for more than the cores
 */
export function simdThreads(_config: ModelConfig, asked: number | undefined): number {
  return asked ?? 1;
}

/** Starts its threads, loads the weights into its memory. */
export async function openSimd(
  _config: ModelConfig,
  _weights: AsyncIterable<NamedTensor> | Iterable<NamedTensor>,
  _options: SimdOptions,
): Promise<Engine> {
  throw new KvgenError('not here yet');
}
