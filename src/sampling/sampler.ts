// From the logits of one step to the next id. Order: logit bias, repetition, frequency and presence penalties, top-k, top-p, min-p,
// temperature (last, so it does not change what the filters keep). A disabled step is not in the chain. Everything after the
// logits is float64. Knows nothing of tensors or text.
// References: top-p, Holtzman et al. 2020; min-p, Nguyen et al. 2024; repetition penalty, Keskar et al. 2019 (CTRL); the
// selection of the k best, Williams' heapsort (CACM 7, 1964).

import { KvgenError } from '../errors.js';
import { uniform } from './random.js';

export interface SamplingOptions {
  /** 0: the highest logit, no draw. */
  temperature: number;
  /** 0, or beyond the vocabulary: all. */
  topK: number;
  /** 1: all. */
  topP: number;
  /** 0: all. */
  minP: number;
  /** 1: none. */
  repeatPenalty: number;
  /** 0: none. */
  frequencyPenalty: number;
  /** 0: none. */
  presencePenalty: number;
  /** How many of the latest ids the penalties look at; −1: all, 0: none. */
  repeatLastN: number;
  /** id → added to its logit; −Infinity bans it. */
  logitBias: ReadonlyMap<number, number>;
}

/** Logits [vocab] and the ids so far (prompt included) to the next id. Never writes into the logits. */
export type Sampler = (logits: Float32Array, ids: readonly number[]) => number;

export type Scores = Float32Array | Float64Array;

/** What may be drawn: ids[0 … size), best first if sorted, else by id. */
interface Candidates {
  readonly ids: Int32Array;
  readonly weights: Float64Array;
  size: number;
}

/** The lowest id of the highest score; −1 if there is a NaN. */
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

/** The best id of the model's own logits; refuses NaN, +∞ and nothing but −∞. */
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

function countRecent(ids: readonly number[], lastN: number): Map<number, number> {
  const counts = new Map<number, number>();
  for (let i = lastN < 0 ? 0 : Math.max(0, ids.length - lastN); i < ids.length; i++) {
    const id = ids[i] as number;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

function penalize(scores: Float64Array, ids: readonly number[], options: SamplingOptions): void {
  const { repeatPenalty, frequencyPenalty, presencePenalty } = options;
  for (const [id, count] of countRecent(ids, options.repeatLastN)) {
    const score = scores[id];
    if (score === undefined) {
      continue;
    }
    const repeated = score > 0 ? score / repeatPenalty : score * repeatPenalty;
    scores[id] = repeated - count * frequencyPenalty - presencePenalty;
  }
}

/** A function that gives biased, penalized scores in an array of its own, or the logits themselves if there is nothing to do. */
function makeAdjust(
  options: SamplingOptions,
  banned: readonly number[],
): (l: Float32Array, ids: readonly number[]) => Scores {
  const { repeatPenalty, frequencyPenalty, presencePenalty, logitBias } = options;
  const penalties =
    options.repeatLastN !== 0 && (repeatPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0);
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

/** weights = exp((score − max) / temperature) of the candidates; gives their sum. */
function weigh(c: Candidates, scores: Scores, max: number, temperature: number): number {
  let total = 0;
  for (let i = 0; i < c.size; i++) {
    const weight = Math.exp(((scores[c.ids[i] as number] as number) - max) / temperature);
    c.weights[i] = weight;
    total += weight;
  }
  return total;
}

/** How many of the best candidates reach a mass of `goal`; c.size + 1 if all of them do not. */
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

/** Top-p after top-k. Of the whole vocabulary only as many ids are ranked as p needs, eight times more at each try. */
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

/** Draws by id order: two logits that swap ranks by rounding then move a boundary and not a whole interval. */
function draw(c: Candidates, scores: Scores, max: number, temperature: number, random: number): number {
  c.ids.subarray(0, c.size).sort();
  const target = random * weigh(c, scores, max, temperature); // below the sum, since random < 1
  let i = 0;
  for (let sum = c.weights[0] as number; target >= sum; sum += c.weights[i] as number) {
    i++;
  }
  return c.ids[i] as number;
}

/** The filters in their order, then one draw. */
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
 * A sampler of its own state: its n-th call uses the n-th draw of the seed (at temperature 0 none). `banned` ids are never given.
 * The sampler throws KvgenError when a logit is NaN or +∞, or when nothing can be drawn.
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

/** The logarithm of the sum of all exponentials of raw logits [vocab]: what a logit lacks to a log-probability. */
export function logSumExp(logits: Float32Array): number {
  const max = logits[argmax(logits)] ?? Number.NaN;
  return max + Math.log(sumOfExp(logits, max));
}

/** Natural log-probability of an id under the softmax of raw logits [vocab]. */
export function logprobOf(logits: Float32Array, id: number): number {
  return (logits[id] as number) - logSumExp(logits);
}

/** True if id a ranks below id b. */
function isWorse(scores: Scores, a: number, b: number): boolean {
  const scoreA = scores[a] as number;
  const scoreB = scores[b] as number;
  return scoreA < scoreB || (scoreA === scoreB && a > b);
}

/** Puts id at the root of heap[0 … size) and lets it sink below every worse one. */
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
 * Writes the ids of the k highest scores into out[0 … k), best first, without sorting the rest: a heap of k ids whose
 * root is the worst kept. Equal scores: the lower id is the better one. Takes 1 ≤ k ≤ scores.length.
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
      continue; // an equal score has a lower id already
    }
    sink(out, k, 0, id, scores);
    worst = scores[out[0] as number] as number;
  }
  for (let size = k - 1; size > 0; size--) {
    const last = out[size] as number;
    out[size] = out[0] as number; // the worst of those left goes behind them
    sink(out, size, 0, last, scores);
  }
}
