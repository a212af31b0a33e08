// Chooses the next id by the logits of one step, in this order: logit bias, penalties, top-k, top-p, min-p, temperature
// (last, so that it does not change what the filters keep). Computes in float64. Knows nothing of tensors or text.
// References: top-p, Holtzman et al. 2020; min-p, Nguyen et al. 2024; repetition penalty, Keskar et al. 2019 (CTRL); the
// selection of the k best, Williams' heapsort (CACM 7, 1964).

import { KvgenError } from '../errors.js';
import { uniform } from './random.js';

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

type Scores = Float32Array | Float64Array;

/** The ids that may still be drawn, ids[0 … size): best first if they have been ranked, else in the order of the ids. */
interface Candidates {
  readonly ids: Int32Array;
  readonly weights: Float64Array;
  size: number;
}

/** The id of the highest score, the lowest id if several share it; −1 if a score is NaN. */
export function argmax(scores: Scores): number {
  let best = 0;
  let max = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < scores.length; id++) {
    const score = scores[id] as number;
    if (score <= max) {
      continue;
    }
    if (Number.isNaN(score)) {
      return -1;
    }
    best = id;
    max = score;
  }
  return best;
}

function damaged(what: string, id: number): KvgenError {
  return new KvgenError(
    `generation stopped: the model's logits are not numbers (${what} at id ${id}); the weights are probably damaged`,
  );
}

/** The best id of the model's own logits. @throws KvgenError if one is NaN or +∞, or if all are −∞ */
function checkedArgmax(logits: Float32Array): number {
  const best = argmax(logits);
  if (best < 0) {
    throw damaged('NaN', logits.findIndex(Number.isNaN));
  }
  const max = logits[best] as number;
  if (max === Number.POSITIVE_INFINITY) {
    throw damaged('Infinity', best);
  }
  if (max === Number.NEGATIVE_INFINITY) {
    throw damaged('-Infinity everywhere, first', best);
  }
  return best;
}

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

/** Sets each candidate's weight to exp((score − max) / temperature). Returns the sum of the weights. */
function weigh(c: Candidates, scores: Scores, max: number, temperature: number): number {
  let total = 0;
  for (let i = 0; i < c.size; i++) {
    const weight = Math.exp(((scores[c.ids[i] as number] as number) - max) / temperature);
    c.weights[i] = weight;
    total += weight;
  }
  return total;
}

/** How many of the best candidates have a weight of `goal` together; c.size + 1 if even all of them have less. */
function countToReach(c: Candidates, goal: number): number {
  let sum = 0;
  for (let i = 0; i < c.size; i++) {
    sum += c.weights[i] as number;
    if (sum >= goal) {
      return i + 1;
    }
  }
  return c.size + 1;
}

function sumOfExp(scores: Scores, max: number): number {
  let sum = 0;
  for (let id = 0; id < scores.length; id++) {
    sum += Math.exp((scores[id] as number) - max);
  }
  return sum;
}

/** If top-k has not ranked the ids, only as many are ranked as p needs: 64 at first, then eight times more at each try. */
function keepTopP(c: Candidates, scores: Scores, max: number, topP: number, ranked: boolean): void {
  const goal = topP * (ranked ? weigh(c, scores, max, 1) : sumOfExp(scores, max));
  const limit = c.size;
  for (let k = ranked ? limit : Math.min(64, limit); ; k = Math.min(8 * k, limit)) {
    c.size = k;
    if (!ranked) {
      selectTop(scores, k, c.ids);
      weigh(c, scores, max, 1);
    }
    const count = countToReach(c, goal);
    if (count <= k || k === limit) {
      c.size = Math.min(count, limit);
      return;
    }
  }
}

function keepMinP(c: Candidates, scores: Scores, max: number, minP: number): void {
  let kept = 0;
  for (let i = 0; i < c.size; i++) {
    const id = c.ids[i] as number;
    if (Math.exp((scores[id] as number) - max) >= minP) {
      c.ids[kept++] = id;
    }
  }
  c.size = kept;
}

/** Draws in the order of the ids: if rounding swaps two ranks, only a boundary moves and not a whole interval. */
function draw(c: Candidates, scores: Scores, max: number, temperature: number, random: number): number {
  c.ids.subarray(0, c.size).sort();
  const target = random * weigh(c, scores, max, temperature); // below the sum, since random < 1
  let i = 0;
  for (let sum = c.weights[0] as number; target >= sum; sum += c.weights[i] as number) {
    i++;
  }
  return c.ids[i] as number;
}

