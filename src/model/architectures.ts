// The architectures that kvgen knows. A new one is a file beside this one, a row here, and a forward pass in each engine.

import type { Architecture, ModelConfig } from './config.js';
import { GPT2 } from './gpt2-config.js';

/** Found by the `model_type` of a config.json. */
export const ARCHITECTURES: readonly Architecture[] = [GPT2];

/** A model's sizes, and which tensors it is made of. */
export interface ModelShape {
  readonly architecture: Architecture;
  readonly config: ModelConfig;
}
