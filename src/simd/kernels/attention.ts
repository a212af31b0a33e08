// Causal attention of one head over the blocks of each token's own sequence: softmax(q·kᵀ · scale) · v.
// Source: Vaswani et al. 2017; keys and values in blocks: Kwon et al. 2023 (PagedAttention).
//
// A block holds P positions of one sequence, for all layers: for each layer [nKvHead][P][headDim] of keys, then of values, each
// float32. Several query heads may share keys and values (Ainslie et al. 2023), and a token may see the newest positions alone.
// A sequence has a table of the addresses of its blocks.
//
// Bit for bit: a score depends on its query and its key alone; the exponentials are added in four lanes by position
// modulo 4, and the values in the order of the positions. So it is all the same where a chunk begins.

import { bytes4, exp4, maxOf, sumOf, sumsOf4 } from './lanes';

/**
 * Writes new keys, or values, of some heads that lie side by side into the blocks.
 * @param source [T][stride] float32: where the first head's begin
 * @param step numbers from one head to the next in `source`
 * @param tables [T] addresses of tables
 * @param positions [T] int32
 * @param offset bytes from the beginning of a block to the first head's
 * @param P positions in a block, a multiple of 4
 * @param headDim a multiple of 4
 */
export function storeHeads(
  source: usize,
  stride: i32,
  step: i32,
  T: i32,
  tables: usize,
  positions: usize,
  offset: usize,
  P: i32,
  headDim: i32,
  heads: i32,
): void {
  for (let head = 0; head < heads; head++, source += bytes4(step), offset += bytes4(P * headDim)) {
    for (let t = 0; t < T; t++) {
      const numbers = source + bytes4(t * stride);
      const position = load<i32>(positions + bytes4(t));
      const block = load<usize>(load<usize>(tables + bytes4(t)) + bytes4(position / P));
      const place = block + offset + bytes4((position % P) * headDim);
      for (let i: usize = 0; i < bytes4(headDim); i += 16) {
        v128.store(place + i, v128.load(numbers + i));
      }
    }
  }
}

/**
 * Mixes the values that each token may see, for the heads `from` … `to`; their keys and values must be stored.
 * @param queries [T][stride] float32: where the first head of all begins
 * @param step numbers from one head's query to the next
 * @param tables [T] addresses of tables
 * @param positions [T] int32
 * @param keys bytes from the beginning of a block to the keys of the first head of all
 * @param values bytes to its values
 * @param P positions in a block, a multiple of 4
 * @param headDim a multiple of 4
 * @param group so many query heads in a row share keys and values
 * @param window positions that a token sees, itself included; 0: all
 * @param scores room for twice as many float32 as the longest sequence has positions, and sixteen more
 * @param mixed [T][mixedStride] float32, where the first head's result begins
 * @param weights [nHead][T][columns] float32, zeros: gets what each head takes from each position; 0: nobody asks
 */
export function attendHeads(
  queries: usize,
  stride: i32,
  step: i32,
  T: i32,
  tables: usize,
  positions: usize,
  keys: usize,
  values: usize,
  P: i32,
  headDim: i32,
  from: i32,
  to: i32,
  group: i32,
  scale: f32,
  window: i32,
  scores: usize,
  mixed: usize,
  mixedStride: i32,
  weights: usize,
  columns: i32,
): void {
  for (let head = from; head < to; ) {
    const shared = head / group;
    const heads = head + 1 < to && (head + 1) / group == shared && (headDim & 15) == 0 ? 2 : 1;
    const query = queries + bytes4(head * step);
    const toHead = bytes4(shared * P * headDim);
    const result = mixed + bytes4(head * headDim);
    const own: usize = weights == 0 ? 0 : weights + bytes4(head * T * columns);
    attendHead(query, stride, step, heads, T, tables, positions, keys + toHead, values + toHead, P, headDim, scale, window, scores, result, mixedStride, own, columns);
    head += heads;
  }
}

/**
 * One head, or two that share keys and values. Two tokens of one sequence that follow each other share each load of a key and a
 * value, and where a token is alone the two heads do.
 */