/** Makes the function that filters and then draws. */
function makeChoose(options: SamplingOptions): (scores: Scores, best: number, random: number) => number {
  const { temperature, topK, topP, minP } = options;
  let c: Candidates = { ids: new Int32Array(0), weights: new Float64Array(0), size: 0 };
  return (scores, best, random) => {
    const vocab = scores.length;
    if (c.ids.length !== vocab) {
      c = { ids: new Int32Array(vocab), weights: new Float64Array(vocab), size: 0 };
    }
    const max = scores[best] as number;
    const ranked = topK > 0 && topK < vocab;
    c.size = ranked ? topK : vocab;
    if (ranked) {
      selectTop(scores, topK, c.ids);
    } else {
      for (let id = 0; id < vocab; id++) {
        c.ids[id] = id;
      }
    }
    if (topP < 1) {
      keepTopP(c, scores, max, topP, ranked);
    }
    if (minP > 0) {
      keepMinP(c, scores, max, minP);
    }
    return draw(c, scores, max, temperature, random);
  };
}

/**
 * A sampler whose n-th call uses the n-th draw of the seed. It never returns a `banned` id.
 * The sampler throws KvgenError when a logit is NaN or +∞, or when every id is banned.
 */
export function makeSampler(options: SamplingOptions, seed: number, banned: readonly number[] = []): Sampler {
  const adjust = makeAdjust(options, banned);
  const choose = makeChoose(options);
  let n = 0;
  return (logits, ids) => {
    const modelBest = checkedArgmax(logits);
    const scores = adjust(logits, ids);
    const best = scores === logits ? modelBest : argmax(scores);
    if (scores[best] === Number.NEGATIVE_INFINITY) {
      throw new KvgenError('generation stopped: every token is banned; allow some with fewer --logit-bias ID=-inf');
    }
    return options.temperature === 0 ? best : choose(scores, best, uniform(seed, n++));
  };
}

/** log(Σ exp(logit)) of raw logits [vocab]. A logit minus this number is a log-probability. */
export function logSumExp(logits: Float32Array): number {
  const max = logits[argmax(logits)] ?? Number.NaN;
  return max + Math.log(sumOfExp(logits, max));
}

/** The natural logarithm of an id's probability under the softmax of raw logits [vocab]. */
export function logprobOf(logits: Float32Array, id: number): number {
  return (logits[id] as number) - logSumExp(logits);
}

/** Does id a rank below id b? */
function isWorse(scores: Scores, a: number, b: number): boolean {
  const scoreA = scores[a] as number;
  const scoreB = scores[b] as number;
  return scoreA < scoreB || (scoreA === scoreB && a > b);
}

/** Puts the id at `root` of heap[0 … size), and lets it sink below all worse ones. */
function sink(heap: Int32Array, size: number, root: number, id: number, scores: Scores): void {
  let hole = root;
  for (let child = 2 * hole + 1; child < size; child = 2 * hole + 1) {
    if (child + 1 < size && isWorse(scores, heap[child + 1] as number, heap[child] as number)) {
      child++;
    }
    if (!isWorse(scores, heap[child] as number, id)) {
      break;
    }
    heap[hole] = heap[child] as number;
    hole = child;
  }
  heap[hole] = id;
}

/**
 * Writes the ids of the k highest scores into out[0 … k), best first, without sorting the rest. The k ids are a heap whose
 * root is the worst of them. Of equal scores the lower id is the better one. Needs 1 ≤ k ≤ scores.length.
 */
export function selectTop(scores: Scores, k: number, out: Int32Array): void {
  for (let id = 0; id < k; id++) {
    out[id] = id;
  }
  for (let root = (k >> 1) - 1; root >= 0; root--) {
    sink(out, k, root, out[root] as number, scores);
  }
  let worst = scores[out[0] as number] as number;
  for (let id = k; id < scores.length; id++) {
    if ((scores[id] as number) <= worst) {
      continue; // of equal scores the lower id, already kept, is better
    }
    sink(out, k, 0, id, scores);
    worst = scores[out[0] as number] as number;
  }
  for (let size = k - 1; size > 0; size--) {
    const last = out[size] as number;
    out[size] = out[0] as number; // the worst of those that are left goes behind them
    sink(out, size, 0, last, scores);
  }
}
