// What a config.json would say, made from the metadata of a GGUF file. What would change the result and is not computed is
// refused by the key that says it. Knows nothing of how the file is read, or of what an architecture makes of its config.
// References: `load_hparams` of ggml-org/llama.cpp src/llama-model.cpp; gguf-py/gguf/constants.py; the configs of transformers.

import { KvgenError, shown } from '../errors.js';
import type { GgufHeader } from '../gguf/header.js';
import type { GgufMetadata } from '../gguf/metadata.js';
import { type HeadSizes, NAME_TABLES } from './gguf-names.js';

type Config = Record<string, unknown>;

/** The numbers of an architecture: its keys begin with its name. */
class Keys {
  readonly #metadata: GgufMetadata;
  readonly #architecture: string;

  constructor(metadata: GgufMetadata, architecture: string) {
    this.#metadata = metadata;
    this.#architecture = architecture;
  }

  key(name: string): string {
    return `${this.#architecture}.${name}`;
  }

  /** @throws KvgenError where it is missing, or 0, or differs between the layers */
  count(name: string, fallback?: number): number {
    const key = this.key(name);
    const count = this.#sameForAll(key) ?? this.#metadata.count(key) ?? fallback;
    if (count === undefined || !Number.isSafeInteger(count) || count < 1) {
      throw this.#metadata.wrong(key, 'a whole number from 1');
    }
    return count;
  }

