// The list of architectures. A new one is a file beside this one, a row here, and a forward pass in each engine.

import type { Architecture, ModelConfig } from './config.js';
import { GPT_NEO } from './gpt-neo-config.js';
import { GPT_NEOX } from './gpt-neox-config.js';
import { GPT2 } from './gpt2-config.js';
import { LLAMA_FAMILY } from './llama-config.js';

/** A config.json names its architecture by `model_type`. */
export const ARCHITECTURES: readonly Architecture[] = [GPT2, ...LLAMA_FAMILY, GPT_NEOX, GPT_NEO];

/** All that config.json says of a model: its sizes, and by its architecture the names and shapes of its tensors. */
export interface ModelShape {
  readonly architecture: Architecture;
  readonly config: ModelConfig;
  /** What the matrices are stored as: floats of any width, or the int8 of docs/int8-format.md. */
  readonly stored: 'float32' | 'int8';
}
