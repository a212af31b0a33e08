// The list of architectures. A new one is a file beside this one, a row here, and a forward pass in each engine.

import type { Architecture, ModelConfig } from './config.js';
import { GPT2 } from './gpt2-config.js';

/** A config.json names its architecture by `model_type`. */
export const ARCHITECTURES: readonly Architecture[] = [GPT2];

/** All that config.json says of a model: its sizes, and by its architecture the names and shapes of its tensors. */
export interface ModelShape {
  readonly architecture: Architecture;
  readonly config: ModelConfig;
}
