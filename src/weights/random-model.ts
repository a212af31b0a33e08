// A model of random weights, made in memory: what the speed of a size is measured with when no folder of that
// size is at hand. `random:124M` is GPT-2's smallest; `random:6x256` has 6 layers of 256 channels.
// Its logits mean nothing.

import { totalmem } from 'node:os';
import { KvgenError, UsageError } from '../errors.js';
import type { ModelShape } from '../model/architectures.js';
import type { ExpectedTensor } from '../model/config.js';
import { uniform } from '../sampling/random.js';
import { parseConfig } from './folder.js';
import type { NamedTensor } from './weight-file.js';

/** Random numbers that all weights are filled with, again and again: a prime, so that no two rows are equal. */
const BLOCK = 65_537;
/** As GPT-2 is initialised. */
const SPREAD = 0.02;

/**
 * The sizes that such a name stands for; undefined: it names something else.
 * @throws UsageError when there is no model of these sizes
 */
export function randomShape(name: string): ModelShape | undefined {
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
export function randomBytes(shape: ModelShape): number {
  return tensorsOf(shape).reduce((sum, tensor) => sum + 4 * size(tensor), 0);
}

/**
 * The same weights for the same seed, one tensor at a time.
 * @throws KvgenError when they are more than the machine's memory
 */
export function* randomTensors(name: string, shape: ModelShape, seed: number): Generator<NamedTensor, void> {
  const bytes = randomBytes(shape);
  if (bytes > totalmem()) {
    throw new KvgenError(`${name}: ${(bytes / 1e9).toFixed(1)} GB of weights are more than the memory of this machine`);
  }
  const block = Float32Array.from({ length: BLOCK }, (_, n) => 2 * SPREAD * (uniform(seed, n) - 0.5));
  let start = 0;
  for (const tensor of tensorsOf(shape)) {
    const mean = /ln_\w+\.weight$/.test(tensor.name) ? 1 : 0;
    const values = repeated(block, start, size(tensor));
    start = (start + values.length) % BLOCK;
    yield { ...tensor, values: mean === 0 ? values : values.map((x) => mean + x) };
  }
}

function tensorsOf({ architecture, config }: ModelShape): ExpectedTensor[] {
  return [...architecture.tensors(config, { has: () => false })];
}

function size({ shape }: ExpectedTensor): number {
  return shape.reduce((product, n) => product * n, 1);
}

function repeated(block: Float32Array, start: number, length: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(length);
  values.set(block.subarray(start, start + length));
  for (let filled = block.length - start; filled < length; filled += block.length) {
    values.set(block.subarray(0, length - filled), filled);
  }
  return values;
}
