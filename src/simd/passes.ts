// The forward passes of the WebAssembly engine, by the `model_type` of their architecture. A new one is a row here.

import { GPT_NEO, type GptNeoConfig } from '../model/gpt-neo-config.js';
import { GPT_NEOX, type GptNeoxConfig } from '../model/gpt-neox-config.js';
import { GPT2, type Gpt2Config } from '../model/gpt2-config.js';
import { LLAMA_VOCABULARY, type LlamaConfig } from '../model/llama-config.js';
import { placesOfGptNeo } from './gpt-neo-plan.js';
import { forward as gptNeoxForward } from './gpt-neox-pass.js';
import { type GptNeoxPlan, placesOfGptNeox, planGptNeox } from './gpt-neox-plan.js';
import { forward as gpt2Forward } from './gpt2-pass.js';
import { type Gpt2Plan, placesOfGpt2, planGpt2 } from './gpt2-plan.js';
import { forward as llamaForward } from './llama-pass.js';
import { type LlamaPlan, placesOfLlama, planLlama } from './llama-plan.js';
import { frequencies } from './rotary-plan.js';
import type { SimdArchitecture, SimdModel } from './simd-model.js';

const gpt2: SimdArchitecture = {
  vocabulary: GPT2.vocabulary,
  plan: (plan, config, kind, threads) => planGpt2(plan, config as Gpt2Config, kind, threads),
  places: (plan, config) => placesOfGpt2(plan as Gpt2Plan, config as Gpt2Config),
  forward: (model, thread, tokens) => gpt2Forward(model as SimdModel<Gpt2Plan, Gpt2Config>, thread, tokens),
};

const gptNeo: SimdArchitecture = {
  ...gpt2,
  vocabulary: GPT_NEO.vocabulary,
  places: (plan, config) => placesOfGptNeo(plan as Gpt2Plan, config as GptNeoConfig),
};

const gptNeox: SimdArchitecture = {
  vocabulary: GPT_NEOX.vocabulary,
  plan: (plan, config, kind, threads) => planGptNeox(plan, config as GptNeoxConfig, kind, threads),
  places: (plan, config) => placesOfGptNeox(plan as GptNeoxPlan, config as GptNeoxConfig),
  constants: (plan, config) => frequencies((plan as GptNeoxPlan).inverseFrequencies, (config as GptNeoxConfig).rotary),
  forward: (model, thread, tokens) => gptNeoxForward(model as SimdModel<GptNeoxPlan, GptNeoxConfig>, thread, tokens),
};

const llama: SimdArchitecture = {
  vocabulary: LLAMA_VOCABULARY,
  plan: (plan, config, kind, threads) => planLlama(plan, config as LlamaConfig, kind, threads),
  places: (plan, config) => placesOfLlama(plan as LlamaPlan, config as LlamaConfig),
  constants: (plan, config) => frequencies((plan as LlamaPlan).inverseFrequencies, (config as LlamaConfig).rotary),
  forward: (model, thread, tokens) => llamaForward(model as SimdModel<LlamaPlan, LlamaConfig>, thread, tokens),
};

export const PASSES: Readonly<Record<string, SimdArchitecture>> = {
  gpt2,
  gpt_neo: gptNeo,
  gpt_neox: gptNeox,
  llama,
  mistral: llama,
  qwen2: llama,
  qwen3: llama,
  smollm3: llama,
};
