// The activations of an MLP that the forward passes compute, by the names that a config.json gives them. Knows nothing of
// how they are computed. Reference: activations.py of transformers.

import type { ConfigReader } from './config.js';

/** Each of 0 is 0. Their numbers are those of the kernels. */
export const ACTIVATIONS = [
  'gelu_new',
  'gelu',
  'relu',
  'silu',
  'tanh',
  'quick_gelu',
  'gelu_10',
  'mish',
  'leaky_relu',
  'linear',
  'relu2',
  'relu6',
] as const;
export type Activation = (typeof ACTIVATIONS)[number];

/** Other names of the same function: they differ in how transformers rounds. */
const ALIASES = new Map<unknown, Activation>([
  ['gelu_fast', 'gelu_new'],
  ['gelu_accurate', 'gelu_new'],
  ['gelu_python_tanh', 'gelu_new'],
  ['gelu_pytorch_tanh', 'gelu_new'],
  ['gelu_python', 'gelu'],
  ['swish', 'silu'],
]);

/** @throws KvgenError for one that is not computed */
export function readActivation(read: ConfigReader, key: string, fallback: Activation): Activation {
  const value = read.value(key) ?? fallback;
  const name = ALIASES.get(value) ?? value;
  const known = ACTIVATIONS.find((candidate) => candidate === name);
  if (known === undefined) {
    throw read.wrong(key, `one of ${[...ACTIVATIONS, ...ALIASES.keys()].join(', ')}`, value);
  }
  return known;
}
