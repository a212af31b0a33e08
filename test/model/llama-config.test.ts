import { describe, expect, it } from 'vitest';
import { ARCHITECTURES, type ModelShape } from '../../src/model/architectures.js';
import type { LlamaConfig } from '../../src/model/llama-config.js';
import { parseConfig } from '../../src/weights/folder.js';
import { randomBytes, randomShape, randomTensors } from '../../src/weights/random-model.js';

type Json = Readonly<Record<string, unknown>>;

const SMALL: Json = {
  model_type: 'llama',
  vocab_size: 304,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 256,
};

const LONG: Json = {
  rope_type: 'longrope',
  short_factor: [1, 1, 1, 1, 2, 2, 2, 8],
  long_factor: [1, 1, 1, 1, 2, 2, 2, 8],
  attention_factor: 1,
};

const parse = (more: Json): LlamaConfig => parseConfig({ ...SMALL, ...more }, 'c.json').config as LlamaConfig;

describe('what a config.json of the Llama family says', () => {
  it('has the values of transformers where it says nothing', () => {
    const config = (type: string) => parseConfig({ model_type: type }, 'c.json').config as LlamaConfig;
    const llama = config('llama');
    expect(llama).toMatchObject({ vocabSize: 32000, nEmbd: 4096, nLayer: 32, nHead: 32, nKvHead: 32, headDim: 128 });
    expect(llama).toMatchObject({ nInner: 11008, nPositions: 2048, rmsNormEpsilon: 1e-6, activation: 'silu' });
    expect(llama).toMatchObject({ hasQkNorm: false, tieWordEmbeddings: false, eosTokenIds: [] });
    expect(llama.biases).toEqual({ qkv: false, output: false, mlp: false });
    expect(config('mistral')).toMatchObject({ nInner: 14336, nKvHead: 8, nPositions: 131072 });
    expect(config('qwen2')).toMatchObject({ vocabSize: 151936, nInner: 22016, nPositions: 32768, headDim: 128 });
    expect(config('qwen2').biases).toEqual({ qkv: true, output: false, mlp: false });
    expect(config('qwen3')).toMatchObject({ hasQkNorm: true, headDim: 128, nKvHead: 32 });
    expect(config('smollm3')).toMatchObject({ nLayer: 36, nEmbd: 2048, nKvHead: 4, tieWordEmbeddings: true });
    expect(config('smollm3').rotates.slice(0, 5)).toEqual([true, true, true, false, true]);
  });

  it('counts of heads: as many of keys and values as of queries, unless it says fewer', () => {
    expect(parse({}).nKvHead).toBe(2);
    expect(parse({ num_key_value_heads: undefined }).nKvHead).toBe(4);
    expect(parse({ num_key_value_heads: null }).nKvHead).toBe(4);
    expect(parse({ model_type: 'mistral', num_attention_heads: 16, num_key_value_heads: undefined }).nKvHead).toBe(8);
    expect(parse({ model_type: 'mistral', num_attention_heads: 16, num_key_value_heads: null }).nKvHead).toBe(16);
    expect(parse({ num_key_value_heads: 1 }).nKvHead).toBe(1);
    expect(parse({}).headDim).toBe(16);
    expect(parse({ head_dim: 24 }).headDim).toBe(24);
  });

  it('a model without model_type by its class', () => {
    const { model_type: _, ...old } = SMALL;
    for (const { modelType } of ARCHITECTURES.filter(({ title }) => title !== 'GPT-2')) {
      const shape = parseConfig({ model_type: modelType }, 'c.json');
      expect(shape.architecture.modelType).toBe(modelType);
    }
    expect(parseConfig({ ...old, architectures: ['LlamaForCausalLM'] }, 'c.json').config.modelType).toBe('llama');
    expect(parseConfig({ ...old, architectures: ['Qwen2ForCausalLM'] }, 'c.json').config.modelType).toBe('qwen2');
  });
});

