// The forward passes of the WebAssembly engine, by the `model_type` of their architecture. A new one is a row here.

import type { Gpt2Config } from '../model/gpt2-config.js';
import { forward } from './gpt2-pass.js';
import { type Gpt2Plan, placesOfGpt2, planGpt2 } from './gpt2-plan.js';
import type { SimdArchitecture, SimdModel } from './simd-model.js';

export const PASSES: Readonly<Record<string, SimdArchitecture>> = {
  gpt2: {
    plan: (plan, config, kind, threads) => planGpt2(plan, config as Gpt2Config, kind, threads),
    places: (plan, config) => placesOfGpt2(plan as Gpt2Plan, config as Gpt2Config),
    forward: (model, thread, tokens) => forward(model as SimdModel<Gpt2Plan, Gpt2Config>, thread, tokens),
  },
};
