// The architecture GPT-2: how its config.json is read, and which tensors it has. Every variation that the config can
// name is computed or refused by name; keys that cannot change the logits (dropouts, summary_*) are ignored.
// Knows nothing of files or tensor libraries. Reference: GPT2Config and modeling_gpt2.py of transformers.

import { type Activation, readActivation } from './activations.js';
import type { Architecture, ConfigReader, ExpectedTensor, ModelConfig, TensorRole } from './config.js';
import { kindOf } from './tensor-names.js';

/** `<|endoftext|>` of GPT-2, which transformers takes where a config.json names no other. */
const TEXT_END = 50256;

export interface Gpt2Config extends ModelConfig {
  /** The width of the hidden layer of the MLP. */
  readonly nInner: number;
  readonly layerNormEpsilon: number;
  readonly activation: Activation;
  /** Divide attention scores by √headDim. */
  readonly scaleAttnWeights: boolean;
  /** Divide the scores of layer i by i + 1 as well. */
  readonly scaleAttnByInverseLayerIdx: boolean;
  /** By layer: the positions that a token sees, itself included; 0: all. Without it there are no windows (GPT-Neo has them). */
  readonly windows?: readonly number[];
  /** The matrix that gives the logits is `wte`, the embedding. */
  readonly tieWordEmbeddings: boolean;
}

export const GPT2: Architecture = {
  modelType: 'gpt2',
  title: 'GPT-2',
  looksLike,
  vocabulary: { embedding: 'wte.weight', head: 'lm_head.weight' },
  parse,
  tensorRole,
  tensors: (config, stored) => tensors(config as Gpt2Config, stored), // `parse` made the config
};

/** What attention scores are multiplied by. */
export function scoreScale(config: Gpt2Config, layer: number): number {
  const byHead = config.scaleAttnWeights ? 1 / Math.sqrt(config.headDim) : 1;
  return config.scaleAttnByInverseLayerIdx ? byHead / (layer + 1) : byHead;
}

/**
 * transformers before 2.2 wrote no model_type, nor does GPT2-Chinese: the class says it, or GPT-2's own names of sizes. GPT-1
 * (`afn`), CTRL (`dff`) and GPT-J (`rotary_dim`) have the same names and another forward pass.
 */
function looksLike(read: ConfigReader): boolean {
  const classes = read.value('architectures') ?? [];
  if (Array.isArray(classes) && classes.length > 0) {
    return classes.some((name) => /^(TF|Flax)?GPT2[A-Z]/.test(String(name)));
  }
  const has = (key: string) => read.value(key) !== undefined;
  return ['n_embd', 'n_head', 'n_layer'].every(has) && !['afn', 'dff', 'rotary_dim'].some(has);
}

function parse(read: ConfigReader): Gpt2Config {
  refuseUnsupported(read);
  const nEmbd = read.count('n_embd', 768, 'hidden_size');
  const nHead = read.count('n_head', 12, 'num_attention_heads');
  if (nEmbd % nHead !== 0) {
    throw read.wrong('n_head', `a divisor of n_embd (${nEmbd})`, nHead);
  }
  return {
    modelType: 'gpt2',
    vocabSize: read.count('vocab_size', 50257),
    nPositions: read.count('n_positions', 1024, 'max_position_embeddings'),
    nEmbd,
    nLayer: read.count('n_layer', 12, 'num_hidden_layers'),
    nHead,
    nKvHead: nHead,
    headDim: nEmbd / nHead,
    nInner: read.count('n_inner', 4 * nEmbd),
    layerNormEpsilon: read.epsilon('layer_norm_epsilon', 1e-5),
    activation: readActivation(read, 'activation_function', 'gelu_new'),
    scaleAttnWeights: read.flag('scale_attn_weights', true),
    scaleAttnByInverseLayerIdx: read.flag('scale_attn_by_inverse_layer_idx', false),
    tieWordEmbeddings: read.flag('tie_word_embeddings', true),
    eosTokenIds: read.ids('eos_token_id', []),
    usualTextEnd: TEXT_END,
  };
}

