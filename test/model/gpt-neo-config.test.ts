import { describe, expect, it } from 'vitest';
import type { GptNeoConfig } from '../../src/model/gpt-neo-config.js';
import type { GptNeoxConfig } from '../../src/model/gpt-neox-config.js';
import { parseConfig } from '../../src/weights/folder.js';

type Json = Readonly<Record<string, unknown>>;

const neo = (json: Json) => parseConfig({ model_type: 'gpt_neo', ...json }, 'c.json').config as GptNeoConfig;
const neox = (json: Json) => parseConfig({ model_type: 'gpt_neox', ...json }, 'c.json').config as GptNeoxConfig;

describe('a config.json of GPT-Neo', () => {
  it('has the values of transformers where it says nothing', () => {
    expect(neo({})).toMatchObject({
      vocabSize: 50257,
      nPositions: 2048,
      nEmbd: 2048,
      nLayer: 24,
      nHead: 16,
      nInner: 8192,
    });
    expect(neo({})).toMatchObject({ activation: 'gelu_new', tieWordEmbeddings: true, scaleAttnWeights: false });
    expect(neo({}).windows.slice(0, 3)).toEqual([0, 256, 0]);
  });

  it('layers: a list of words wins over the patterns', () => {
    const two = { num_layers: 2, window_size: 8 };
    expect(neo({ ...two, attention_types: [[['local'], 2]] }).windows).toEqual([8, 8]);
    expect(
      neo({
        ...two,
        attention_types: [
          [['local'], 1],
          [['global'], 1],
        ],
      }).windows,
    ).toEqual([8, 0]);
    const layers = { attention_layers: ['global', 'local'], attention_types: [[['local'], 2]] };
    expect(neo({ ...two, ...layers }).windows).toEqual([0, 8]);
    expect(neo({ ...two, ...layers, max_position_embeddings: 8 }).windows).toEqual([0, 0]);
  });

  it.each<[Json, string]>([
    [{ num_layers: 3 }, 'attention_types: expected "global" or "local" for each of 3 layers'],
    [{ num_layers: 2, attention_types: 5 }, 'attention_types: expected "global" or "local"'],
    [{ num_layers: 2, attention_types: [[['local'], 1e300]] }, 'attention_types: expected'],
    [{ num_layers: 2, attention_layers: ['local', 'sparse'] }, 'attention_layers: expected "global" or "local"'],
    [{ num_heads: 7 }, 'num_heads: expected a divisor of hidden_size (2048), found 7'],
    [{ num_layers: 1e9 }, 'num_layers: expected 10000 or less'],
  ])('refused: %j', (json, message) => {
    expect(() => neo(json)).toThrow(message);
  });
});

describe('a config.json of GPT-NeoX', () => {
  it('has the values of transformers where it says nothing', () => {
    expect(neox({})).toMatchObject({
      vocabSize: 50432,
      nEmbd: 6144,
      nLayer: 44,
      nHead: 64,
      headDim: 96,
      nInner: 24576,
    });
    expect(neox({})).toMatchObject({
      activation: 'gelu',
      isParallel: true,
      hasAttentionBias: true,
      layerNormEpsilon: 1e-5,
    });
    expect(neox({}).rotary.dimensions).toBe(24);
  });

  it('turns a part of each head', () => {
    const small = { hidden_size: 64, num_attention_heads: 4 };
    expect(neox({ ...small, rotary_pct: 1 }).rotary.dimensions).toBe(16);
    expect(neox({ ...small, rotary_pct: 0.3 }).rotary.dimensions).toBe(4);
    const newer = { rope_parameters: { rope_type: 'default', rope_theta: 500, partial_rotary_factor: 0.5 } };
    expect(neox({ ...small, ...newer }).rotary).toEqual(
      neox({ ...small, rotary_pct: 0.5, rotary_emb_base: 500 }).rotary,
    );
    expect(neox({ ...small, rotary_pct: 0.5, rotary_emb_base: 500 }).rotary.inverseFrequencies[1]).toBeCloseTo(
      500 ** -0.25,
      6,
    );
  });

  it.each<[Json, string]>([
    [
      { rotary_pct: 0 },
      'rotary_pct: expected a part of a head (96 numbers) that is an even number of 2 or more, found 0',
    ],
    [{ rotary_pct: 2 }, 'rotary_pct: expected a part'],
    [{ rope_scaling: { type: 'dynamic', factor: 2 } }, 'rope_type: expected "default", "linear" or "llama3"'],
    [{ hidden_act: 'gelu_fast_new' }, 'hidden_act: expected one of'],
  ])('refused: %j', (json, message) => {
    expect(() => neox(json)).toThrow(message);
  });
});