describe('rotary positions', () => {
  const frequencies = (more: Json) => parse(more).rotary.inverseFrequencies;
  const plain = (theta: number, headDim = 16) =>
    Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));

  it.each([10000, 100000, 500000, 1e6, 2e6, 1.5, 3, 0.5])('theta %d: θ^(−2i/d)', (theta) => {
    const found = frequencies({ rope_theta: theta });
    for (const [i, frequency] of plain(theta).entries()) {
      expect(Math.abs((found[i] as number) / frequency - 1)).toBeLessThan(5e-7);
      expect(found[i]).toBe(Math.fround(found[i] as number));
    }
  });

  it('are as torch computes them in float32', () => {
    // 1 / (10000 ** (torch.arange(0, 16, 2).float() / 16))
    expect(frequencies({})).toEqual(
      [1, 0.3162277638912201, 0.10000000149011612, 0.03162277862429619, 0.009999999776482582, 0.003162277862429619]
        .concat([0.0010000000474974513, 0.0003162277862429619])
        .map(Math.fround),
    );
  });

  it('scaling linear and default, under either name of the key', () => {
    const linear = frequencies({}).map((frequency) => Math.fround(frequency / 4));
    expect(frequencies({ rope_scaling: { type: 'linear', factor: 4 } })).toEqual(linear);
    expect(frequencies({ rope_scaling: { rope_type: 'linear', factor: 4 } })).toEqual(linear);
    expect(frequencies({ rope_scaling: { rope_type: 'default', factor: 4 } })).toEqual(frequencies({}));
    expect(frequencies({ rope_scaling: null })).toEqual(frequencies({}));
  });

  it('rope_parameters of transformers 5 hold theta too', () => {
    const linear = { rope_type: 'linear', factor: 2 };
    expect(frequencies({ rope_parameters: { rope_type: 'default', rope_theta: 5e5 } })).toEqual(
      frequencies({ rope_theta: 5e5 }),
    );
    expect(frequencies({ rope_parameters: { ...linear, rope_theta: 5e5 } })).toEqual(
      frequencies({ rope_theta: 5e5, rope_scaling: linear }),
    );
  });

  it('longrope: each frequency has its factor', () => {
    const plain = frequencies({});
    const divided = frequencies({ rope_scaling: LONG });
    expect(divided).toEqual(plain.map((frequency, i) => frequency / ([1, 1, 1, 1, 2, 2, 2, 8][i] as number)));
  });

  it('llama3: slow turns are divided, fast ones stay, those between are mixed', () => {
    const scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    const found = frequencies({ rope_scaling: { ...scaling, original_max_position_embeddings: 128 } });
    const unscaled = frequencies({});
    for (const [i, frequency] of unscaled.entries()) {
      const wavelength = (2 * Math.PI) / frequency;
      const share = Math.min(1, Math.max(0, (128 / wavelength - 1) / 3));
      expect(found[i]).toBeCloseTo(((1 - share) * frequency) / 8 + share * frequency, 8);
    }
    expect(found[0]).toBe(1);
    expect(found.at(-1)).toBe(Math.fround((unscaled.at(-1) as number) / 8));
  });
});

describe('windows', () => {
  const windows = (more: Json) => parse({ num_hidden_layers: 4, ...more }).windows;
  it('are in all layers of a Mistral, in the last of a Qwen, and where layer_types says so', () => {
    expect(windows({ model_type: 'mistral', sliding_window: 8 })).toEqual([8, 8, 8, 8]);
    const qwen = { model_type: 'qwen2', sliding_window: 8, use_sliding_window: true };
    expect(windows(qwen)).toEqual([0, 0, 0, 0]); // max_window_layers is 28
    expect(windows({ ...qwen, max_window_layers: 1 })).toEqual([0, 8, 8, 8]);
    expect(windows({ ...qwen, max_window_layers: 0 })).toEqual([8, 8, 8, 8]);
    const [full, sliding] = ['full_attention', 'sliding_attention'];
    expect(windows({ ...qwen, layer_types: [sliding, full, sliding, full] })).toEqual([8, 0, 8, 0]);
    const smol = { model_type: 'smollm3', no_rope_layers: [1, 0, 1, 0], sliding_window: 8 };
    expect(windows(smol)).toEqual([0, 0, 0, 0]);
    expect(windows({ ...smol, use_sliding_window: true })).toEqual([0, 8, 0, 8]);
  });

  it('that hide nothing are none', () => {
    expect(windows({ model_type: 'mistral', sliding_window: null })).toEqual([0, 0, 0, 0]);
    expect(windows({ model_type: 'mistral', sliding_window: 256 })).toEqual([0, 0, 0, 0]);
    expect(windows({ model_type: 'mistral' })).toEqual([0, 0, 0, 0]); // 4096
    expect(windows({ model_type: 'qwen2', sliding_window: 8, use_sliding_window: false })).toEqual([0, 0, 0, 0]);
    expect(windows({ model_type: 'qwen2', sliding_window: 0, use_sliding_window: false })).toEqual([0, 0, 0, 0]);
    expect(windows({ sliding_window: 256 })).toEqual([0, 0, 0, 0]);
  });
});

