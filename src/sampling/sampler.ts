// Chooses the next id by the logits of one step, in this order: logit bias, penalties, top-k, top-p, min-p, temperature
// (last, so that it does not change what the filters keep). Computes in float64. Knows nothing of tensors or text.
// References: min-p, Nguyen et al. 2024; repetition penalty, Keskar et al. 2019 (CTRL).

import { KvgenError } from '../errors.js';
import { exp } from '../exp.js';
import { Candidates, weigh } from './candidates.js';
import { checkLogits, highest } from './finite.js';
import { uniform } from './random.js';
import type { Scores } from './scan.js';
import { takeTopK } from './top-k.js';
import { keepTopP } from './top-p.js';

export interface SamplingOptions {
  /** 0: always the id of the highest logit. */
  temperature: number;
  /** 0, or more than the vocabulary has: keeps all. */
  topK: number;
  /** 1: keeps all. */
  topP: number;
  /** 0: keeps all. */
  minP: number;
  /** 1: changes nothing. */
  repeatPenalty: number;
  /** 0: changes nothing. */
  frequencyPenalty: number;
  /** 0: changes nothing. */
  presencePenalty: number;
  /** How many of the newest ids the penalties look at; −1: all, 0: none. */
  repeatLastN: number;
  /** From an id to the number that is added to its logit; −Infinity bans the id. */
  logitBias: ReadonlyMap<number, number>;
}

/** From the logits [vocab] and the ids of the sequence to the next id. Never writes into the logits. */
export type Sampler = (logits: Float32Array, ids: readonly number[]) => number;

/** The beginning of messages about logits from which nothing can be drawn. */
const STOPPED = 'generation stopped: ';

function penalize(scores: Float64Array, ids: readonly number[], options: SamplingOptions): void {
  const { repeatPenalty, frequencyPenalty, presencePenalty, repeatLastN } = options;
  const counts = new Map<number, number>();
  for (const id of repeatLastN < 0 ? ids : ids.slice(-repeatLastN)) {
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  for (const [id, count] of counts) {
    const score = scores[id];
    if (score === undefined) {
      continue;
    }
    const repeated = score > 0 ? score / repeatPenalty : score * repeatPenalty;
    scores[id] = repeated - count * frequencyPenalty - presencePenalty;
  }
}

/** Makes the function that adds biases and penalties. If there is nothing to add, it returns the logits themselves. */
function makeAdjust(
  options: SamplingOptions,
  banned: readonly number[],
): (logits: Float32Array, ids: readonly number[]) => Scores {
  const { repeatPenalty, frequencyPenalty, presencePenalty, repeatLastN, logitBias } = options;
  const penalties = repeatLastN !== 0 && (repeatPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0);
  if (!penalties && logitBias.size === 0 && banned.length === 0) {
    return (logits) => logits;
  }
  let scores = new Float64Array(0);
  return (logits, ids) => {
    if (scores.length !== logits.length) {
      scores = new Float64Array(logits.length);
    }
    scores.set(logits);
    for (const [id, bias] of logitBias) {
      scores[id] = (scores[id] as number) + bias;
    }
    if (penalties) {
      penalize(scores, ids, options);
    }
    for (const id of banned) {
      scores[id] = Number.NEGATIVE_INFINITY;
    }
    return scores;
  };
}

function keepMinP(c: Candidates, scores: Scores, minP: number): void {
  let kept = 0;
  for (let i = 0; i < c.size; i++) {
    const id = c.ids[i] as number;
    if (exp((scores[id] as number) - c.max) >= minP) {
      c.ids[kept++] = id;
    }
  }
  c.size = kept;
}

/** Draws in the order of the ids: if rounding swaps two ranks, only a boundary moves and not a whole interval. */
function draw(c: Candidates, scores: Scores, temperature: number, random: number): number {
  const target = random * weigh(c, scores, temperature); // below the sum, since random < 1
  let i = 0;
  for (let sum = c.weights[0] as number; target >= sum; sum += c.weights[i] as number) {
    i++;
  }
  return c.ids[i] as number;
}

/** Keeps what the filters leave of the candidates. */
function filter(c: Candidates, scores: Scores, { topP, minP }: SamplingOptions): void {
  if (topP < 1) {
    keepTopP(c, scores, topP);
  }
  if (minP > 0) {
    keepMinP(c, scores, minP);
  }
}

/** Makes the function that takes the first candidates, the k best or all, and checks that there are any. */
function makeTake({ temperature, topK }: SamplingOptions): (scores: Scores, logits: Float32Array) => Candidates {
  const k = temperature === 0 ? 1 : topK;
  let c = new Candidates(0);
  return (scores, logits) => {
    if (c.ids.length !== scores.length) {
      c = new Candidates(scores.length);
    }
    if (k > 0 && k < scores.length) {
      takeTopK(c, scores, k);
    } else {
      c.takeAll(scores);
    }
    if (scores === logits) {
      checkLogits(logits, c.max, STOPPED);
    } else if (c.max === Number.NEGATIVE_INFINITY) {
      throw new KvgenError(`${STOPPED}every token is banned; allow some with fewer --logit-bias ID=-inf`);
    }
    return c;
  };
}

/**
 * A sampler whose n-th call uses the n-th draw of the seed. It never returns a `banned` id.
 * The sampler throws KvgenError when a logit is NaN or +∞, or when every id is banned.
 */
export function makeSampler(options: SamplingOptions, seed: number, banned: readonly number[] = []): Sampler {
  const adjust = makeAdjust(options, banned);
  const take = makeTake(options);
  let n = 0;
  return (logits, ids) => {
    const scores = adjust(logits, ids);
    if (scores !== logits) {
      checkLogits(logits, highest(logits), STOPPED); // a ban could hide what is wrong with them
    }
    const candidates = take(scores, logits);
    if (options.temperature === 0) {
      return candidates.ids[0] as number;
    }
    filter(candidates, scores, options);
    return draw(candidates, scores, options.temperature, uniform(seed, n++));
  };
}
