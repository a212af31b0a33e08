// Any value under any key of a config.json: a model, or one line that says what is wrong; never a crash, nor memory without bound.

import { describe, expect, it } from 'vitest';
import { KvgenError } from '../../src/errors.js';
import type { ModelConfig } from '../../src/model/config.js';
import { MemoryPlan } from '../../src/simd/linear-memory.js';
import { PASSES } from '../../src/simd/passes.js';
import { parseConfig } from '../../src/weights/folder.js';

const VALUES: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 2, 3, 0.5, 1e9, 1e300, 5e-324, 2 ** 53, Number.NaN],
  ...[
    '',
    'yarn',
    [],
    [1],
    [[]],
    [null],
    [[['local'], 1e9]],
    {},
    { rope_type: 'llama3' },
    { type: 7 },
    { rope_theta: -1 },
  ],
  { rope_type: 'llama3', factor: 1e300, low_freq_factor: 1, high_freq_factor: 2, original_max_position_embeddings: 1 },
];

const CONFIGS: readonly Readonly<Record<string, unknown>>[] = [
  ...['llama', 'mistral', 'qwen2', 'qwen3', 'smollm3'].map((model_type) => ({
    ...{ model_type, vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2 },
    ...{ num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8, max_position_embeddings: 64, rms_norm_eps: 1e-5 },
    ...{ rope_theta: 1e4, rope_scaling: null, rope_parameters: null, hidden_act: 'silu', attention_bias: false },
    ...{
      mlp_bias: false,
      tie_word_embeddings: true,
      sliding_window: null,
      use_sliding_window: false,
      layer_types: null,
    },
    ...{ max_window_layers: 1, no_rope_layers: [1, 0], no_rope_layer_interval: 2, eos_token_id: 1 },
  })),
  {
    ...{ model_type: 'gpt_neox', vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2 },
    ...{
      num_attention_heads: 4,
      max_position_embeddings: 64,
      rotary_pct: 0.25,
      rotary_emb_base: 1e4,
      hidden_act: 'gelu',
    },
    ...{ rope_scaling: null, rope_parameters: null, attention_bias: true, use_parallel_residual: true },
  },
  {
    ...{ model_type: 'gpt_neo', vocab_size: 64, hidden_size: 32, intermediate_size: null, num_layers: 2, num_heads: 4 },
    ...{
      max_position_embeddings: 64,
      window_size: 8,
      attention_types: [[['global', 'local'], 1]],
      attention_layers: null,
    },
    ...{ activation_function: 'gelu_new', layer_norm_epsilon: 1e-5 },
  },
];

describe.each(CONFIGS)('$model_type', (config) => {
  it('is a model', () => {
    expect(parseConfig(config, 'c.json').config.modelType).toBe(config.model_type);
  });

  it.each(Object.keys(config).filter((key) => key !== 'model_type'))('%s of any value', (key) => {
    for (const value of VALUES) {
      const parsed = parsedOrRefused({ ...config, [key]: value });
      if (parsed !== undefined) {
        const plan = new MemoryPlan(); // of one layer, as the engine looks whether a model fits
        PASSES[parsed.modelType]?.plan(plan, { ...parsed, nLayer: 1 }, 'float32', 2);
        expect(plan.end).toBeGreaterThan(0);
      }
    }
  });
});

/** undefined: refused. */
function parsedOrRefused(json: object): ModelConfig | undefined {
  try {
    return parseConfig(json, 'c.json').config;
  } catch (error) {
    expect(error).toBeInstanceOf(KvgenError);
    expect((error as Error).message).toMatch(/^c\.json: [^\n]+$/);
    return undefined;
  }
}
