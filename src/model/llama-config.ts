// The Llama family: Llama, Mistral, Qwen2, Qwen3 and SmolLM3, which are one forward pass with small variations. How each
// config.json is read, and which tensors the models have. Every variation that the config can name is computed or refused by
// name. Knows nothing of files or tensor libraries. Reference: the configuration_*.py and modeling_*.py of transformers.

import { type Activation, readActivation } from './activations.js';
import type { Architecture, ConfigReader, ExpectedTensor, ModelConfig, TensorRole } from './config.js';
import { readFew } from './few.js';
import { type Rotary, readRotary } from './rotary.js';
import { refuseFlag, refuseUnsupported } from './unsupported.js';
import { vocabularyTensors } from './vocabulary-tensors.js';
import { readWindows } from './windows.js';

export interface LlamaConfig extends ModelConfig {
  /** The width of the hidden layer of the MLP. */
  readonly nInner: number;
  readonly rmsNormEpsilon: number;
  readonly activation: Activation;
  /** Which products have a bias: those of queries, keys and values; that of the attention's result; those of the MLP. */
  readonly biases: { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean };
  /** Each head of queries and keys has an RMS norm. */
  readonly hasQkNorm: boolean;
  readonly rotary: Rotary;
  /** By layer: are its queries and keys turned by their positions? */
  readonly rotates: readonly boolean[];
  /** By layer: the positions that a token sees, itself included; 0: all. */
  readonly windows: readonly number[];
  /** The matrix that gives the logits is the embedding. */
  readonly tieWordEmbeddings: boolean;
}

/** What transformers takes where a config.json says nothing. */
interface Defaults {
  readonly vocab_size: number;
  readonly intermediate_size: number;
  /** 0: as many as heads. */
  readonly num_key_value_heads: number;
  /** 0: hidden_size / num_attention_heads. */
  readonly head_dim: number;
  readonly max_position_embeddings: number;
  readonly rope_theta: number;
  readonly num_hidden_layers: number;
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly tie_word_embeddings: boolean;
}

interface Variation {
  readonly modelType: string;
  readonly title: string;
  /** The classes in `architectures` of a config without model_type. */
  readonly classes: RegExp;
  readonly defaults: Defaults;
  readonly biases: (read: ConfigReader, title: string) => LlamaConfig['biases'];
  readonly hasQkNorm: boolean;
}

const LLAMA_DEFAULTS: Defaults = {
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 0,
  head_dim: 0,
  max_position_embeddings: 2048,
  rope_theta: 10000,
  tie_word_embeddings: false,
};

const QWEN_DEFAULTS: Defaults = {
  ...LLAMA_DEFAULTS,
  vocab_size: 151936,
  intermediate_size: 22016,
  num_key_value_heads: 32,
  max_position_embeddings: 32768,
};

const VARIATIONS: readonly Variation[] = [
  {
    modelType: 'llama',
    title: 'Llama',
    classes: /^Llama[A-Z]/,
    defaults: LLAMA_DEFAULTS,
    biases: (read) => biasesOf(read.flag('attention_bias', false), read.flag('mlp_bias', false)),
    hasQkNorm: false,
  },
  {
    modelType: 'mistral',
    title: 'Mistral',
    classes: /^Mistral[A-Z]/,
    defaults: {
      ...LLAMA_DEFAULTS,
      intermediate_size: 14336,
      num_key_value_heads: 8,
      max_position_embeddings: 131072,
    },
    biases: (read, title) => {
      refuseFlag(read, 'attention_bias', title);
      refuseFlag(read, 'mlp_bias', title);
      return biasesOf(false, false);
    },
    hasQkNorm: false,
  },
  {
    modelType: 'qwen2',
    title: 'Qwen2',
    classes: /^Qwen2[A-Z]/,
    defaults: QWEN_DEFAULTS,
    biases: (read, title) => {
      refuseFlag(read, 'mlp_bias', title);
      return { qkv: true, output: false, mlp: false };
    },
    hasQkNorm: false,
  },
  {
    modelType: 'qwen3',
    title: 'Qwen3',
    classes: /^Qwen3[A-Z]/,
    defaults: { ...QWEN_DEFAULTS, head_dim: 128 },
    biases: (read, title) => {
      refuseFlag(read, 'mlp_bias', title);
      return biasesOf(read.flag('attention_bias', false), false);
    },
    hasQkNorm: true,
  },
  {
    modelType: 'smollm3',
    title: 'SmolLM3',
    classes: /^SmolLM3[A-Z]/,
    defaults: {
      ...LLAMA_DEFAULTS,
      vocab_size: 128256,
      hidden_size: 2048,
      num_hidden_layers: 36,
      num_attention_heads: 16,
      num_key_value_heads: 4,
      max_position_embeddings: 32768,
      rope_theta: 2000000,
      tie_word_embeddings: true,
    },
    biases: (read) => biasesOf(read.flag('attention_bias', false), read.flag('mlp_bias', false)),
    hasQkNorm: false,
  },
];

