// The architecture GPT-Neo, which the TinyStories models have: GPT-2 with unscaled scores, and layers in which a token sees the newest
// positions alone. How its config.json is read, and which tensors it has. Knows nothing of files or tensor libraries.
// Reference: GPTNeoConfig and modeling_gpt_neo.py of transformers.

import { readActivation } from './activations.js';
import type { Architecture, ConfigReader, ExpectedTensor, TensorRole } from './config.js';
import { readFew } from './few.js';
import type { Gpt2Config } from './gpt2-config.js';
import { refuseUnsupported } from './unsupported.js';
import { vocabularyTensors } from './vocabulary-tensors.js';

/** The forward pass is that of GPT-2. */
export interface GptNeoConfig extends Gpt2Config {
  /** By layer: the positions that a token sees, itself included; 0: all. */
  readonly windows: readonly number[];
}

export const GPT_NEO: Architecture = {
  modelType: 'gpt_neo',
  title: 'GPT-Neo',
  looksLike,
  vocabulary: { embedding: 'wte.weight', head: 'lm_head.weight' },
  parse,
  tensorRole,
  tensors: (config, stored) => tensors(config as GptNeoConfig, stored), // `parse` made the config
};

function looksLike(read: ConfigReader): boolean {
  const names = read.value('architectures');
  return Array.isArray(names) && names.some((name) => /^(Flax)?GPTNeo(For|Model)/.test(String(name)));
}

function parse(read: ConfigReader): GptNeoConfig {
  refuseUnsupported(read);
  const nEmbd = read.count('hidden_size', 2048);
  const nHead = read.count('num_heads', 16, 'num_attention_heads');
  if (nEmbd % nHead !== 0) {
    throw read.wrong('num_heads', `a divisor of hidden_size (${nEmbd})`, nHead);
  }
  const nLayer = readFew(read, 'num_layers', 24, 'num_hidden_layers');
  const nPositions = read.count('max_position_embeddings', 2048);
  return {
    modelType: 'gpt_neo',
    vocabSize: read.count('vocab_size', 50257),
    nPositions,
    nEmbd,
    nLayer,
    nHead,
    nKvHead: nHead,
    headDim: nEmbd / nHead,
    nInner: read.count('intermediate_size', 4 * nEmbd),
    layerNormEpsilon: read.epsilon('layer_norm_epsilon', 1e-5),
    activation: readActivation(read, 'activation_function', 'gelu_new'),
    scaleAttnWeights: false,
    scaleAttnByInverseLayerIdx: false,
    windows: readWindows(read, nLayer, nPositions),
    tieWordEmbeddings: read.flag('tie_word_embeddings', true),
    eosTokenIds: read.ids('eos_token_id', []),
    usualTextEnd: 50256, // what transformers takes
  };
}

/** `attention_layers` has a word for each layer; `attention_types` has lists of them, each with how often it is repeated. */
function readWindows(read: ConfigReader, nLayer: number, nPositions: number): readonly number[] {
  const size = read.count('window_size', 256);
  const listed = read.value('attention_layers') ?? undefined;
  const kinds = listed ?? expanded(read, nLayer);
  if (
    !Array.isArray(kinds) ||
    kinds.length !== nLayer ||
    !kinds.every((kind) => kind === 'global' || kind === 'local')
  ) {
    const key = listed === undefined ? 'attention_types' : 'attention_layers';
    throw read.wrong(key, `"global" or "local" for each of ${nLayer} layers`, read.value(key));
  }
  return kinds.map((kind) => (kind === 'local' && size < nPositions ? size : 0)); // a wider one hides nothing
}

/** undefined: it is no such list. */
function expanded(read: ConfigReader, nLayer: number): readonly unknown[] | undefined {
  const types = read.value('attention_types') ?? [[['global', 'local'], 12]];
  const kinds: unknown[] = [];
  for (const [pattern, times] of Array.isArray(types) ? types.map(pairOf) : []) {
    for (let i = 0; i < times && kinds.length <= nLayer; i++) {
      kinds.push(...pattern);
    }
  }
  return kinds;
}

function pairOf(value: unknown): [pattern: readonly unknown[], times: number] {
  const [pattern, times] = Array.isArray(value) ? value : [];
  return [Array.isArray(pattern) ? pattern : [], Number.isSafeInteger(times) ? times : 0];
}

function tensorRole(name: string): TensorRole | undefined {
  if (/^h\.\d+\.attn\.attention\.(bias|masked_bias)$/.test(name)) {
    return 'buffer'; // the causal mask
  }
  if (/^(wte|wpe|ln_f|h\.\d+)\./.test(name)) {
    return 'body';
  }
  return name.startsWith('lm_head.')
    ? 'head'
    : /^(score|classifier|qa_outputs|v_head)\./.test(name)
      ? 'otherUse'
      : undefined;
}

function* tensors(config: GptNeoConfig, stored: { has(name: string): boolean }): Generator<ExpectedTensor, void> {
  const { nPositions, nEmbd, nLayer, nInner } = config;
  const { first, last } = vocabularyTensors(config, GPT_NEO.vocabulary, stored);
  yield first;
  yield { name: 'wpe.weight', shape: [nPositions, nEmbd] };
  for (let i = 0; i < nLayer; i++) {
    const attention = `h.${i}.attn.attention`;
    yield* vectors(`h.${i}.ln_1`, nEmbd);
    for (const part of ['q_proj', 'k_proj', 'v_proj']) {
      yield { name: `${attention}.${part}.weight`, shape: [nEmbd, nEmbd], isMatrix: true };
    }
    yield* linear(`${attention}.out_proj`, nEmbd, nEmbd);
    yield* vectors(`h.${i}.ln_2`, nEmbd);
    yield* linear(`h.${i}.mlp.c_fc`, nInner, nEmbd);
    yield* linear(`h.${i}.mlp.c_proj`, nEmbd, nInner);
  }
  yield* vectors('ln_f', nEmbd);
  if (last !== undefined) {
    yield last;
  }
}

function vectors(name: string, width: number): ExpectedTensor[] {
  return ['weight', 'bias'].map((part) => ({ name: `${name}.${part}`, shape: [width] }));
}

function linear(name: string, rows: number, columns: number): ExpectedTensor[] {
  return [
    { name: `${name}.weight`, shape: [rows, columns], isMatrix: true },
    { name: `${name}.bias`, shape: [rows] },
  ];
}