describe('refused by name', () => {
  it.each<[Json, string]>([
    [{ rope_scaling: { rope_type: 'yarn', factor: 4 } }, 'rope_scaling: rope_type: expected "default", "linear" or'],
    [{ rope_scaling: { type: 'dynamic', factor: 4 } }, 'found "dynamic"'],
    [{ rope_scaling: { type: 'su' } }, 'found "su"'],
    [{ rope_scaling: { rope_type: 'longrope' } }, 'short_factor: expected 8 numbers above 0, found nothing'],
    [{ rope_scaling: { ...LONG, short_factor: [1, 2] } }, 'short_factor: expected 8 numbers above 0, found [1,2]'],
    [
      { rope_scaling: { ...LONG, long_factor: [1, 1, 1, 1, 2, 2, 2, 2] } },
      'long_factor: expected those of short_factor',
    ],
    [{ rope_scaling: { ...LONG, attention_factor: 1.2 } }, 'attention_factor: expected 1'],
    [
      { rope_scaling: { rope_type: 'linear' } },
      'c.json: rope_scaling: factor: expected a number above 0, found nothing',
    ],
    [{ rope_scaling: { rope_type: 'linear', factor: 0 } }, 'rope_scaling: factor: expected a number above 0, found 0'],
    [{ rope_scaling: 'linear' }, 'rope_scaling: expected a JSON object, found "linear"'],
    [{ rope_theta: -1 }, 'rope_theta: expected a number above 0, found -1'],
    [{ num_key_value_heads: 3 }, 'num_key_value_heads: expected a divisor of num_attention_heads (4), found 3'],
    [{ head_dim: 15 }, 'head_dim: expected an even number, found 15'],
    [{ head_dim: 1e12 }, 'head_dim: expected 10000 or less, found 1000000000000'],
    [{ num_hidden_layers: 1e12 }, 'num_hidden_layers: expected 10000 or less'],
    [{ hidden_act: 'glu' }, 'hidden_act: expected one of gelu_new, '],
    [
      { partial_rotary_factor: 0.5 },
      'partial_rotary_factor: expected 1 (here all numbers of a head are turned), found 0.5',
    ],
    [
      { num_local_experts: 8 },
      'num_local_experts: expected nothing or 0 (a mixture of experts is not computed), found 8',
    ],
    [{ final_logit_softcapping: 30 }, 'final_logit_softcapping: expected nothing'],
    [{ attention_multiplier: 0.5 }, 'attention_multiplier: expected nothing'],
    [
      { embedding_multiplier: 12 },
      'embedding_multiplier: expected nothing or 1 (a multiplier is not computed), found 12',
    ],
    [{ is_causal: false }, 'is_causal: expected nothing or true'],
    [{ qk_norm: true }, 'qk_norm: expected false (a Llama has none), found true'],
    [
      { model_type: 'mistral', attention_bias: true },
      'attention_bias: expected false (a Mistral has none), found true',
    ],
    [{ sliding_window: 8 }, 'sliding_window: expected nothing, or 256 or more (a llama has no window), found 8'],
    [
      { model_type: 'qwen3', layer_types: ['full_attention', 'linear_attention'] },
      'layer_types: expected 2 times "full_attention" or "sliding_attention" (others are not computed), found',
    ],
    [{ model_type: 'smollm3', no_rope_layers: [1] }, 'no_rope_layers: expected 2 times 0 or 1, one for each layer'],
    [{ quantization_config: { quant_method: 'gptq' } }, 'quantization_config: '],
  ])('%j', (more, message) => {
    expect(() => parse(more)).toThrow(message);
  });
});

describe('random:llama-135M', () => {
  it('has the sizes of SmolLM2-135M', () => {
    const shape = randomShape('random:llama-135M');
    expect(shape?.config).toMatchObject({ nLayer: 30, nEmbd: 576, nHead: 9, nKvHead: 3, headDim: 64, nInner: 1536 });
    expect(randomBytes(shape as ModelShape)).toBe(4 * 134_515_008);
    const norms = [...randomTensors('random:llama-135M', shape as ModelShape, 1)].filter(({ name }) =>
      name.endsWith('norm.weight'),
    );
    expect(norms.length).toBe(61);
  });
});