/** The tensors whose rows are tokens. */
export const LLAMA_VOCABULARY = { embedding: 'embed_tokens.weight', head: 'lm_head.weight' };

export const LLAMA_FAMILY: readonly Architecture[] = VARIATIONS.map((variation) => ({
  modelType: variation.modelType,
  title: variation.title,
  looksLike: (read) => looksLike(read, variation),
  parse: (read) => parse(read, variation),
  vocabulary: LLAMA_VOCABULARY,
  tensorRole,
  tensors: (config, stored) => tensors(config as LlamaConfig, stored), // `parse` made the config
}));

/** What transformers takes for `eos_token_id` where a config.json names none; Qwen has none. */
const TEXT_ENDS = new Map([
  ['llama', 2],
  ['mistral', 2],
  ['smollm3', 128001],
]);

function biasesOf(attention: boolean, mlp: boolean): LlamaConfig['biases'] {
  return { qkv: attention, output: attention, mlp };
}

function looksLike(read: ConfigReader, { classes }: Variation): boolean {
  const names = read.value('architectures');
  return Array.isArray(names) && names.some((name) => classes.test(String(name)));
}

function parse(read: ConfigReader, { modelType, title, defaults, biases, hasQkNorm }: Variation): LlamaConfig {
  refuseUnsupported(read);
  for (const key of ['qk_norm', 'use_qk_norm', 'qk_layernorm']) {
    if (!hasQkNorm) {
      refuseFlag(read, key, title);
    }
  }
  const nLayer = readFew(read, 'num_hidden_layers', defaults.num_hidden_layers);
  const nPositions = read.count('max_position_embeddings', defaults.max_position_embeddings);
  const heads = readHeads(read, defaults);
  const rotates = readRotates(read, modelType, nLayer);
  const windows = readWindows(read, { modelType, nLayer, nPositions, rotates });
  return {
    modelType,
    vocabSize: read.count('vocab_size', defaults.vocab_size),
    nPositions,
    nLayer,
    ...heads,
    nInner: read.count('intermediate_size', defaults.intermediate_size),
    rmsNormEpsilon: read.epsilon('rms_norm_eps', 1e-6),
    activation: readActivation(read, 'hidden_act', 'silu'),
    biases: biases(read, title),
    hasQkNorm,
    rotary: readRotary(read, { dimensions: rotaryDimensions(read, heads.headDim), theta: defaults.rope_theta }),
    rotates,
    windows,
    tieWordEmbeddings: read.flag('tie_word_embeddings', defaults.tie_word_embeddings),
    eosTokenIds: read.ids('eos_token_id', []),
    usualTextEnd: TEXT_ENDS.get(modelType),
  };
}

type Heads = Pick<LlamaConfig, 'nEmbd' | 'nHead' | 'nKvHead' | 'headDim'>;

function readHeads(read: ConfigReader, defaults: Defaults): Heads {
  const nEmbd = read.count('hidden_size', defaults.hidden_size);
  const nHead = read.count('num_attention_heads', defaults.num_attention_heads);
  const kvHeads = read.value('num_key_value_heads') === null ? 0 : defaults.num_key_value_heads; // null is not the default
  const nKvHead = read.count('num_key_value_heads', kvHeads || nHead);
  if (nHead % nKvHead !== 0) {
    throw read.wrong('num_key_value_heads', `a divisor of num_attention_heads (${nHead})`, nKvHead);
  }
  const headDim = readFew(read, 'head_dim', defaults.head_dim || Math.max(1, Math.floor(nEmbd / nHead)));
  return { nEmbd, nHead, nKvHead, headDim };
}

