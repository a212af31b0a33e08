// The architecture GPT-NeoX, which Pythia has: how its config.json is read, and which tensors it has. Every variation that the config
// can name is computed or refused by name. Knows nothing of files or tensor libraries.
// Reference: GPTNeoXConfig and modeling_gpt_neox.py of transformers.

import { type Activation, readActivation } from './activations.js';
import type { Architecture, ConfigReader, ExpectedTensor, ModelConfig, TensorRole } from './config.js';
import { MOST, readFew } from './few.js';
import { type Rotary, readRotary } from './rotary.js';
import { refuseUnsupported } from './unsupported.js';
import { vocabularyTensors } from './vocabulary-tensors.js';

export interface GptNeoxConfig extends ModelConfig {
  /** The width of the hidden layer of the MLP. */
  readonly nInner: number;
  readonly layerNormEpsilon: number;
  readonly activation: Activation;
  /** Attention's products have a bias. */
  readonly hasAttentionBias: boolean;
  readonly rotary: Rotary;
  /** Attention and MLP read the same x; else the MLP reads what attention has been added to. */
  readonly isParallel: boolean;
  /** The matrix that gives the logits is the embedding. */
  readonly tieWordEmbeddings: boolean;
}

export const GPT_NEOX: Architecture = {
  modelType: 'gpt_neox',
  title: 'GPT-NeoX',
  looksLike,
  vocabulary: { embedding: 'embed_in.weight', head: 'embed_out.weight' },
  parse,
  tensorRole,
  tensors: (config, stored) => tensors(config as GptNeoxConfig, stored), // `parse` made the config
};

function looksLike(read: ConfigReader): boolean {
  const names = read.value('architectures');
  return Array.isArray(names) && names.some((name) => /^GPTNeoX[A-Z]/.test(String(name)));
}

function parse(read: ConfigReader): GptNeoxConfig {
  refuseUnsupported(read);
  const nEmbd = read.count('hidden_size', 6144);
  const nHead = read.count('num_attention_heads', 64);
  if (nEmbd % nHead !== 0) {
    throw read.wrong('num_attention_heads', `a divisor of hidden_size (${nEmbd})`, nHead);
  }
  const headDim = nEmbd / nHead;
  return {
    modelType: 'gpt_neox',
    vocabSize: read.count('vocab_size', 50432),
    nPositions: read.count('max_position_embeddings', 2048),
    nEmbd,
    nLayer: readFew(read, 'num_hidden_layers', 44),
    nHead,
    nKvHead: nHead,
    headDim,
    nInner: read.count('intermediate_size', 24576),
    layerNormEpsilon: read.epsilon('layer_norm_eps', 1e-5),
    activation: readActivation(read, 'hidden_act', 'gelu'),
    hasAttentionBias: read.flag('attention_bias', true),
    rotary: rotaryOf(read, headDim),
    isParallel: read.flag('use_parallel_residual', true),
    tieWordEmbeddings: read.flag('tie_word_embeddings', false),
    eosTokenIds: read.ids('eos_token_id', []),
    usualTextEnd: 2, // what transformers takes
  };
}

/** A part of each head is turned: `rotary_pct`, or in transformers 5 the `partial_rotary_factor` of `rope_parameters`. */
function rotaryOf(read: ConfigReader, headDim: number): Rotary {
  const part = read.object('rope_parameters')?.value('partial_rotary_factor') ?? read.value('rotary_pct') ?? 0.25;
  const dimensions = typeof part === 'number' ? Math.floor(headDim * part) : 0;
  if (!(dimensions >= 2) || dimensions > Math.min(headDim, MOST) || dimensions % 2 !== 0) {
    throw read.wrong('rotary_pct', `a part of a head (${headDim} numbers) that is an even number of 2 or more`, part);
  }
  return readRotary(read, { dimensions, theta: 10000, thetaKey: 'rotary_emb_base' });
}

function tensorRole(name: string): TensorRole | undefined {
  if (/^(layers\.\d+\.attention\.)?(rotary_emb\.inv_freq|bias|masked_bias)$/.test(name) && name.includes('.')) {
    return 'buffer'; // computed from the config
  }
  if (/^(embed_in|final_layer_norm|layers\.\d+)\./.test(name)) {
    return 'body';
  }
  return name.startsWith('embed_out.')
    ? 'head'
    : /^(score|classifier|qa_outputs|v_head)\./.test(name)
      ? 'otherUse'
      : undefined;
}

function* tensors(config: GptNeoxConfig, stored: { has(name: string): boolean }): Generator<ExpectedTensor, void> {
  const { nEmbd, nLayer, nInner, hasAttentionBias } = config;
  const { first, last } = vocabularyTensors(config, GPT_NEOX.vocabulary, stored);
  yield first;
  for (let i = 0; i < nLayer; i++) {
    const layer = `layers.${i}`;
    yield* layerNorm(`${layer}.input_layernorm`, nEmbd);
    yield* linear(`${layer}.attention.query_key_value`, 3 * nEmbd, nEmbd, hasAttentionBias);
    yield* linear(`${layer}.attention.dense`, nEmbd, nEmbd, hasAttentionBias);
    yield* layerNorm(`${layer}.post_attention_layernorm`, nEmbd);
    yield* linear(`${layer}.mlp.dense_h_to_4h`, nInner, nEmbd, true);
    yield* linear(`${layer}.mlp.dense_4h_to_h`, nEmbd, nInner, true);
  }
  yield* layerNorm('final_layer_norm', nEmbd);
  if (last !== undefined) {
    yield last;
  }
}

function layerNorm(name: string, width: number): ExpectedTensor[] {
  return ['weight', 'bias'].map((part) => ({ name: `${name}.${part}`, shape: [width] }));
}

function linear(name: string, rows: number, columns: number, hasBias: boolean): ExpectedTensor[] {
  const weight = { name: `${name}.weight`, shape: [rows, columns], isMatrix: true };
  return hasBias ? [weight, { name: `${name}.bias`, shape: [rows] }] : [weight];
}
