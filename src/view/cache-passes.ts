// What each pass of a run put into the cache, and what it computed with the cache and without: arithmetic on the record, with
// nothing measured. A unit of work is one token through one layer.

import type { ModelSizes, PrefillPart } from './run-record.js';

/** What is needed of a run to say what its cache held. */
export interface CachedRun {
  readonly promptTokens: number;
  readonly model: Pick<ModelSizes, 'nLayer'>;
  readonly prefill: readonly PrefillPart[];
}

export type PositionSource = PrefillPart['source'] | 'decode';

/** How a position came into the cache; `chunk` counts the computed parts of the prompt from 1. */
export interface PositionOrigin {
  readonly source: PositionSource;
  readonly chunk: number;
}

/** When a token stands: what the cache holds, and what the pass cost that led to it. */
export interface Pass {
  readonly kind: 'prefill' | 'first' | 'decode';
  /** Positions in the cache, from 0. */
  readonly filled: number;
  /** Positions that this pass computed: [from, to). */
  readonly from: number;
  readonly to: number;
  readonly work: Work;
  /** Of all passes so far. */
  readonly total: Work;
}

/** Tokens × layers. */
export interface Work {
  readonly cached: number;
  readonly uncached: number;
}

export const SOURCE_WORDS: Readonly<Record<PositionSource, string>> = {
  disk: 'reused from disk',
  memory: 'reused in memory',
  computed: 'computed in prefill',
  decode: 'appended in decode',
};

export function originWords({ source, chunk }: PositionOrigin): string {
  return chunk > 0 ? `${SOURCE_WORDS[source]}, chunk ${chunk}` : SOURCE_WORDS[source];
}

export function originOf(run: CachedRun, position: number): PositionOrigin {
  if (position >= run.promptTokens) {
    return { source: 'decode', chunk: 0 };
  }
  const at = run.prefill.findIndex(({ from, to }) => position >= from && position < to);
  const source = run.prefill[at]?.source ?? 'computed';
  return { source, chunk: source === 'computed' ? computedParts(run.prefill.slice(0, at + 1)).length : 0 };
}

/** The pass behind the token at a position. A prompt's token: the part of the prefill that it belongs to. */
export function passOf(run: CachedRun, position: number): Pass {
  if (position < run.promptTokens) {
    return prefillPass(run, position);
  }
  const decoded = position - run.promptTokens; // passes of one token before this token was chosen
  const prompt = run.promptTokens;
  const computed = computedTokens(run.prefill, prompt);
  const uncachedTotal = (decoded + 1) * prompt + (decoded * (decoded + 1)) / 2;
  return {
    kind: decoded === 0 ? 'first' : 'decode',
    filled: position,
    from: decoded === 0 ? 0 : position - 1,
    to: position,
    work: inLayers(run, decoded === 0 ? computed : 1, position),
    total: inLayers(run, computed + decoded, uncachedTotal),
  };
}

function prefillPass(run: CachedRun, position: number): Pass {
  const part = run.prefill.find(({ from, to }) => position >= from && position < to);
  const { from, to } = part ?? { from: 0, to: run.promptTokens };
  const before = run.prefill.filter((other) => other.to <= from);
  const computed = part?.source === 'disk' || part?.source === 'memory' ? 0 : to - from;
  return {
    kind: 'prefill',
    filled: to,
    from,
    to,
    work: inLayers(run, computed, to - from),
    total: inLayers(run, computedTokens(before, 0) + computed, to),
  };
}

function inLayers({ model }: CachedRun, cached: number, uncached: number): Work {
  return { cached: cached * model.nLayer, uncached: uncached * model.nLayer };
}

/** Tokens of a prompt that were computed; where nothing is told of its parts, all. */
function computedTokens(prefill: readonly PrefillPart[], untold: number): number {
  return prefill.length === 0 ? untold : computedParts(prefill).reduce((sum, { from, to }) => sum + to - from, 0);
}

function computedParts(prefill: readonly PrefillPart[]): PrefillPart[] {
  return prefill.filter(({ source }) => source === 'computed');
}
