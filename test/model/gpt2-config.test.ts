import { describe, expect, it } from 'vitest';
import { ACTIVATIONS } from '../../src/model/activations.js';
import { ARCHITECTURES } from '../../src/model/architectures.js';
import { bytesPerPosition, ConfigReader } from '../../src/model/config.js';
import { GPT2, type Gpt2Config } from '../../src/model/gpt2-config.js';
import { parseConfig } from '../../src/weights/folder.js';
import { expectFailure } from '../support/errors.js';

type Json = Record<string, unknown>;
const parse = (json: Json = {}) => parseConfig({ model_type: 'gpt2', ...json }, 'm/config.json').config;

/** What a config.json that says no more than its type stands for, as in transformers' GPT2Config. */
const DEFAULTS: Gpt2Config = {
  modelType: 'gpt2',
  vocabSize: 50257,
  nPositions: 1024,
  nEmbd: 768,
  nLayer: 12,
  nHead: 12,
  nKvHead: 12,
  headDim: 64,
  nInner: 3072,
  layerNormEpsilon: 1e-5,
  activation: 'gelu_new',
  scaleAttnWeights: true,
  scaleAttnByInverseLayerIdx: false,
  tieWordEmbeddings: true,
  eosTokenIds: [],
  usualTextEnd: 50256,
};

/** As transformers before 2.2 and GPT2-Chinese write one. */
const OLD = { initializer_range: 0.02, n_ctx: 1024, n_embd: 768, n_head: 12, n_layer: 12, n_positions: 1024 };

describe('accepted', () => {
  it('defaults', () => {
    expect(parse()).toEqual(DEFAULTS);
    expect(parseConfig({ model_type: 'gpt2' }, 'c.json').architecture).toBe(GPT2);
  });

  it.each<Json>([
    OLD,
    { ...OLD, model_type: null, pruned_heads: {}, vocab_size: 50257 },
    { ...OLD, architectures: [] },
    { architectures: ['GPT2LMHeadModel'] },
    { architectures: ['TFGPT2LMHeadModel'], num_labels: 1 },
  ])('without model_type: %j', (json) => {
    expect(parseConfig(json, 'c.json')).toEqual({ architecture: GPT2, config: DEFAULTS, stored: 'float32' });
  });

  it('take 72 KiB of keys and values a position', () => {
    expect(bytesPerPosition(parse())).toBe(72 * 1024);
  });

  it.each<[string, Json, Partial<Gpt2Config>]>([
    ['vocab_size', { vocab_size: 7 }, { vocabSize: 7 }],
    ['n_positions', { n_positions: 1 }, { nPositions: 1 }],
    ['n_embd: headDim and nInner follow', { n_embd: 24 }, { nEmbd: 24, headDim: 2, nInner: 96 }],
    ['n_layer', { n_layer: 48 }, { nLayer: 48 }],
    ['n_head', { n_head: 1 }, { nHead: 1, nKvHead: 1, headDim: 768 }],
    ['n_inner', { n_inner: 37 }, { nInner: 37 }],
    ['n_inner null: four times n_embd', { n_inner: null }, {}],
    ['layer_norm_epsilon', { layer_norm_epsilon: 0.01 }, { layerNormEpsilon: 0.01 }],
    ['layer_norm_epsilon 0', { layer_norm_epsilon: 0 }, { layerNormEpsilon: 0 }],
    ['scale_attn_weights', { scale_attn_weights: false }, { scaleAttnWeights: false }],
    [
      'scale_attn_by_inverse_layer_idx',
      { scale_attn_by_inverse_layer_idx: true },
      { scaleAttnByInverseLayerIdx: true },
    ],
    ['tie_word_embeddings', { tie_word_embeddings: false }, { tieWordEmbeddings: false }],
    ['eos_token_id', { eos_token_id: 5 }, { eosTokenIds: [5] }],
    ['eos_token_id 0', { eos_token_id: 0 }, { eosTokenIds: [0] }],
    ['eos_token_id as a list', { eos_token_id: [5, 6] }, { eosTokenIds: [5, 6] }],
    ['eos_token_id null', { eos_token_id: null }, { eosTokenIds: [] }],
    ['hidden_size for n_embd', { hidden_size: 24 }, { nEmbd: 24, headDim: 2, nInner: 96 }],
    ['num_attention_heads for n_head', { num_attention_heads: 2 }, { nHead: 2, nKvHead: 2, headDim: 384 }],
    ['num_hidden_layers for n_layer', { num_hidden_layers: 3 }, { nLayer: 3 }],
    ['max_position_embeddings for n_positions', { max_position_embeddings: 9 }, { nPositions: 9 }],
    ['the alias where both are given', { n_layer: 5, num_hidden_layers: 3 }, { nLayer: 3 }],
    ['the name where the alias is null', { n_layer: 5, num_hidden_layers: null }, { nLayer: 5 }],
    ['add_cross_attention false', { add_cross_attention: false }, {}],
    ['is_causal true', { is_causal: true }, {}],
    ['attention of many heads', { attention_head_type: 'multihead', multi_query: false }, {}],
    ['the class of another head', { architectures: ['GPT2ForSequenceClassification'] }, {}],
    ['quantization_config null or empty', { quantization_config: null, pruned_heads: {} }, {}],
    [
      'what cannot change the result',
      { attn_pdrop: 0.5, resid_pdrop: 1, summary_type: 'x', task_specific_params: {}, use_cache: false, n_ctx: 3 },
      {},
    ],
  ])('%s', (_, json, expected) => {
    expect(parse(json)).toEqual({ ...DEFAULTS, ...expected });
  });

  const activations: [string, string][] = [
    ...ACTIVATIONS.map((name): [string, string] => [name, name]),
    ...['gelu_fast', 'gelu_accurate', 'gelu_python_tanh', 'gelu_pytorch_tanh'].map((name): [string, string] => [
      name,
      'gelu_new',
    ]),
    ['gelu_python', 'gelu'],
    ['swish', 'silu'],
  ];
  it('quantization_config of an int8 folder, whatever the architecture', () => {
    const json = { model_type: 'gpt2', quantization_config: { quant_method: 'kvgen-int8' } };
    expect(parseConfig(json, 'c.json').stored).toBe('int8');
    expect(parseConfig({ model_type: 'gpt2' }, 'c.json').stored).toBe('float32');
  });

  it.each(activations)('activation_function %s', (name, expected) => {
    expect(parse({ activation_function: name })).toEqual({ ...DEFAULTS, activation: expected });
  });
});

