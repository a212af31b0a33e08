// How likely given ids are: continuations of one prompt, and whole texts. Sums of log-probabilities in float64.
// Knows nothing of text.
// Reference for texts longer than the context: "Perplexity of fixed-length models", Hugging Face transformers.

import { setImmediate } from 'node:timers/promises';
import type { Engine, Pass } from '../engine/engine.js';
import type { KvCache } from '../engine/kv-cache.js';
import { logprobOf } from '../sampling/sampler.js';
import { lastOf, prefillChunks } from './prefill.js';

/** Positions that one pass over several continuations may hold: bounds the memory of their keys and values. */
const MAX_POSITIONS = 8192;
/** Ids that one pass may run, and ask for the logits of. */
const MAX_IDS = 256;

export interface ScoreOptions {
  readonly signal?: AbortSignal;
  /** Continuations of two ids or more that are scored so far, and how many there are. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * The log-probability of each continuation of what `cache` holds.
 * @param cache one sequence, borrowed
 * @param logits what follows it
 * @param continuations at least one id each
 * @throws what `signal` aborts with
 */
export async function scoreContinuations(
  engine: Engine,
  cache: KvCache,
  logits: Float32Array,
  continuations: readonly (readonly number[])[],
  { signal, onProgress }: ScoreOptions = {},
): Promise<number[]> {
  const scores = continuations.map(([first]) => logprobOf(logits, first as number));
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

/** A continuation of two ids or more, and its place among all. */
type Placed = readonly [i: number, ids: readonly number[]];

/** As many at once as one pass behind `past` tokens may hold. */
function* sharedPasses(longer: readonly Placed[], past: number): Generator<readonly Placed[], void> {
  const width = Math.max(0, ...longer.map(([, ids]) => ids.length - 1)); // nothing asks for what follows the last id
  const together = Math.max(1, Math.floor(Math.min(MAX_IDS / width, MAX_POSITIONS / (past + width))));
  for (let start = 0; start < longer.length; start += together) {
    yield longer.slice(start, start + together);
  }
}

/** One pass over continuations of unequal length: ids behind the end of a shorter one are seen by nobody before them. */
function scoreTogether(engine: Engine, cache: KvCache, continuations: readonly (readonly number[])[]): number[] {
  const T = Math.max(...continuations.map((ids) => ids.length - 1));
  const ids = continuations.map((all) => [...all.slice(0, -1), ...Array<number>(T - all.length + 1).fill(0)]);
  const targets = continuations.flatMap((all, b) => all.slice(1).map((target, t) => ({ target, b, place: b * T + t })));
  const gathered = engine.gather([{ cache, places: continuations.map(() => 0) }]);
  try {
    const logits = engine.forward({ ids, wanted: targets.map(({ place }) => place) }, gathered);
    const sums = continuations.map(() => 0);
    for (const [n, { target, b }] of targets.entries()) {
      sums[b] = (sums[b] as number) + logprobOf(logits[n] as Float32Array, target);
    }
    return sums;
  } finally {
    gathered.dispose();
  }
}

/** A part of a text that fits the context, of which the last `scored` ids have not been scored before it. */
export interface Window {
  readonly ids: readonly number[];
  readonly scored: number;
}

/** Windows that move on by `stride` ids; the very first id has nothing before it and is not scored. */
export function* slidingWindows(ids: readonly number[], nCtx: number, stride: number): Generator<Window, void> {
  for (let begin = 0, scored = 1; scored < ids.length; begin += stride) {
    const end = Math.min(begin + nCtx, ids.length);
    const fresh = Math.min(end - scored, end - begin - 1); // with a stride of nCtx, the first of a window has nothing before it
    if (fresh > 0) {
      yield { ids: ids.slice(begin, end), scored: fresh };
    }
    scored = end;
  }
}

/** Minus the log-probability of the ids of a window that are scored there, in nats. @throws what `signal` aborts with */
export async function windowLoss(engine: Engine, { ids, scored }: Window, signal?: AbortSignal): Promise<number> {
  const cache = engine.newCache();
  const first = ids.length - 1 - scored; // the place of the id whose logits predict the first to be scored
  let loss = 0;
  let start = 0;
  try {
    for (const chunk of prefillChunks(ids.slice(0, -1))) {
      await setImmediate(); // native calls block the event loop: signals are noticed here
      signal?.throwIfAborted();
      const pass = { ids: [chunk], wanted: placesFrom(chunk.length, first - start) };
      loss += chunkLoss(engine, cache, pass, ids.slice(start + 1));
      start += chunk.length;
    }
    return loss;
  } finally {
    cache.dispose();
  }
}

function placesFrom(length: number, from: number): number[] {
  return Array.from({ length }, (_, t) => t).filter((t) => t >= from);
}

/** @param next the id that follows each of the chunk */
function chunkLoss(engine: Engine, cache: KvCache, pass: Pass, next: readonly number[]): number {
  if (pass.wanted.length === 0) {
    engine.forward(lastOf(pass.ids[0] as readonly number[]), cache); // a pass must want something
    return 0;
  }
  const logits = engine.forward(pass, cache);
  return pass.wanted.reduce((loss, t, n) => loss - logprobOf(logits[n] as Float32Array, next[t] as number), 0);
}
