// The model's config.json, read into what the forward pass needs. Every variation that a GPT-2 config can
// name is computed or refused by name; keys that cannot change inference (dropouts, summary_*) are ignored.
// Knows nothing of files or tensors. Reference: transformers' GPT2Config and modeling_gpt2.py.

import { KvgenError } from '../errors.js';

/** The activations of the MLP that the forward pass computes, by their canonical names. */
export const ACTIVATIONS = ['gelu_new', 'gelu', 'relu', 'silu', 'tanh', 'quick_gelu'] as const;
export type Activation = (typeof ACTIVATIONS)[number];

const ACTIVATION_ALIASES: Record<string, Activation> = { gelu_pytorch_tanh: 'gelu_new', swish: 'silu' };

/** What the forward pass must know of a GPT-2-style model. */
export interface Gpt2Config {
  readonly vocabSize: number;
  /** Positions that the model was trained for; the longest context. */
  readonly nPositions: number;
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  /** nEmbd / nHead. */
  readonly headDim: number;
  /** Width of the MLP's hidden layer. */
  readonly nInner: number;
  readonly layerNormEpsilon: number;
  readonly activation: Activation;
  /** Divide attention scores by √headDim. */
  readonly scaleAttnWeights: boolean;
  /** Divide the scores of layer i by i + 1 as well. */
  readonly scaleAttnByInverseLayerIdx: boolean;
  /** The output matrix is `wte`. */
  readonly tieWordEmbeddings: boolean;
  readonly eosTokenIds: readonly number[];
}

/**
 * Reads a parsed config.json.
 * @param json the parsed file
 * @param where its path, for messages
 * @throws KvgenError naming the key, what was expected and what was found
 */
export function parseConfig(json: unknown, where: string): Gpt2Config {
  const read = new Reader(asObject(json, where), where);
  refuseUnsupported(read);
  const nEmbd = read.count('n_embd', 768, 'hidden_size');
  const nHead = read.count('n_head', 12, 'num_attention_heads');
  if (nEmbd % nHead !== 0) {
    throw read.wrong('n_head', `a divisor of n_embd (${nEmbd})`, nHead);
  }
  return {
    vocabSize: read.count('vocab_size', 50257),
    nPositions: read.count('n_positions', 1024, 'max_position_embeddings'),
    nEmbd,
    nLayer: read.count('n_layer', 12, 'num_hidden_layers'),
    nHead,
    headDim: nEmbd / nHead,
    nInner: read.count('n_inner', 4 * nEmbd),
    layerNormEpsilon: read.epsilon(),
    activation: read.activation(),
    scaleAttnWeights: read.flag('scale_attn_weights', true),
    scaleAttnByInverseLayerIdx: read.flag('scale_attn_by_inverse_layer_idx', false),
    tieWordEmbeddings: read.flag('tie_word_embeddings', true),
    eosTokenIds: read.ids('eos_token_id', []),
  };
}

/**
 * The end-of-text ids: generation_config.json's where it names some, else the model's.
 * @param json the parsed generation_config.json, or undefined where there is none
 */
export function parseEosTokenIds(json: unknown, where: string, config: Gpt2Config): readonly number[] {
  return json === undefined
    ? config.eosTokenIds
    : new Reader(asObject(json, where), where).ids('eos_token_id', config.eosTokenIds);
}

/** Refuses, by name, what would change the result and is not computed. */
function refuseUnsupported(read: Reader): void {
  if (read.value('model_type') !== 'gpt2') {
    throw read.wrong('model_type', '"gpt2"', read.value('model_type'));
  }
  if (read.flag('add_cross_attention', false)) {
    throw read.wrong('add_cross_attention', 'false (cross-attention is not computed)', true);
  }
  if (!read.flag('is_causal', true)) {
    throw read.wrong('is_causal', 'true (attention is causal)', false);
  }
  for (const key of ['quantization_config', 'pruned_heads', 'per_layer_config']) {
    const value = read.value(key);
    if (value !== undefined && value !== null && Object.keys(Object(value)).length > 0) {
      throw read.wrong(key, 'nothing (it is not computed; use the plain weights)', value);
    }
  }
}

/** Typed access to one JSON object; every message names file, key, expected and found. */
class Reader {
  readonly #object: Record<string, unknown>;
  readonly #where: string;

  constructor(object: Record<string, unknown>, where: string) {
    this.#object = object;
    this.#where = where;
  }

  value(key: string): unknown {
    return this.#object[key];
  }

  wrong(key: string, expected: string, found: unknown): KvgenError {
    return new KvgenError(`${this.#where}: ${key}: expected ${expected}, found ${JSON.stringify(found) ?? 'nothing'}`);
  }

  count(key: string, fallback: number, alias?: string): number {
    const value = (alias === undefined ? undefined : this.value(alias)) ?? this.value(key) ?? fallback; // as in transformers, the alias wins
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
      throw this.wrong(key, 'a whole number of 1 or more', value);
    }
    return value;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'boolean') {
      throw this.wrong(key, 'true or false', value);
    }
    return value;
  }

  epsilon(): number {
    const value = this.value('layer_norm_epsilon') ?? 1e-5;
    if (typeof value !== 'number' || !(value >= 0) || !Number.isFinite(value)) {
      throw this.wrong('layer_norm_epsilon', 'a number of 0 or more', value);
    }
    return value;
  }

  activation(): Activation {
    const value = this.value('activation_function') ?? 'gelu_new';
    const name = typeof value === 'string' ? (ACTIVATION_ALIASES[value] ?? value) : value;
    const known = ACTIVATIONS.find((activation) => activation === name);
    if (known === undefined) {
      const names = [...ACTIVATIONS, ...Object.keys(ACTIVATION_ALIASES)].join(', ');
      throw this.wrong('activation_function', `one of ${names}`, value);
    }
    return known;
  }

  ids(key: string, fallback: readonly number[]): readonly number[] {
    const value = this.value(key) ?? fallback;
    const ids: unknown[] = Array.isArray(value) ? value : [value];
    if (!ids.every((id): id is number => typeof id === 'number' && Number.isSafeInteger(id) && id >= 0)) {
      throw this.wrong(key, 'a token id or a list of them', value);
    }
    return ids;
  }
}

function asObject(json: unknown, where: string): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new KvgenError(`${where}: expected a JSON object, found ${Array.isArray(json) ? 'an array' : String(json)}`);
  }
  return json as Record<string, unknown>;
}
