// Keys of a config.json that change the result of the architectures that know them, and that no forward pass here computes:
// they are refused by name, unless their value changes nothing. Knows nothing of any one architecture.

import type { ConfigReader } from './config.js';

interface Unsupported {
  readonly keys: readonly string[];
  /** What it is, for the message. */
  readonly what: string;
  /** Values that change nothing, besides null and what is absent. */
  readonly neutral: readonly unknown[];
}

const UNSUPPORTED: readonly Unsupported[] = [
  {
    keys: ['num_experts', 'num_local_experts', 'n_routed_experts', 'num_experts_per_tok', 'moe_intermediate_size'],
    what: 'a mixture of experts',
    neutral: [0],
  },
  {
    keys: ['attn_logit_softcapping', 'final_logit_softcapping', 'attn_logit_cap', 'logit_cap', 'clip_qkv'],
    what: 'a cap on logits, scores or projections',
    neutral: [false],
  },
  {
    keys: ['logit_scale', 'logits_scaling', 'embedding_multiplier', 'residual_multiplier', 'scale_emb'],
    what: 'a multiplier',
    neutral: [1],
  },
  {
    keys: ['attention_multiplier', 'query_pre_attn_scalar', 'scale_depth', 'dim_model_base'],
    what: 'another scale of the scores or layers',
    neutral: [],
  },
  { keys: ['is_causal'], what: 'attention that is not causal', neutral: [true] },
  {
    keys: ['use_bidirectional_attention', 'add_cross_attention', 'is_encoder_decoder'],
    what: 'attention that is not causal',
    neutral: [false],
  },
  { keys: ['rope_interleaved', 'rope_interleave'], what: 'another order of rotary positions', neutral: [false] },
  {
    keys: ['attention_sink_size', 'attention_chunk_size', 'cache_implementation'],
    what: 'other attention',
    neutral: [],
  },
  { keys: ['alibi', 'use_alibi'], what: 'ALiBi', neutral: [false] },
  { keys: ['pruned_heads'], what: 'a model without some heads', neutral: [] },
];

/** @throws KvgenError for the first key that is not computed */
export function refuseUnsupported(read: ConfigReader): void {
  for (const { keys, what, neutral } of UNSUPPORTED) {
    for (const key of keys) {
      const value = read.value(key) ?? undefined;
      const isEmpty = typeof value === 'object' && Object.keys(value as object).length === 0;
      if (value !== undefined && !isEmpty && !neutral.includes(value)) {
        const expected = ['nothing', ...neutral.map((allowed) => JSON.stringify(allowed))].join(' or ');
        throw read.wrong(key, `${expected} (${what} is not computed)`, value);
      }
    }
  }
}

/** A flag that other architectures have. @throws KvgenError where it is true */
export function refuseFlag(read: ConfigReader, key: string, title: string): void {
  if (read.flag(key, false)) {
    throw read.wrong(key, `false (a ${title} has none)`, true);
  }
}
