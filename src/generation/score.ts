// How likely given ids are: continuations of one prompt, and long sequences in windows. Sums log-probabilities in
// float64. Knows nothing of text.
// Reference for texts longer than the context: "Perplexity of fixed-length models", Hugging Face transformers.

import { setImmediate } from 'node:timers/promises';
import type { Engine, Pass } from '../engine/engine.js';
import type { KvCache } from '../engine/kv-cache.js';
import { logprobOf, logSumExp } from '../sampling/logprobs.js';
import { lastOf, prefillChunks } from './prefill.js';

/** Positions in one pass over several continuations: bounds the memory of their keys and values. */
const MAX_POSITIONS = 8192;
/** Ids in one pass over several continuations: bounds the memory of their logits. */
const MAX_IDS = 256;

interface ScoreOptions {
  readonly signal?: AbortSignal;
  /** Counts only continuations of two ids or more: the prompt's logits are enough for the others. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * The log-probability of each continuation of what `cache` holds.
 * @param cache holds one sequence; borrowed
 * @param logits those that follow the sequence
 * @param continuations at least one id each
 * @throws KvgenError for logits that are not numbers; what `signal` aborts with
 */
export async function scoreContinuations(
  engine: Engine,
  cache: KvCache,
  logits: Float32Array,
  continuations: readonly (readonly number[])[],
  { signal, onProgress }: ScoreOptions = {},
): Promise<number[]> {
  const total = logSumExp(logits);
  const scores = continuations.map(([first]) => (logits[first as number] as number) - total);
  const longer = [...continuations.entries()].filter(([, ids]) => ids.length > 1);
  let done = 0;
  for (const group of sharedPasses(longer, cache.length)) {
    onProgress?.(done, longer.length);
    await setImmediate(); // native calls block the event loop: signals are noticed here
    signal?.throwIfAborted();
    const together = group.map(([, ids]) => ids);
    const sums = scoreTogether(engine, cache, together);
    for (const [b, [i]] of group.entries()) {
      scores[i] = (scores[i] as number) + (sums[b] as number);
    }
    done += group.length;
  }
  return scores;
}

/** A continuation of two ids or more, and its index among all. */
type Indexed = readonly [i: number, ids: readonly number[]];

/** Groups of as many continuations as one pass after `past` tokens may run. */
function* sharedPasses(longer: readonly Indexed[], past: number): Generator<readonly Indexed[], void> {
  const width = longer.reduce((most, [, ids]) => Math.max(most, ids.length - 1), 0); // the last id needs no pass: nothing follows it
  const together = Math.max(1, Math.floor(Math.min(MAX_IDS / width, MAX_POSITIONS / (past + width))));
  for (let start = 0; start < longer.length; start += together) {
    yield longer.slice(start, start + together);
  }
}

/** One pass over continuations of unequal length. Shorter ones are filled up at the end, where no id before sees it. */
function scoreTogether(engine: Engine, cache: KvCache, continuations: readonly (readonly number[])[]): number[] {
  const T = Math.max(...continuations.map((ids) => ids.length - 1));
  const ids = continuations.map((all) => [...all.slice(0, -1), ...Array<number>(T - all.length + 1).fill(0)]);
  const targets = continuations.flatMap((all, b) => all.slice(1).map((target, t) => ({ target, b, index: b * T + t })));
  const gathered = engine.gather([{ cache, places: continuations.map(() => 0) }]);
  try {
    const logits = engine.forward({ ids, wanted: targets.map(({ index }) => index) }, gathered);
    const sums = continuations.map(() => 0);
    for (const [n, { target, b }] of targets.entries()) {
      sums[b] = (sums[b] as number) + logprobOf(logits[n] as Float32Array, target);
    }
    return sums;
  } finally {
    gathered.dispose();
  }
}

/** A part of a sequence that fits the context; its last `scored` ids were not scored in an earlier window. */
export interface Window {
  readonly ids: readonly number[];
  readonly scored: number;
}

/** Windows that move on by `stride` ids. The very first id is not scored, since nothing predicts it. */
export function* slidingWindows(ids: readonly number[], nCtx: number, stride: number): Generator<Window, void> {
  for (const { begin, end, scored } of bounds(ids.length, nCtx, stride)) {
    yield { ids: ids.slice(begin, end), scored };
  }
}

/** How many ids of a sequence all its windows score. */
export function scoredIds(length: number, nCtx: number, stride: number): number {
  let sum = 0;
  for (const { scored } of bounds(length, nCtx, stride)) {
    sum += scored;
  }
  return sum;
}

function* bounds(length: number, nCtx: number, stride: number) {
  for (let begin = 0, done = 1; done < length; begin += stride) {
    const end = Math.min(begin + nCtx, length);
    const scored = Math.min(end - done, end - begin - 1); // nothing predicts a window's first id
    if (scored > 0) {
      yield { begin, end, scored };
    }
    done = end;
  }
}

/**
 * The sum of the losses of a window's scored ids, in nats.
 * @throws KvgenError for logits that are not numbers; what `signal` aborts with
 */
export async function windowLoss(engine: Engine, { ids, scored }: Window, signal?: AbortSignal): Promise<number> {
  const cache = engine.newCache();
  const first = ids.length - 1 - scored; // the index of the id whose logits predict the first scored id
  let loss = 0;
  let start = 0;
  try {
    for (const chunk of prefillChunks(ids.slice(0, -1))) {
      await setImmediate(); // native calls block the event loop: signals are noticed here
      signal?.throwIfAborted();
      const pass = { ids: [chunk], wanted: indicesFrom(chunk.length, first - start) };
      for (const logprob of chunkLogprobs(engine, cache, pass, ids.slice(start + 1))) {
        loss -= logprob; // one after the other, as a list from a server is summed
      }
      start += chunk.length;
    }
    return loss;
  } finally {
    cache.dispose();
  }
}

function indicesFrom(length: number, from: number): number[] {
  return Array.from({ length }, (_, t) => t).filter((t) => t >= from);
}

/** @param next for each id of the chunk, the id that follows it */
function chunkLogprobs(engine: Engine, cache: KvCache, pass: Pass, next: readonly number[]): number[] {
  if (pass.wanted.length === 0) {
    engine.forward(lastOf(pass.ids[0] as readonly number[]), cache); // a pass must want something
    return [];
  }
  const logits = engine.forward(pass, cache);
  return pass.wanted.map((t, n) => logprobOf(logits[n] as Float32Array, next[t] as number));
}
