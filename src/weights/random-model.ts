// A model of random weights, made in memory: what the speed of a size is measured with when no folder of that
// size is at hand. `random:124M` is GPT-2's smallest; `random:6x256` has 6 layers of 256 channels.
// Its logits mean nothing.

import { totalmem } from 'node:os';
import type { Tensor } from '@tensorflow/tfjs-core';
import { KvgenError, UsageError } from '../errors.js';
import { type Gpt2Config, parseConfig } from '../model/gpt2-config.js';
import { uniform } from '../sampling/random.js';
import type { Gpt2Weights } from '../tf/gpt2.js';
import { tf } from '../tf/tf.js';
import { assemble, expectedShapes } from './folder.js';

/** Random numbers that all weights are filled with, again and again: a prime, so that no two rows are equal. */
const BLOCK = 65_537;
/** As GPT-2 is initialised. */
const SPREAD = 0.02;

/**
 * The sizes that such a name stands for; undefined: it names something else.
 * @throws UsageError when there is no model of these sizes
 */
export function randomConfig(name: string): Gpt2Config | undefined {
  if (!name.startsWith('random:')) {
    return undefined;
  }
  if (name === 'random:124M') {
    return parseConfig({ model_type: 'gpt2' }, name);
  }
  const [layers = 0, channels = 0] = name.slice('random:'.length).split('x').map(Number);
  const headDim = channels < 512 ? 32 : 64;
  if (!(layers >= 1) || !(channels >= 1) || channels % headDim !== 0) {
    throw new UsageError(`${name}: expected a number of channels that is a multiple of ${headDim}`);
  }
  const sizes = { n_layer: layers, n_embd: channels, n_head: channels / headDim, vocab_size: 4096, n_positions: 1024 };
  return parseConfig({ model_type: 'gpt2', ...sizes }, name);
}

/** Bytes that the weights of such a model take. */
export function randomBytes(config: Gpt2Config): number {
  return shapes(config).reduce((sum, [, shape]) => sum + 4 * size(shape), 0);
}

/**
 * The same weights for the same seed.
 * @throws KvgenError when they are more than the machine's memory
 */
export function randomWeights(name: string, config: Gpt2Config, seed: number): Gpt2Weights {
  const bytes = randomBytes(config);
  if (bytes > totalmem()) {
    throw new KvgenError(`${name}: ${(bytes / 1e9).toFixed(1)} GB of weights are more than the memory of this machine`);
  }
  const block = Float32Array.from({ length: BLOCK }, (_, n) => 2 * SPREAD * (uniform(seed, n) - 0.5));
  let start = 0;
  const tensors = shapes(config).map(([name, shape]): [string, Tensor] => {
    const mean = /ln_\w+\.weight$/.test(name) ? 1 : 0;
    const values = repeated(block, start, size(shape));
    start = (start + values.length) % BLOCK;
    return [name, tf.tensor(mean === 0 ? values : values.map((x) => mean + x), [...shape], 'float32')];
  });
  return assemble(config, new Map(tensors));
}

function shapes(config: Gpt2Config): [name: string, shape: readonly number[]][] {
  return [...expectedShapes(config, { has: () => false })];
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

function repeated(block: Float32Array, start: number, length: number): Float32Array {
  const values = new Float32Array(length);
  values.set(block.subarray(start, start + length));
  for (let filled = block.length - start; filled < length; filled += block.length) {
    values.set(block.subarray(0, length - filled), filled);
  }
  return values;
}
