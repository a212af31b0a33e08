// The record of one run: what `kvgen view` draws, and what --record writes. Plain JSON, and nothing else is needed to draw
// the page again. Knows nothing of engines, or of how it is drawn.

/** One run. The prompt's tokens come first, so that a position is an index into all that is told of tokens. */
export interface RunRecord {
  readonly format: 'kvgen-run';
  readonly version: 1;
  /** The object that --json prints with --echo and --logprobs. */
  readonly report: RunReport;
  /** Sizes of the model. */
  readonly model: ModelSizes;
  /** The prompt's positions in the order in which they were filled. */
  readonly prefill: readonly PrefillPart[];
  /** One for each generated token: how it was chosen. */
  readonly steps: readonly StepTime[];
  /** What each layer and head looked at; null: not recorded, and why. */
  readonly attention: AttentionRecord | null;
  readonly attentionMissing?: string | undefined;
}

/** Where a generated token's time went, in milliseconds. */
export interface StepTime {
  /**
   * Of the pass that gave the logits it was chosen by, with the cache; of the first token: the prefill. 0: a draft had
   * guessed the token before it, so the pass before gave this one too. null: the run had no cache.
   */
  readonly cachedMs: number | null;
  /** The same pass over all ids with no past, measured in this run; null: the text was too long for it. */
  readonly uncachedMs: number | null;
}

/** Positions [from, to) of the prompt. */
export interface PrefillPart {
  readonly from: number;
  readonly to: number;
  readonly source: 'disk' | 'memory' | 'computed';
  readonly ms: number;
}

export interface ModelSizes {
  readonly modelType: string;
  readonly nLayer: number;
  readonly nHead: number;
  /** Heads of keys and values; fewer than `nHead` where heads share them. */
  readonly nKvHead: number;
  readonly headDim: number;
  readonly nCtx: number;
  /** Bytes of keys and values of one position, in all layers. */
  readonly bytesPerPosition: number;
}

/** [layer][head][query] → the weights of positions 0 … query, which sum to 1. The newest token was never run: it has no row. */
export interface AttentionRecord {
  readonly layers: readonly (readonly (readonly AttentionRow[])[])[];
}

/** All weights of a row, or of a long text the largest with what the others sum to. */
export type AttentionRow =
  | readonly number[]
  | { readonly top: readonly (readonly [position: number, weight: number])[]; readonly rest: number };

/** The fields of --json that the page shows; it has the others too. */
export interface RunReport {
  readonly model: string;
  readonly backend: string;
  readonly engine: string;
  readonly threads: number;
  readonly prompt: string;
  readonly text: string;
  readonly finish_reason: string;
  readonly seed: number;
  readonly prompt_ids: readonly number[];
  readonly ids: readonly number[];
  readonly prompt_tokens: number;
  readonly generation_tokens: number;
  readonly load_ms: number;
  readonly prompt_ms: number | null;
  readonly first_token_ms: number | null;
  readonly decode_ms: number | null;
  readonly prompt_tps: number | null;
  readonly generation_tps: number | null;
  readonly cache: { readonly enabled: boolean; readonly positions: number; readonly bytes: number };
  readonly tokens: readonly ReportToken[];
  /** The first has no log-probability: nothing comes before it. */
  readonly prompt_tokens_detail: readonly ReportToken[];
}

export interface ReportToken {
  readonly id: number;
  readonly text: string;
  readonly bytes: readonly number[];
  readonly logprob: number | null;
  readonly top?: readonly RivalToken[];
}

/** A token that was likely in the place of another. */
export interface RivalToken {
  readonly id: number;
  readonly text: string;
  readonly bytes?: readonly number[] | undefined;
  readonly logprob: number;
}