function attendHead(
  queries: usize,
  stride: i32,
  step: i32,
  heads: i32,
  T: i32,
  tables: usize,
  positions: usize,
  keys: usize,
  values: usize,
  P: i32,
  headDim: i32,
  scale: f32,
  window: i32,
  scores: usize,
  mixed: usize,
  mixedStride: i32,
  weights: usize,
  columns: i32,
): void {
  for (let t = 0; t < T; t++) {
    const query = queries + bytes4(t * stride);
    const result = mixed + bytes4(t * mixedStride);
    const table = load<usize>(tables + bytes4(t));
    const position = load<i32>(positions + bytes4(t));
    const isPair = t + 1 < T && load<usize>(tables + bytes4(t + 1)) == table && (headDim & 15) == 0;
    // Blocks of which nothing is seen are left out. What is hidden of the first block has the weight 0, which changes no sum.
    const first = window == 0 ? 0 : max(0, position + 1 - window);
    const skipped = first / P;
    const seen = table + bytes4(skipped);
    const hidden = first - skipped * P;
    const length = position + 1 - skipped * P;
    const row: usize = weights == 0 ? 0 : weights + bytes4(t * columns + skipped * P);
    const nextHead = bytes4(T * columns);
    if (isPair) {
      const secondHidden = window == 0 ? 0 : max(0, position + 2 - window) - skipped * P;
      for (let head = 0; head < heads; head++) {
        const first = query + bytes4(head * step);
        const firstResult = result + bytes4(head * headDim);
        const own: usize = row == 0 ? 0 : row + <usize>head * nextHead;
        attendPair(first, stride, seen, keys, values, length, 1, P, headDim, scale, hidden, secondHidden, scores, firstResult, mixedStride, own, bytes4(columns));
      }
      t++;
    } else if (heads == 2) {
      attendPair(query, step, seen, keys, values, length, 0, P, headDim, scale, hidden, hidden, scores, result, headDim, row, nextHead);
    } else {
      attendOne(query, seen, keys, values, length, P, headDim, scale, hidden, scores, result, row);
    }
  }
}

@inline
function attendOne(
  query: usize,
  table: usize,
  keys: usize,
  values: usize,
  length: i32,
  P: i32,
  headDim: i32,
  scale: f32,
  hidden: i32,
  scores: usize,
  mixed: usize,
  weights: usize,
): void {
  scoreKeys(query, table, keys, length, P, headDim, scale, scores);
  const total = exponentials(scores, hidden, length);
  if (weights != 0) {
    copyWeights(scores, length, total, weights);
  }
  let d = 0;
  for (; d + 32 <= headDim; d += 32) {
    mix32(table, values + bytes4(d), length, P, headDim, scores, total, mixed + bytes4(d));
  }
  for (; d < headDim; d += 4) {
    mix4(table, values + bytes4(d), length, P, headDim, scores, total, mixed + bytes4(d));
  }
}

/**
 * Two queries: of two tokens, or of two heads.
 * @param stride numbers from the first to the second
 * @param length positions up to the token of the first
 * @param more how many more the second sees: 0 or 1
 * @param hidden positions at the beginning that the first does not see
 * @param mixedStride numbers from one result to the other
 * @param toSecond bytes from the first's weights to the second's
 */
@inline
function attendPair(
  query: usize,
  stride: i32,
  table: usize,
  keys: usize,
  values: usize,
  length: i32,
  more: i32,
  P: i32,
  headDim: i32,
  scale: f32,
  hidden: i32,
  secondHidden: i32,
  scores: usize,
  mixed: usize,
  mixedStride: i32,
  weights: usize,
  toSecond: usize,
): void {
  const secondScores = scores + bytes4((length + 7) & ~3);
  scorePair(query, query + bytes4(stride), table, keys, length + more, P, headDim, scale, scores, secondScores);
  const total = exponentials(scores, hidden, length);
  const secondTotal = exponentials(secondScores, secondHidden, length + more);
  if (weights != 0) {
    copyWeights(scores, length, total, weights);
    copyWeights(secondScores, length + more, secondTotal, weights + toSecond);
  }
  for (let d = 0; d < headDim; d += 16) {
    const result = mixed + bytes4(d);
    mixPair16(table, values + bytes4(d), length, more, P, headDim, scores, secondScores, total, secondTotal, result, result + bytes4(mixedStride));
  }
}

/**
 * Reads a number of each 64 bytes and drops it, so that memory is asked for a whole block at once: a loop that computes has asked
 * for no more than the next few when it must wait. Asks for 128 bytes in every `step`.
 */
@inline
function askFor(at: usize, bytes: usize, step: usize): void {
  for (const end = at + bytes; at < end; at += step) {
    load<i32>(at);
    load<i32>(at, 64);
  }
}

