// Makes a model of random weights in memory, to measure the speed of a size without a folder of it. `random:124M` has
// the sizes of the smallest GPT-2; `random:6x256` is a GPT-2 of 6 layers and an nEmbd of 256; `random:llama-135M` has the sizes
// of SmolLM2-135M. The logits mean nothing.

import { totalmem } from 'node:os';
import { KvgenError, UsageError } from '../errors.js';
import type { ModelShape } from '../model/architectures.js';
import type { ExpectedTensor } from '../model/config.js';
import { uniform } from '../sampling/random.js';
import { parseConfig } from './folder.js';
import { valueCount } from './tensor-values.js';
import type { NamedTensor } from './weight-file.js';

/** This many random numbers are repeated to fill all weights: a prime, so that no two rows of a matrix are equal. */
const BLOCK = 65_537;
/** Weights are between ± this number; GPT-2 is initialised with it as the standard deviation. */
const SPREAD = 0.02;

/** What the config.json of each named size would say. */
const NAMED: ReadonlyMap<string, object> = new Map([
  ['random:124M', { model_type: 'gpt2' }],
  [
    'random:llama-135M',
    {
      model_type: 'llama',
      vocab_size: 49152,
      hidden_size: 576,
      intermediate_size: 1536,
      num_hidden_layers: 30,
      num_attention_heads: 9,
      num_key_value_heads: 3,
      max_position_embeddings: 8192,
      rms_norm_eps: 1e-5,
      rope_theta: 100000,
      tie_word_embeddings: true,
    },
  ],
]);

/**
 * The sizes that a name like `random:6x256` stands for; undefined: it does not name a random model.
 * @throws UsageError when there is no model of these sizes
 */
export function randomShape(name: string): ModelShape | undefined {
  if (!name.startsWith('random:')) {
    return undefined;
  }
  const named = NAMED.get(name);
  if (named !== undefined) {
    return parseConfig(named, name);
  }
  const [layers = 0, channels = 0] = name.slice('random:'.length).split('x').map(Number);
  const headDim = channels < 512 ? 32 : 64;
  if (!(layers >= 1) || !(channels >= 1) || channels % headDim !== 0) {
    throw new UsageError(`${name}: expected a number of channels that is a multiple of ${headDim}`);
  }
  const sizes = { n_layer: layers, n_embd: channels, n_head: channels / headDim, vocab_size: 4096, n_positions: 1024 };
  return parseConfig({ model_type: 'gpt2', ...sizes }, name);
}

/** The bytes of all weights, as float32. */
export function randomBytes(shape: ModelShape): number {
  return tensorsOf(shape).reduce((sum, tensor) => sum + 4 * valueCount(tensor.shape), 0);
}

/**
 * Makes the weights one tensor at a time; the same seed gives the same weights.
 * @throws KvgenError when they do not fit the memory of the machine
 */
export function* randomTensors(name: string, shape: ModelShape, seed: number): Generator<NamedTensor, void> {
  const bytes = randomBytes(shape);
  if (bytes > totalmem()) {
    throw new KvgenError(`${name}: ${(bytes / 1e9).toFixed(1)} GB of weights are more than the memory of this machine`);
  }
  const block = Float32Array.from({ length: BLOCK }, (_, n) => 2 * SPREAD * (uniform(seed, n) - 0.5));
  let start = 0;
  for (const tensor of tensorsOf(shape)) {
    const mean = /(ln_\w+|norm)\.weight$/.test(tensor.name) ? 1 : 0;
    const from = start;
    yield { ...tensor, read: async (into, first) => fill(into, block, from + first, mean) };
    start = (start + valueCount(tensor.shape)) % BLOCK;
  }
}

function tensorsOf({ architecture, config }: ModelShape): ExpectedTensor[] {
  return [...architecture.tensors(config, { has: () => false })];
}

/** Repeats the block from its number `from` on, each number plus `mean`. */
function fill(into: Float32Array, block: Float32Array, from: number, mean: number): void {
  let start = from % BLOCK;
  for (let filled = 0; filled < into.length; start = 0) {
    const part = block.subarray(start, start + into.length - filled);
    into.set(mean === 0 ? part : part.map((x) => mean + x), filled);
    filled += part.length;
  }
}