/** All of a head: these architectures have no other rotary positions. */
function rotaryDimensions(read: ConfigReader, headDim: number): number {
  for (const key of ['partial_rotary_factor', 'rotary_pct']) {
    const part = read.object('rope_parameters')?.value(key) ?? read.value(key) ?? 1;
    if (part !== 1) {
      throw read.wrong(key, '1 (here all numbers of a head are turned)', part);
    }
  }
  if (headDim % 2 !== 0) {
    throw read.wrong('head_dim', 'an even number', headDim);
  }
  return headDim;
}

/** SmolLM3 turns nothing in every fourth layer, or in those that are 0 in a list. */
function readRotates(read: ConfigReader, modelType: string, nLayer: number): readonly boolean[] {
  if (modelType !== 'smollm3') {
    return Array.from({ length: nLayer }, () => true);
  }
  const interval = read.count('no_rope_layer_interval', 4);
  const listed = read.value('no_rope_layers') ?? undefined;
  if (listed === undefined) {
    return Array.from({ length: nLayer }, (_, layer) => (layer + 1) % interval !== 0);
  }
  if (
    !Array.isArray(listed) ||
    listed.length !== nLayer ||
    !listed.every((flag) => [0, 1, true, false].includes(flag))
  ) {
    throw read.wrong('no_rope_layers', `${nLayer} times 0 or 1, one for each layer`, listed);
  }
  return listed.map(Boolean);
}

/** Heads of other uses: of transformers' other classes, of value models. */
const OTHER_USES = /^(score|classifier|qa_outputs|v_head|value_head|reward_head|ilql_heads)\./;

function tensorRole(name: string): TensorRole | undefined {
  if (/^(layers\.\d+\.self_attn\.)?rotary_emb\.(inv_freq|cos_cached|sin_cached)$/.test(name)) {
    return 'buffer'; // computed from the config
  }
  if (/^(embed_tokens|layers\.\d+|norm)\./.test(name)) {
    return 'body';
  }
  return name.startsWith('lm_head.') ? 'head' : OTHER_USES.test(name) ? 'otherUse' : undefined;
}

function* tensors(config: LlamaConfig, stored: { has(name: string): boolean }): Generator<ExpectedTensor, void> {
  const { nEmbd, nLayer, nHead, nKvHead, headDim, nInner, biases, hasQkNorm } = config;
  const { first, last } = vocabularyTensors(config, LLAMA_VOCABULARY, stored);
  yield first;
  for (let i = 0; i < nLayer; i++) {
    const attention = `layers.${i}.self_attn`;
    const mlp = `layers.${i}.mlp`;
    yield { name: `layers.${i}.input_layernorm.weight`, shape: [nEmbd] };
    yield* linear(`${attention}.q_proj`, nHead * headDim, nEmbd, biases.qkv);
    yield* linear(`${attention}.k_proj`, nKvHead * headDim, nEmbd, biases.qkv);
    yield* linear(`${attention}.v_proj`, nKvHead * headDim, nEmbd, biases.qkv);
    yield* linear(`${attention}.o_proj`, nEmbd, nHead * headDim, biases.output);
    if (hasQkNorm) {
      yield { name: `${attention}.q_norm.weight`, shape: [headDim] };
      yield { name: `${attention}.k_norm.weight`, shape: [headDim] };
    }
    yield { name: `layers.${i}.post_attention_layernorm.weight`, shape: [nEmbd] };
    yield* linear(`${mlp}.gate_proj`, nInner, nEmbd, biases.mlp);
    yield* linear(`${mlp}.up_proj`, nInner, nEmbd, biases.mlp);
    yield* linear(`${mlp}.down_proj`, nEmbd, nInner, biases.mlp);
  }
  yield { name: 'norm.weight', shape: [nEmbd] };
  if (last !== undefined) {
    yield last;
  }
}

function linear(name: string, rows: number, columns: number, hasBias: boolean): ExpectedTensor[] {
  const weight = { name: `${name}.weight`, shape: [rows, columns], isMatrix: true };
  return hasBias ? [weight, { name: `${name}.bias`, shape: [rows] }] : [weight];
}