  /** Some files have a list with a number for each layer. */
  #sameForAll(key: string): number | undefined {
    if (!ArrayBuffer.isView(this.#metadata.value(key))) {
      return undefined;
    }
    const list = Array.from(this.#metadata.numbers(key) ?? []);
    if (list.length === 0 || list.some((value) => value !== list[0])) {
      throw this.#metadata.wrong(key, 'the same number in all layers');
    }
    return list[0];
  }

  number(name: string): number | undefined {
    return this.#metadata.number(this.key(name));
  }

  required(name: string): number {
    const value = this.number(name);
    if (value === undefined) {
      throw this.#metadata.wrong(this.key(name), 'a number');
    }
    return value;
  }

  flag(name: string): boolean | undefined {
    return this.#metadata.flag(this.key(name));
  }

  text(name: string): string | undefined {
    return this.#metadata.text(this.key(name));
  }

  wrong(name: string, expected: string): KvgenError {
    return this.#metadata.wrong(this.key(name), expected);
  }
}

interface Kind {
  readonly modelType: string;
  readonly config: (keys: Keys, header: GgufHeader, factors: readonly number[] | undefined) => Config;
}

const KINDS: ReadonlyMap<string, Kind> = new Map([
  ['gpt2', { modelType: 'gpt2', config: gpt2 }],
  ['llama', { modelType: 'llama', config: llama }],
  ['qwen2', { modelType: 'qwen2', config: llama }],
  ['qwen3', { modelType: 'qwen3', config: llama }],
  ['gptneox', { modelType: 'gpt_neox', config: neox }],
]);

/** Keys of what is not computed, with the value that changes nothing. */
const NOT_COMPUTED: readonly (readonly [name: string, neutral: number])[] = [
  ['expert_count', 0],
  ['expert_used_count', 0],
  ['attention.clamp_kqv', 0],
  ['attention.max_alibi_bias', 0],
  ['attention.scale', 0],
  ['attn_logit_softcapping', 0],
  ['final_logit_softcapping', 0],
  ['logit_scale', 1],
  ['residual_scale', 1],
  ['embedding_scale', 1],
  ['rope.scaling.attn_factor', 1],
];

/**
 * @param factors of the rotary frequencies, where the file has such
 * @throws KvgenError that names the key, what was expected and what was found
 */
export function ggufConfig(header: GgufHeader, factors: readonly number[] | undefined): Config {
  const { metadata } = header;
  const architecture = architectureOf(metadata);
  const keys = new Keys(metadata, architecture);
  for (const [name, neutral] of NOT_COMPUTED) {
    const value = keys.number(name);
    if (value !== undefined && value !== neutral) {
      throw keys.wrong(name, `${neutral} (it is not computed)`);
    }
  }
  const { modelType, config } = KINDS.get(architecture) as Kind;
  return {
    model_type: modelType,
    vocab_size: vocabularySize(header),
    ...config(keys, header, factors),
    tie_word_embeddings: !header.tensors.has('output.weight'),
    ...endIds(metadata),
  };
}

/** What decides the order of rows in the file. @throws KvgenError */
export function headSizes(header: GgufHeader): HeadSizes {
  const keys = new Keys(header.metadata, architectureOf(header.metadata));
  const nHead = keys.count('attention.head_count');
  const headDim = keys.count('attention.key_length', keys.count('embedding_length') / nHead);
  return { nHead, nKvHead: keys.count('attention.head_count_kv', nHead), headDim };
}

/** @throws KvgenError for one that is not known */
export function architectureOf(metadata: GgufMetadata): string {
  const architecture = metadata.text('general.architecture');
  if (architecture === undefined || !NAME_TABLES.has(architecture)) {
    const known = [...NAME_TABLES.keys()].map((name) => shown(name)).join(', ');
    throw metadata.wrong('general.architecture', `one of ${known} (others are not done yet)`);
  }
  return architecture;
}

/** The rows of the embedding, of which some may have no token. */
function vocabularySize({ path, tensors }: GgufHeader): number {
  const embedding = tensors.get('token_embd.weight');
  const [rows] = embedding?.shape ?? [];
  if (embedding?.shape.length !== 2 || rows === undefined) {
    throw new KvgenError(`${path}: token_embd.weight: expected a matrix, found ${shown(embedding?.shape)}`);
  }
  return rows;
}

function gpt2(keys: Keys): Config {
  const nEmbd = keys.count('embedding_length');
  return {
    n_positions: keys.count('context_length'),
    n_embd: nEmbd,
    n_layer: keys.count('block_count'),
    n_head: keys.count('attention.head_count'),
    n_inner: keys.count('feed_forward_length', 4 * nEmbd),
    layer_norm_epsilon: keys.required('attention.layer_norm_epsilon'),
  };
}

function llama(keys: Keys, header: GgufHeader, factors: readonly number[] | undefined): Config {
  const { nHead, nKvHead, headDim } = headSizes(header);
  const positions = keys.count('context_length');
  checkWindow(keys, positions);
  checkHeads(keys, headDim);
  return {
    max_position_embeddings: positions,
    hidden_size: keys.count('embedding_length'),
    intermediate_size: keys.count('feed_forward_length'),
    num_hidden_layers: keys.count('block_count'),
    num_attention_heads: nHead,
    num_key_value_heads: nKvHead,
    head_dim: headDim,
    hidden_act: 'silu',
    rms_norm_eps: keys.required('attention.layer_norm_rms_epsilon'),
    rope_theta: keys.number('rope.freq_base') ?? 10_000,
    rope_scaling: scaling(keys, positions, factors),
    attention_bias: header.tensors.has('blk.0.attn_q.bias'),
    mlp_bias: header.tensors.has('blk.0.ffn_gate.bias'),
  };
}

function neox(keys: Keys, header: GgufHeader): Config {
  const { nHead, headDim } = headSizes(header);
  return {
    max_position_embeddings: keys.count('context_length'),
    hidden_size: keys.count('embedding_length'),
    intermediate_size: keys.count('feed_forward_length'),
    num_hidden_layers: keys.count('block_count'),
    num_attention_heads: nHead,
    hidden_act: 'gelu',
    layer_norm_eps: keys.required('attention.layer_norm_epsilon'),
    rotary_pct: keys.count('rope.dimension_count', headDim) / headDim,
    rotary_emb_base: keys.number('rope.freq_base') ?? 10_000,
    use_parallel_residual: keys.flag('use_parallel_residual') ?? true,
  };
}

/** A window as long as the context is none. */
function checkWindow(keys: Keys, positions: number): void {
  const window = keys.number('attention.sliding_window') ?? 0;
  if (window > 0 && window < positions) {
    throw keys.wrong('attention.sliding_window', `nothing, or at least the context, ${positions}`);
  }
}

/** Keys and values of one width, all of it with rotary positions: else the rows are stored in another order than is read. */
function checkHeads(keys: Keys, headDim: number): void {
  for (const name of ['attention.value_length', 'rope.dimension_count']) {
    if (keys.count(name, headDim) !== headDim) {
      throw keys.wrong(name, `the width of a head, ${headDim}`);
    }
  }
  if (headDim % 2 !== 0) {
    throw keys.wrong('attention.key_length', 'an even number');
  }
}

/** As transformers writes it. llama.cpp takes factors of frequencies for what is left of Llama 3's scaling. */
function scaling(keys: Keys, positions: number, factors: readonly number[] | undefined): Config | null {
  const type = keys.text('rope.scaling.type') ?? 'linear';
  const factor = keys.number('rope.scaling.factor') ?? keys.number('rope.scale_linear') ?? 1;
  if (type !== 'linear' && type !== 'none') {
    throw keys.wrong('rope.scaling.type', '"none" or "linear" (others are not computed)');
  }
  const isScaled = type === 'linear' && factor !== 1;
  if (factors === undefined) {
    return isScaled ? { rope_type: 'linear', factor } : null;
  }
  if (isScaled) {
    throw keys.wrong('rope.scaling.factor', '1 beside factors for each frequency');
  }
  return {
    rope_type: 'longrope',
    short_factor: factors,
    long_factor: factors,
    attention_factor: 1,
    original_max_position_embeddings: positions,
  };
}

/** Tokens that end a text whatever the metadata says of them, as llama.cpp knows them. */
const ENDS: ReadonlySet<string> = new Set([
  '<|eot_id|>',
  '<|im_end|>',
  '<|end|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '</s>',
  '<|eom_id|>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<eos>',
]);
/** Of `tokenizer.ggml.token_type`. */
const CONTROL = 3;

function endIds(metadata: GgufMetadata): Config {
  const tokens = metadata.texts('tokenizer.ggml.tokens') ?? [];
  const types = metadata.numbers('tokenizer.ggml.token_type') ?? [];
  const named = ['eos', 'eot', 'eom'].map((name) => metadata.count(`tokenizer.ggml.${name}_token_id`));
  const known = tokens.flatMap((token, id) => (types[id] === CONTROL && ENDS.has(token) ? [id] : []));
  const ids = [...named, ...known].filter((id) => id !== undefined);
  const bos = metadata.count('tokenizer.ggml.bos_token_id');
  return {
    ...(bos === undefined ? {} : { bos_token_id: bos }),
    ...(ids.length === 0 ? {} : { eos_token_id: [...new Set(ids)] }),
  };
}
