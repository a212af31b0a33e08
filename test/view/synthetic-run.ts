// Records of runs that never were, of any size and with any tokens: the page is tested without a model.

import type { AttentionRow, PrefillPart, ReportToken, RunRecord } from '../../src/view/run-record.js';

export interface SyntheticRun {
  /** Texts of the prompt's tokens, or how many there are. */
  readonly prompt?: number | readonly string[];
  readonly generated?: number | readonly string[];
  readonly layers?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly cache?: boolean;
  readonly prefill?: readonly PrefillPart[];
  /** Rows of attention: all weights, or so many of the largest; null: none. */
  readonly attention?: 'whole' | number | null;
  readonly attentionMissing?: string;
  readonly uncached?: boolean;
  readonly model?: string;
}

const HEAD_DIM = 32;
const WORDS = [
  ' the',
  ' little',
  ' fox',
  ' was',
  ' very',
  ' happy',
  ' and',
  ' ran',
  ' to',
  ' its',
  ' home',
  '.',
  ',',
  '\n',
];

export function syntheticRun(options: SyntheticRun = {}): RunRecord {
  const random = randomNumbers(7);
  const prompt = textsOf(options.prompt ?? 5);
  const generated = textsOf(options.generated ?? 20);
  const { layers = 6, heads = 6, kvHeads = heads, cache = true, uncached = true } = options;
  const run = generated.length === 0 ? prompt.length : prompt.length + generated.length - 1; // the newest is not run
  const positions = cache ? run : 0;
  const bytesPerPosition = 2 * layers * kvHeads * HEAD_DIM * 4;
  const detail = prompt.map((text, i) => token(text, i === 0 ? null : logprob(random), random));
  const tokens = generated.map((text) => token(text, logprob(random), random));
  return {
    format: 'kvgen-run',
    version: 1,
    report: {
      model: options.model ?? 'stories',
      backend: 'simd',
      engine: 'simd',
      threads: 2,
      prompt: prompt.join(''),
      text: generated.join(''),
      finish_reason: 'length',
      seed: 7,
      prompt_ids: detail.map(({ id }) => id),
      ids: tokens.map(({ id }) => id),
      prompt_tokens: prompt.length,
      generation_tokens: generated.length,
      load_ms: 310.2,
      prompt_ms: 38.1,
      first_token_ms: generated.length > 0 ? 41.3 : null,
      decode_ms: generated.length > 1 ? 603.7 : null,
      prompt_tps: 131.2,
      generation_tps: generated.length > 1 ? 210.4 : null,
      cache: { enabled: cache, positions, bytes: positions * bytesPerPosition },
      tokens,
      prompt_tokens_detail: detail,
    },
    model: {
      modelType: 'gpt2',
      nLayer: layers,
      nHead: heads,
      nKvHead: kvHeads,
      headDim: HEAD_DIM,
      nCtx: 1024,
      bytesPerPosition,
    },
    prefill:
      options.prefill ?? (prompt.length > 0 ? [{ from: 0, to: prompt.length, source: 'computed', ms: 38.1 }] : []),
    steps: tokens.map((_, i) => ({
      cachedMs: cache ? (i === 0 ? 41.25 : 4 + random()) : null,
      uncachedMs: uncached ? 40 + i / 2 + random() : null,
    })),
    attention:
      options.attention === null ? null : attentionOf(run, layers, heads, options.attention ?? 'whole', random),
    attentionMissing: options.attentionMissing,
  };
}

function textsOf(given: number | readonly string[]): readonly string[] {
  return typeof given === 'number'
    ? Array.from({ length: given }, (_, i) => WORDS[(i * 5) % WORDS.length] as string)
    : given;
}

/** Numbers in [0, 1) that are the same in every run. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function logprob(random: () => number): number {
  return -6 * random() ** 3 - 1e-4;
}

function token(text: string, own: number | null, random: () => number): ReportToken {
  const id = Math.floor(random() * 4096);
  const bytes = [...Buffer.from(text)];
  if (own === null) {
    return { id, text, bytes, logprob: null };
  }
  const rivals = WORDS.slice(0, 9).map((rival, i) => ({ id: i + 10, text: rival, logprob: own - i - 1 }));
  return { id, text, bytes, logprob: own, top: [{ id, text, logprob: own }, ...rivals] };
}

function attentionOf(rows: number, layers: number, heads: number, keep: 'whole' | number, random: () => number) {
  const range = (length: number) => Array.from({ length }, (_, i) => i);
  const row = (query: number): AttentionRow =>
    keep === 'whole' ? wholeRow(query, random) : topRow(query, keep, random);
  return { layers: range(layers).map(() => range(heads).map(() => range(rows).map(row))) };
}

function wholeRow(query: number, random: () => number): number[] {
  const raw = Array.from({ length: query + 1 }, () => random() ** 8 + 1e-4);
  const sum = raw.reduce((total, weight) => total + weight, 0);
  return raw.map((weight) => weight / sum);
}

function topRow(query: number, most: number, random: () => number): AttentionRow {
  const count = Math.min(most, query + 1);
  const step = Math.max(1, Math.floor((query + 1) / count));
  const weights = Array.from({ length: count }, () => random() ** 4 + 1e-3);
  const sum = weights.reduce((total, weight) => total + weight, 0) / 0.95;
  return { top: weights.map((weight, i) => [i * step, weight / sum] as const), rest: count > query ? 0 : 0.05 };
}