/** scores[j] = q · k[j] · scale, four keys at a time; the last ones of a block may be of no position. */
@inline
function scoreKeys(
  query: usize,
  table: usize,
  keys: usize,
  length: i32,
  P: i32,
  headDim: i32,
  scale: f32,
  scores: usize,
): void {
  const size = bytes4(headDim);
  const scale4 = f32x4.splat(scale);
  for (let start = 0; start < length; start += P, table += 4) {
    let key = load<usize>(table) + keys;
    const end = min(length, start + P);
    askFor(key, size * <usize>(end - start), 128);
    for (let j = start; j < end; j += 4, key += size << 2) {
      let a = f32x4.splat(0);
      let b = a;
      let c = a;
      let d = a;
      const second = key + size;
      const third = second + size;
      const fourth = third + size;
      for (let i: usize = 0; i < size; i += 16) {
        const q = v128.load(query + i);
        a = f32x4.add(a, f32x4.mul(q, v128.load(key + i)));
        b = f32x4.add(b, f32x4.mul(q, v128.load(second + i)));
        c = f32x4.add(c, f32x4.mul(q, v128.load(third + i)));
        d = f32x4.add(d, f32x4.mul(q, v128.load(fourth + i)));
      }
      v128.store(scores + bytes4(j), f32x4.mul(sumsOf4(a, b, c, d), scale4));
    }
  }
}

/** The same of two queries. */
@inline
function scorePair(
  query: usize,
  secondQuery: usize,
  table: usize,
  keys: usize,
  length: i32,
  P: i32,
  headDim: i32,
  scale: f32,
  scores: usize,
  secondScores: usize,
): void {
  const size = bytes4(headDim);
  const scale4 = f32x4.splat(scale);
  for (let start = 0; start < length; start += P, table += 4) {
    let key = load<usize>(table) + keys;
    const end = min(length, start + P);
    for (let j = start; j < end; j += 4, key += size << 2) {
      let a0 = f32x4.splat(0);
      let b0 = a0;
      let c0 = a0;
      let d0 = a0;
      let a1 = a0;
      let b1 = a0;
      let c1 = a0;
      let d1 = a0;
      const second = key + size;
      const third = second + size;
      const fourth = third + size;
      for (let i: usize = 0; i < size; i += 16) {
        const q0 = v128.load(query + i);
        const q1 = v128.load(secondQuery + i);
        let k = v128.load(key + i);
        a0 = f32x4.add(a0, f32x4.mul(q0, k));
        a1 = f32x4.add(a1, f32x4.mul(q1, k));
        k = v128.load(second + i);
        b0 = f32x4.add(b0, f32x4.mul(q0, k));
        b1 = f32x4.add(b1, f32x4.mul(q1, k));
        k = v128.load(third + i);
        c0 = f32x4.add(c0, f32x4.mul(q0, k));
        c1 = f32x4.add(c1, f32x4.mul(q1, k));
        k = v128.load(fourth + i);
        d0 = f32x4.add(d0, f32x4.mul(q0, k));
        d1 = f32x4.add(d1, f32x4.mul(q1, k));
      }
      v128.store(scores + bytes4(j), f32x4.mul(sumsOf4(a0, b0, c0, d0), scale4));
      v128.store(secondScores + bytes4(j), f32x4.mul(sumsOf4(a1, b1, c1, d1), scale4));
    }
  }
}

/** Turns scores into exp(score − largest), zeros where they are hidden and behind the last; returns their sum. */
@inline
function exponentials(scores: usize, hidden: i32, length: i32): f32 {
  for (let i = scores; i < scores + bytes4(hidden); i += 4) {
    store<f32>(i, -Infinity);
  }
  const end = scores + bytes4((length + 3) & ~3);
  for (let tail = scores + bytes4(length); tail < end; tail += 4) {
    store<f32>(tail, -Infinity);
  }
  let most = f32x4.splat(-Infinity);
  for (let i = scores; i < end; i += 16) {
    most = f32x4.max(most, v128.load(i));
  }
  const largest = f32x4.splat(maxOf(most));
  let sum = f32x4.splat(0);
  for (let i = scores; i < end; i += 16) {
    const e = exp4(f32x4.sub(v128.load(i), largest));
    v128.store(i, e);
    sum = f32x4.add(sum, e);
  }
  return sumOf(sum);
}

/** The exponentials as shares of their sum. */
function copyWeights(scores: usize, length: i32, total: f32, weights: usize): void {
  for (let i: usize = 0; i < bytes4(length); i += 4) {
    store<f32>(weights + i, load<f32>(scores + i) / total);
  }
}

