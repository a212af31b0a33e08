// What the tensors of a GGUF file are called in a Hugging Face folder, by the architecture that the file names, and how the
// order of their values differs there. Knows nothing of files.
// References: gguf-py/gguf/tensor_mapping.py of ggml-org/llama.cpp; `permute` and the `modify_tensors` of its converters.

import type { Placement, RowOrder } from './gguf-file.js';

/** What decides the order of rows. */
export interface HeadSizes {
  readonly nHead: number;
  readonly nKvHead: number;
  readonly headDim: number;
}

interface NameTable {
  /** Names outside of the blocks. */
  readonly around: Readonly<Record<string, string>>;
  /** In front of the number of a block. */
  readonly block: string;
  /** Names within a block. */
  readonly inside: Readonly<Record<string, string>>;
  readonly order?: (name: string, sizes: HeadSizes) => Omit<Placement, 'name'> | undefined;
}

const LLAMA: NameTable = {
  around: { token_embd: 'model.embed_tokens', output_norm: 'model.norm', output: 'lm_head' },
  block: 'model.layers.',
  inside: {
    attn_norm: 'input_layernorm',
    attn_q: 'self_attn.q_proj',
    attn_k: 'self_attn.k_proj',
    attn_v: 'self_attn.v_proj',
    attn_q_norm: 'self_attn.q_norm',
    attn_k_norm: 'self_attn.k_norm',
    attn_output: 'self_attn.o_proj',
    ffn_norm: 'post_attention_layernorm',
    ffn_gate: 'mlp.gate_proj',
    ffn_up: 'mlp.up_proj',
    ffn_down: 'mlp.down_proj',
  },
};

const GPT2: NameTable = {
  around: { token_embd: 'wte', position_embd: 'wpe', output_norm: 'ln_f', output: 'lm_head' },
  block: 'h.',
  inside: {
    attn_norm: 'ln_1',
    attn_qkv: 'attn.c_attn',
    attn_output: 'attn.c_proj',
    ffn_norm: 'ln_2',
    ffn_up: 'mlp.c_fc',
    ffn_down: 'mlp.c_proj',
  },
  order: turned,
};

const NEOX: NameTable = {
  around: { token_embd: 'gpt_neox.embed_in', output_norm: 'gpt_neox.final_layer_norm', output: 'embed_out' },
  block: 'gpt_neox.layers.',
  inside: {
    attn_norm: 'input_layernorm',
    attn_qkv: 'attention.query_key_value',
    attn_output: 'attention.dense',
    ffn_norm: 'post_attention_layernorm',
    ffn_up: 'mlp.dense_h_to_4h',
    ffn_down: 'mlp.dense_4h_to_h',
  },
  order: byThrees,
};

/** By `general.architecture`. */
export const NAME_TABLES: ReadonlyMap<string, NameTable> = new Map([
  ['gpt2', GPT2],
  ['llama', { ...LLAMA, order: interleaved }],
  ['qwen2', LLAMA],
  ['qwen3', LLAMA],
  ['gptneox', NEOX],
]);

/** @param architecture one that is known */
export function nameTable(architecture: string): NameTable {
  return NAME_TABLES.get(architecture) as NameTable;
}

/** Factors of rotary frequencies, which are no weights but part of what a config says. */
export const ROPE_FACTORS = 'rope_freqs.weight';

/** @returns a tensor that nobody knows keeps its name; undefined: it is no weight */
export function placementOf(table: NameTable, name: string, sizes: HeadSizes): Placement | undefined {
  if (name === ROPE_FACTORS) {
    return undefined;
  }
  const [, block, own, kind] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const names = block === undefined ? table.around : table.inside;
  const known = own !== undefined && Object.hasOwn(names, own) ? names[own] : undefined;
  if (known === undefined) {
    return { name };
  }
  const prefix = block === undefined ? '' : `${table.block}${block}.`;
  return { name: `${prefix}${known}.${kind}`, ...table.order?.(name, sizes) };
}

/** The matrices of GPT-2's blocks are stored as [in, out] elsewhere, and here as [out, in]. */
function turned(name: string): Omit<Placement, 'name'> | undefined {
  return /^blk\.\d+\.(attn_qkv|attn_output|ffn_up|ffn_down)\.weight$/.test(name) ? { isTurned: true } : undefined;
}

/**
 * Rotary positions turn pairs of numbers. Hugging Face pairs the two halves of a head, llama.cpp's `llama` neighbours: so row
 * i of a half j is row 2i + j here.
 */
function interleaved(name: string, { headDim }: HeadSizes): Omit<Placement, 'name'> | undefined {
  const half = headDim / 2;
  const order: RowOrder = { rows: headDim, rowOf: (row) => 2 * (row % half) + Math.floor(row / half) };
  return /^blk\.\d+\.attn_[qk]\.(weight|bias)$/.test(name) ? { order } : undefined;
}

/** Elsewhere each head has its queries, keys and values together; here are all queries, then all keys, then all values. */
function byThrees(name: string, { nHead, headDim }: HeadSizes): Omit<Placement, 'name'> | undefined {
  const order: RowOrder = { rows: headDim, unitOf: (unit) => (unit % 3) * nHead + Math.floor(unit / 3) };
  return /^blk\.\d+\.attn_qkv\.(weight|bias)$/.test(name) ? { order } : undefined;
}
