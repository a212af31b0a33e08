// Products of a matrix with vectors: y[t][n] = Σ_k w[n][k] · x[t][k], for a range of rows n and for T vectors, then bias
// and, where it is asked for, what y held before. It is the whole cost of a large model.
//
// A matrix of N rows and K columns is stored as [N/4][K/L][4][L]: L numbers of each of four rows, one after the other, so
// that a kernel reads one stream. L is 8 for int8 and 4 for float32; N and K are filled up with zeros.
//
// Bit for bit: each lane of an accumulator takes every L-th column in rising order, whether one vector is multiplied or
// several, and the lanes are added in one fixed order. So a result depends on its row and its vector alone.
// Source of the method: W8A16 with one scale for each output row (LLM.int8, Dettmers et al. 2022).

import { bytes4, sumsOf4 } from './lanes';

/** Bytes of a matrix that stay in the second cache of any processor while all vectors are multiplied by them. */
const BYTES_AT_A_TIME: usize = 192 * 1024;

/**
 * Rows that are multiplied by two vectors, then by the next two. So the vectors stay in the first cache, where eight of them would
 * not fit, and the rows are read from memory once, as one stream.
 */
@inline
function rowsAtATime(rowBytes: usize): i32 {
  return max(4, <i32>(BYTES_AT_A_TIME / rowBytes) & ~3);
}

/** Finishes four rows of one vector: bias and the old value are added after the sum. */
@inline
function finish(sums: v128, bias: usize, y: usize, add: bool): void {
  let result = bias ? f32x4.add(sums, v128.load(bias)) : sums;
  result = add ? f32x4.add(v128.load(y), result) : result;
  v128.store(y, result);
}

/** Integer sums of four rows as floats. */
@inline
function integerSums(a: v128, b: v128, c: v128, d: v128): v128 {
  return sumsOf4(
    f32x4.convert_i32x4_s(a),
    f32x4.convert_i32x4_s(b),
    f32x4.convert_i32x4_s(c),
    f32x4.convert_i32x4_s(d),
  );
}

@inline
function addDot(sum: v128, weights: v128, x: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(weights, x));
}

/**
 * int8 weights with one scale a row, 16-bit activations with one scale a vector.
 * No sum overflows: see maxActivation in ../quantize.ts.
 * @param w [N/4][K/8][4][8] int8
 * @param scales [N] float32
 * @param bias [N] float32; 0: none
 * @param x [T][K] int16
 * @param xScales [T] float32
 * @param y [T][stride] float32
 * @param from first row, a multiple of 4
 * @param to behind the last row, a multiple of 4
 * @param K a multiple of 16
 * @param add y += the product; else y = the product
 */
export function productInt8(
  w: usize,
  scales: usize,
  bias: usize,
  x: usize,
  xScales: usize,
  y: usize,
  stride: i32,
  from: i32,
  to: i32,
  K: i32,
  T: i32,
  add: bool,
): void {
  const apart = T == 1 ? ((to - from) >> 3) << 2 : 0;
  for (let n = from; n < from + apart; n += 4) {
    twoGroups(w, scales, bias, x, xScales, y, n, n + apart, K, add);
  }
  const rows = rowsAtATime(K);
  for (let first = from + 2 * apart; first < to; first += rows) {
    const end = min(first + rows, to);
    let t = 0;
    for (; t + 2 <= T; t += 2) {
      const vectors = x + (<usize>(t * K) << 1);
      for (let n = first; n < end; n += 4) {
        const result = y + bytes4(t * stride + n);
        twoVectors(w + <usize>n * K, v128.load(scales + bytes4(n)), bias ? bias + bytes4(n) : 0, vectors, xScales + bytes4(t), result, stride, K, add);
      }
    }
    if (t < T) {
      const vector = x + (<usize>(t * K) << 1);
      for (let n = first; n < end; n += 4) {
        const result = y + bytes4(t * stride + n);
        oneVector(w + <usize>n * K, v128.load(scales + bytes4(n)), bias ? bias + bytes4(n) : 0, vector, xScales + bytes4(t), result, K, add);
      }
    }
  }
}

/**
 * Four rows and four others, for one vector. Memory gives more to two streams than to one: a large matrix is read a third
 * faster from two places at a time. Three or four places are no better, and too much for the registers.
 */