/** Eight vectors of the mixed values: Σ_j e[j] · v[j] / total. */
@inline
function mix32(
  table: usize,
  values: usize,
  length: i32,
  P: i32,
  headDim: i32,
  scores: usize,
  total: f32,
  mixed: usize,
): void {
  let a = f32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  let e = a;
  let f = a;
  let g = a;
  let h = a;
  for (let start = 0; start < length; start += P, table += 4) {
    let value = load<usize>(table) + values;
    const count = min(length - start, P);
    const end = scores + bytes4(start + count);
    askFor(value, bytes4(headDim * count), bytes4(headDim));
    for (let j = scores + bytes4(start); j < end; j += 4, value += bytes4(headDim)) {
      const weight = v128.load32_splat(j);
      a = f32x4.add(a, f32x4.mul(weight, v128.load(value)));
      b = f32x4.add(b, f32x4.mul(weight, v128.load(value, 16)));
      c = f32x4.add(c, f32x4.mul(weight, v128.load(value, 32)));
      d = f32x4.add(d, f32x4.mul(weight, v128.load(value, 48)));
      e = f32x4.add(e, f32x4.mul(weight, v128.load(value, 64)));
      f = f32x4.add(f, f32x4.mul(weight, v128.load(value, 80)));
      g = f32x4.add(g, f32x4.mul(weight, v128.load(value, 96)));
      h = f32x4.add(h, f32x4.mul(weight, v128.load(value, 112)));
    }
  }
  storeScaled(mixed, a, b, c, d, total);
  storeScaled(mixed + 64, e, f, g, h, total);
}

/** One vector of the mixed values, for heads that are not a multiple of 32 wide. */
@inline
function mix4(
  table: usize,
  values: usize,
  length: i32,
  P: i32,
  headDim: i32,
  scores: usize,
  total: f32,
  mixed: usize,
): void {
  let sum = f32x4.splat(0);
  for (let start = 0; start < length; start += P, table += 4) {
    let value = load<usize>(table) + values;
    const end = scores + bytes4(min(length, start + P));
    for (let j = scores + bytes4(start); j < end; j += 4, value += bytes4(headDim)) {
      sum = f32x4.add(sum, f32x4.mul(v128.load32_splat(j), v128.load(value)));
    }
  }
  v128.store(mixed, f32x4.mul(sum, f32x4.splat(1 / total)));
}

/** Four vectors of the mixed values of two queries; the second may see one position more. */
@inline
function mixPair16(
  table: usize,
  values: usize,
  length: i32,
  more: i32,
  P: i32,
  headDim: i32,
  scores: usize,
  secondScores: usize,
  total: f32,
  secondTotal: f32,
  mixed: usize,
  secondMixed: usize,
): void {
  let a0 = f32x4.splat(0);
  let b0 = a0;
  let c0 = a0;
  let d0 = a0;
  let a1 = a0;
  let b1 = a0;
  let c1 = a0;
  let d1 = a0;
  const toSecond = secondScores - scores;
  let value: usize = 0;
  for (let start = 0; start < length; start += P, table += 4) {
    value = load<usize>(table) + values;
    const end = scores + bytes4(min(length, start + P));
    for (let j = scores + bytes4(start); j < end; j += 4, value += bytes4(headDim)) {
      const e0 = v128.load32_splat(j);
      const e1 = v128.load32_splat(j + toSecond);
      let v = v128.load(value);
      a0 = f32x4.add(a0, f32x4.mul(e0, v));
      a1 = f32x4.add(a1, f32x4.mul(e1, v));
      v = v128.load(value, 16);
      b0 = f32x4.add(b0, f32x4.mul(e0, v));
      b1 = f32x4.add(b1, f32x4.mul(e1, v));
      v = v128.load(value, 32);
      c0 = f32x4.add(c0, f32x4.mul(e0, v));
      c1 = f32x4.add(c1, f32x4.mul(e1, v));
      v = v128.load(value, 48);
      d0 = f32x4.add(d0, f32x4.mul(e0, v));
      d1 = f32x4.add(d1, f32x4.mul(e1, v));
    }
  }
  if (more == 1) {
    // The position that only the second sees is the next of this block, or the first of the next one.
    if (length % P == 0) {
      value = load<usize>(table) + values;
    }
    const last = v128.load32_splat(secondScores + bytes4(length));
    a1 = f32x4.add(a1, f32x4.mul(last, v128.load(value)));
    b1 = f32x4.add(b1, f32x4.mul(last, v128.load(value, 16)));
    c1 = f32x4.add(c1, f32x4.mul(last, v128.load(value, 32)));
    d1 = f32x4.add(d1, f32x4.mul(last, v128.load(value, 48)));
  }
  storeScaled(mixed, a0, b0, c0, d0, total);
  storeScaled(secondMixed, a1, b1, c1, d1, secondTotal);
}

@inline
function storeScaled(at: usize, a: v128, b: v128, c: v128, d: v128, total: f32): void {
  const inverse = f32x4.splat(1 / total);
  v128.store(at, f32x4.mul(a, inverse));
  v128.store(at, f32x4.mul(b, inverse), 16);
  v128.store(at, f32x4.mul(c, inverse), 32);
  v128.store(at, f32x4.mul(d, inverse), 48);
}