describe('refused by name', () => {
  const TYPES = ARCHITECTURES.map(({ modelType }) => JSON.stringify(modelType)).join(' or ');
  const WHOLE = 'a whole number of 1 or more';
  it.each<[Json, string]>([
    ...['gptj', 'openai-gpt', 'gpt_bigcode', 'bloom', 'gemma2', 'LLAMA'].map((type): [Json, string] => [
      { model_type: type },
      `model_type: expected ${TYPES} (others are not done yet), found "${type}"`,
    ]),
    [{ model_type: undefined }, `model_type: expected ${TYPES} (add it to the file if it is one), found nothing`],
    ...[
      { afn: 'gelu' }, // GPT-1
      { rotary_dim: 64 }, // GPT-J
      { dff: 8192 }, // CTRL
      { architectures: ['OpenAIGPTLMHeadModel'] },
      { architectures: ['GPTJForCausalLM'] },
      { n_head: undefined },
    ].map((more): [Json, string] => [{ model_type: null, ...OLD, ...more }, `model_type: expected ${TYPES} (add it`]),
    [{ multi_query: true }, 'multi_query: expected false (multi-query attention is not computed), found true'],
    [{ attention_head_type: 'multiquery' }, 'attention_head_type: expected "multihead" (multi-query'],
    [
      { add_cross_attention: true },
      'add_cross_attention: expected false (cross-attention is not computed), found true',
    ],
    [{ add_cross_attention: 'no' }, 'add_cross_attention: expected true or false, found "no"'],
    [{ is_causal: false }, 'is_causal: expected true (attention is causal), found false'],
    [
      { quantization_config: { bits: 4 } },
      'quantization_config: expected nothing or {"quant_method":"kvgen-int8"} (no other is computed; use the plain weights), found {"bits":4}',
    ],
    [{ quantization_config: { quant_method: 'gptq' } }, 'found {"quant_method":"gptq"}'],
    [
      { quantization_config: { desc_act: false, group_size: 128, a: 1, b: 2, bits: 4, quant_method: 'awq' } },
      'found {"quant_method":"awq","bits":4,"desc_act":false}',
    ],
    [
      { quantization_config: { _load_in_4bit: true, load_in_8bit: false, load_in_4bit: true } },
      'found {"load_in_4bit":true,"_load_in_4bit":true,"load_in_8bit":false}',
    ],
    [{ quantization_config: { quant_method: 'kvgen-int8', bits: 4 } }, 'found {"quant_method":"kvgen-int8","bits":4}'],
    [{ pruned_heads: { 0: [1] } }, 'pruned_heads: expected nothing'],
    [{ per_layer_config: { 0: {} } }, 'per_layer_config: expected nothing'],
    [{ vocab_size: 0 }, `vocab_size: expected ${WHOLE}, found 0`],
    [{ vocab_size: '7' }, `vocab_size: expected ${WHOLE}, found "7"`],
    [{ n_positions: -1 }, `n_positions: expected ${WHOLE}, found -1`],
    [{ n_embd: 1.5 }, `n_embd: expected ${WHOLE}, found 1.5`],
    [{ n_embd: 2 ** 53 }, `n_embd: expected ${WHOLE}, found 9007199254740992`],
    [{ n_layer: [2] }, `n_layer: expected ${WHOLE}, found [2]`],
    [{ n_head: true }, `n_head: expected ${WHOLE}, found true`],
    [{ n_head: 7 }, 'n_head: expected a divisor of n_embd (768), found 7'],
    [{ n_inner: 0 }, `n_inner: expected ${WHOLE}, found 0`],
    [{ layer_norm_epsilon: -1e-5 }, 'layer_norm_epsilon: expected a number of 0 or more, found -0.00001'],
    [{ layer_norm_epsilon: '1e-5' }, 'layer_norm_epsilon: expected a number of 0 or more, found "1e-5"'],
    [
      { activation_function: 'xielu' },
      'activation_function: expected one of gelu_new, gelu, relu, silu, tanh, quick_gelu, gelu_10, mish, leaky_relu, linear, ' +
        'relu2, relu6, gelu_fast, gelu_accurate, gelu_python_tanh, gelu_pytorch_tanh, gelu_python, swish, found "xielu"',
    ],
    // what else ACT2FN of transformers knows
    [{ activation_function: 'laplace' }, 'found "laplace"'],
    [{ activation_function: 'sigmoid' }, 'found "sigmoid"'],
    [{ activation_function: 'prelu' }, 'found "prelu"'],
    [{ activation_function: 'toString' }, 'activation_function: expected one of'],
    [{ activation_function: 5 }, 'found 5'],
    [{ scale_attn_weights: 1 }, 'scale_attn_weights: expected true or false, found 1'],
    [{ scale_attn_by_inverse_layer_idx: 'x' }, 'scale_attn_by_inverse_layer_idx: expected true or false'],
    [{ tie_word_embeddings: 0 }, 'tie_word_embeddings: expected true or false, found 0'],
    [{ eos_token_id: -1 }, 'eos_token_id: expected a token id or a list of them, found -1'],
    [{ eos_token_id: [1, 'x'] }, 'eos_token_id: expected a token id or a list of them, found [1,"x"]'],
  ])('%j', async (json, problem) => {
    await expectFailure(() => parse(json), 'm/config.json: ', problem);
  });

  it.each([
    ['an array', []],
    ['null', null],
    ['"text"', 'text'],
    ['5', 5],
  ])('what is no object: %s', async (what, json) => {
    await expectFailure(() => parseConfig(json, 'c.json'), `c.json: expected a JSON object, found ${what}`);
  });
});

describe('end-of-text ids of generation_config.json', () => {
  const { eosTokenIds } = parse({ eos_token_id: 9 });
  const idsOf = (json: unknown) => new ConfigReader(json, 'g.json').ids('eos_token_id', eosTokenIds);
  it.each<[string, unknown, number[]]>([
    ['a file that names none: the model’s', { do_sample: true }, [9]],
    ['null: the model’s', { eos_token_id: null }, [9]],
    ['one', { eos_token_id: 3 }, [3]],
    ['several', { eos_token_id: [3, 4] }, [3, 4]],
  ])('%s', (_, json, expected) => {
    expect(idsOf(json)).toEqual(expected);
  });

  it('that are none are refused', async () => {
    await expectFailure(() => idsOf({ eos_token_id: 'x' }), 'g.json: eos_token_id', '"x"');
    await expectFailure(() => idsOf([]), 'g.json: expected a JSON object, found an array');
  });
});