@inline
function twoGroups(
  w: usize,
  scales: usize,
  bias: usize,
  x: usize,
  xScale: usize,
  y: usize,
  n: i32,
  m: i32,
  K: i32,
  add: bool,
): void {
  let a0 = i32x4.splat(0);
  let b0 = a0;
  let c0 = a0;
  let d0 = a0;
  let a1 = a0;
  let b1 = a0;
  let c1 = a0;
  let d1 = a0;
  let p = w + <usize>n * K;
  let q = w + <usize>m * K;
  for (const end = x + (<usize>K << 1); x < end; x += 16, p += 32, q += 32) {
    const values = v128.load(x);
    a0 = addDot(a0, v128.load_ext<i8>(p), values);
    b0 = addDot(b0, v128.load_ext<i8>(p, 8), values);
    c0 = addDot(c0, v128.load_ext<i8>(p, 16), values);
    d0 = addDot(d0, v128.load_ext<i8>(p, 24), values);
    a1 = addDot(a1, v128.load_ext<i8>(q), values);
    b1 = addDot(b1, v128.load_ext<i8>(q, 8), values);
    c1 = addDot(c1, v128.load_ext<i8>(q, 16), values);
    d1 = addDot(d1, v128.load_ext<i8>(q, 24), values);
  }
  const scale = v128.load32_splat(xScale);
  const first = f32x4.mul(integerSums(a0, b0, c0, d0), f32x4.mul(v128.load(scales + bytes4(n)), scale));
  const second = f32x4.mul(integerSums(a1, b1, c1, d1), f32x4.mul(v128.load(scales + bytes4(m)), scale));
  finish(first, bias ? bias + bytes4(n) : 0, y + bytes4(n), add);
  finish(second, bias ? bias + bytes4(m) : 0, y + bytes4(m), add);
}

@inline
function oneVector(p: usize, scale: v128, bias: usize, x: usize, xScale: usize, y: usize, K: i32, add: bool): void {
  let a = i32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  for (const end = x + (<usize>K << 1); x < end; x += 32, p += 64) {
    const low = v128.load(x);
    a = addDot(a, v128.load_ext<i8>(p), low);
    b = addDot(b, v128.load_ext<i8>(p, 8), low);
    c = addDot(c, v128.load_ext<i8>(p, 16), low);
    d = addDot(d, v128.load_ext<i8>(p, 24), low);
    const high = v128.load(x, 16);
    a = addDot(a, v128.load_ext<i8>(p, 32), high);
    b = addDot(b, v128.load_ext<i8>(p, 40), high);
    c = addDot(c, v128.load_ext<i8>(p, 48), high);
    d = addDot(d, v128.load_ext<i8>(p, 56), high);
  }
  finish(f32x4.mul(integerSums(a, b, c, d), f32x4.mul(scale, v128.load32_splat(xScale))), bias, y, add);
}

@inline
function twoVectors(
  p: usize,
  scale: v128,
  bias: usize,
  x: usize,
  xScales: usize,
  y: usize,
  stride: i32,
  K: i32,
  add: bool,
): void {
  let a0 = i32x4.splat(0);
  let b0 = a0;
  let c0 = a0;
  let d0 = a0;
  let a1 = a0;
  let b1 = a0;
  let c1 = a0;
  let d1 = a0;
  let x1 = x + (<usize>K << 1);
  // Not unrolled: with twice as much in the loop the registers do not suffice, and it is a fifth slower.
  for (const end = x1; x < end; x += 16, x1 += 16, p += 32) {
    const first = v128.load(x);
    const second = v128.load(x1);
    let weights = v128.load_ext<i8>(p);
    a0 = addDot(a0, weights, first);
    a1 = addDot(a1, weights, second);
    weights = v128.load_ext<i8>(p, 8);
    b0 = addDot(b0, weights, first);
    b1 = addDot(b1, weights, second);
    weights = v128.load_ext<i8>(p, 16);
    c0 = addDot(c0, weights, first);
    c1 = addDot(c1, weights, second);
    weights = v128.load_ext<i8>(p, 24);
    d0 = addDot(d0, weights, first);
    d1 = addDot(d1, weights, second);
  }
  finish(f32x4.mul(integerSums(a0, b0, c0, d0), f32x4.mul(scale, v128.load32_splat(xScales))), bias, y, add);
  finish(
    f32x4.mul(integerSums(a1, b1, c1, d1), f32x4.mul(scale, v128.load32_splat(xScales, 4))),
    bias,
    y + bytes4(stride),
    add,
  );
}

@inline
function addProduct(sum: v128, weights: v128, x: v128): v128 {
  return f32x4.add(sum, f32x4.mul(weights, x));
}