function refuseUnsupported(read: ConfigReader): void {
  if (read.flag('add_cross_attention', false)) {
    throw read.wrong('add_cross_attention', 'false (cross-attention is not computed)', true);
  }
  if (!read.flag('is_causal', true)) {
    throw read.wrong('is_causal', 'true (attention is causal)', false);
  }
  if (read.flag('multi_query', false)) {
    throw read.wrong('multi_query', 'false (multi-query attention is not computed)', true);
  }
  const heads = read.value('attention_head_type') ?? 'multihead';
  if (heads !== 'multihead') {
    throw read.wrong(
      'attention_head_type',
      '"multihead" (multi-query attention, as in SantaCoder, is not computed)',
      heads,
    );
  }
  for (const key of ['pruned_heads', 'per_layer_config']) {
    const value = read.value(key);
    if (value !== undefined && value !== null && Object.keys(Object(value)).length > 0) {
      throw read.wrong(key, 'nothing (it is not computed; use the plain weights)', value);
    }
  }
}

/** Heads of other uses: of transformers' other classes, of value models (TRL, trlX, DeepSpeed-Chat). */
const OTHER_USES = /^(score|classifier|multiple_choice_head|qa_outputs|v_head|value_head|reward_head|ilql_heads)\./;

function tensorRole(name: string): TensorRole | undefined {
  if (/^h\.\d+\.attn\.(bias|masked_bias)$/.test(name)) {
    return 'buffer'; // the causal mask
  }
  if (/^(wte|wpe|ln_f|h\.\d+)\./.test(name)) {
    return 'body';
  }
  return name.startsWith('lm_head.') ? 'head' : OTHER_USES.test(name) ? 'otherUse' : undefined;
}

function* tensors(config: Gpt2Config, stored: { has(name: string): boolean }): Generator<ExpectedTensor, void> {
  const { vocabSize, nPositions, nEmbd, nLayer, nInner } = config;
  const isHeadAlone = config.tieWordEmbeddings && stored.has('lm_head.weight') && !stored.has('wte.weight');
  const wte = { name: 'wte.weight', shape: [vocabSize, nEmbd], isMatrix: true };
  yield isHeadAlone ? { ...wte, storedAs: 'lm_head.weight' } : wte;
  yield { name: 'wpe.weight', shape: [nPositions, nEmbd] };
  for (let i = 0; i < nLayer; i++) {
    yield* weightAndBias(`h.${i}.ln_1`, [nEmbd]);
    yield* weightAndBias(`h.${i}.attn.c_attn`, [nEmbd, 3 * nEmbd]);
    yield* weightAndBias(`h.${i}.attn.c_proj`, [nEmbd, nEmbd]);
    yield* weightAndBias(`h.${i}.ln_2`, [nEmbd]);
    yield* weightAndBias(`h.${i}.mlp.c_fc`, [nEmbd, nInner]);
    yield* weightAndBias(`h.${i}.mlp.c_proj`, [nInner, nEmbd]);
  }
  yield* weightAndBias('ln_f', [nEmbd]);
  if (!config.tieWordEmbeddings || (stored.has('lm_head.weight') && !isHeadAlone)) {
    yield { name: 'lm_head.weight', shape: [vocabSize, nEmbd], isMatrix: true };
  }
}

/** Models are trained without biases, or without those of some layers: of all blocks then. `ln_f` goes with the other norms. */
function weightAndBias(name: string, shape: readonly number[]): ExpectedTensor[] {
  const bias = `${name}.bias`;
  const zeroWithout = name === 'ln_f' ? ['h.*.ln_1.bias', 'h.*.ln_2.bias', bias] : [kindOf(bias)];
  return [
    { name: `${name}.weight`, shape, isMatrix: shape.length === 2, isInputFirst: shape.length === 2 },
    { name: bias, shape: shape.slice(-1), zeroWithout },
  ];
}