/**
 * float32 weights.
 * @param w [N/4][K/4][4][4] float32
 * @param bias [N] float32; 0: none
 * @param x [T][K] float32
 * @param y [T][stride] float32
 * @param from first row, a multiple of 4
 * @param to behind the last row, a multiple of 4
 * @param K a multiple of 4
 * @param add y += the product; else y = the product
 */
export function productFloat32(
  w: usize,
  bias: usize,
  x: usize,
  y: usize,
  stride: i32,
  from: i32,
  to: i32,
  K: i32,
  T: i32,
  add: bool,
): void {
  const apart = T == 1 ? ((to - from) >> 3) << 2 : 0;
  for (let n = from; n < from + apart; n += 4) {
    twoFloatGroups(w, bias, x, y, n, n + apart, K, add);
  }
  const rows = rowsAtATime(bytes4(K));
  for (let first = from + 2 * apart; first < to; first += rows) {
    const end = min(first + rows, to);
    let t = 0;
    for (; t + 2 <= T; t += 2) {
      for (let n = first; n < end; n += 4) {
        twoFloatVectors(w + bytes4(n * K), bias ? bias + bytes4(n) : 0, x + bytes4(t * K), y + bytes4(t * stride + n), stride, K, add);
      }
    }
    if (t < T) {
      for (let n = first; n < end; n += 4) {
        oneFloatVector(w + bytes4(n * K), bias ? bias + bytes4(n) : 0, x + bytes4(t * K), y + bytes4(t * stride + n), K, add);
      }
    }
  }
}

/** As twoGroups. */
@inline
function twoFloatGroups(w: usize, bias: usize, x: usize, y: usize, n: i32, m: i32, K: i32, add: bool): void {
  let a0 = f32x4.splat(0);
  let b0 = a0;
  let c0 = a0;
  let d0 = a0;
  let a1 = a0;
  let b1 = a0;
  let c1 = a0;
  let d1 = a0;
  let p = w + bytes4(n * K);
  let q = w + bytes4(m * K);
  for (const end = x + bytes4(K); x < end; x += 16, p += 64, q += 64) {
    const values = v128.load(x);
    a0 = addProduct(a0, v128.load(p), values);
    b0 = addProduct(b0, v128.load(p, 16), values);
    c0 = addProduct(c0, v128.load(p, 32), values);
    d0 = addProduct(d0, v128.load(p, 48), values);
    a1 = addProduct(a1, v128.load(q), values);
    b1 = addProduct(b1, v128.load(q, 16), values);
    c1 = addProduct(c1, v128.load(q, 32), values);
    d1 = addProduct(d1, v128.load(q, 48), values);
  }
  finish(sumsOf4(a0, b0, c0, d0), bias ? bias + bytes4(n) : 0, y + bytes4(n), add);
  finish(sumsOf4(a1, b1, c1, d1), bias ? bias + bytes4(m) : 0, y + bytes4(m), add);
}

@inline
function oneFloatVector(p: usize, bias: usize, x: usize, y: usize, K: i32, add: bool): void {
  let a = f32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  for (const end = x + bytes4(K); x < end; x += 16, p += 64) {
    const values = v128.load(x);
    a = addProduct(a, v128.load(p), values);
    b = addProduct(b, v128.load(p, 16), values);
    c = addProduct(c, v128.load(p, 32), values);
    d = addProduct(d, v128.load(p, 48), values);
  }
  finish(sumsOf4(a, b, c, d), bias, y, add);
}

@inline
function twoFloatVectors(p: usize, bias: usize, x: usize, y: usize, stride: i32, K: i32, add: bool): void {
  let a0 = f32x4.splat(0);
  let b0 = a0;
  let c0 = a0;
  let d0 = a0;
  let a1 = a0;
  let b1 = a0;
  let c1 = a0;
  let d1 = a0;
  let x1 = x + bytes4(K);
  for (const end = x1; x < end; x += 16, x1 += 16, p += 64) {
    const first = v128.load(x);
    const second = v128.load(x1);
    let weights = v128.load(p);
    a0 = addProduct(a0, weights, first);
    a1 = addProduct(a1, weights, second);
    weights = v128.load(p, 16);
    b0 = addProduct(b0, weights, first);
    b1 = addProduct(b1, weights, second);
    weights = v128.load(p, 32);
    c0 = addProduct(c0, weights, first);
    c1 = addProduct(c1, weights, second);
    weights = v128.load(p, 48);
    d0 = addProduct(d0, weights, first);
    d1 = addProduct(d1, weights, second);
  }
  finish(sumsOf4(a0, b0, c0, d0), bias, y, add);
  finish(sumsOf4(a1, b1, c1, d1), bias, y + bytes4(stride), add);
}
