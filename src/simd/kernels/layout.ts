// Weights as files have them, row by row in float32, into the order that the products read: see products.ts. The source is
// filled up with zeros, so that there are no odd sizes here.

import { bytes4 } from './lanes';
import { inverseScale, largest, scaleOf, toIntegers } from './quantize';

/** The largest int8 that a weight becomes: −128 is not used, so that the range is symmetric. */
const MAX_INT8: f32 = 127;

/**
 * A matrix stored as [N][K], to int8.
 * @param source [N][K] float32
 * @param N a multiple of 4
 * @param K a multiple of 16
 * @param w [N/4][K/8][4][8] int8
 * @param scales [N] float32
 */
export function layRowsInt8(source: usize, N: i32, K: i32, w: usize, scales: usize): void {
  for (let n = 0; n < N; n++, source += bytes4(K), scales += 4) {
    const most = largest(source, K);
    const inverse = f32x4.splat(inverseScale(most, MAX_INT8));
    let target = w + <usize>(n & ~3) * K + <usize>((n & 3) << 3);
    for (let k: usize = 0; k < bytes4(K); k += 32, target += 32) {
      const low = toIntegers(v128.load(source + k), inverse);
      const high = toIntegers(v128.load(source + k, 16), inverse);
      const words = i16x8.narrow_i32x4_s(low, high);
      v128.store64_lane(target, i8x16.narrow_i16x8_s(words, words), 0);
    }
    store<f32>(scales, scaleOf(most, MAX_INT8));
  }
}

/**
 * A matrix stored as [K][N], to int8.
 * @param source [K][N] float32
 * @param from first row of the result, a multiple of 4
 * @param to behind the last
 */
export function layColumnsInt8(
  source: usize,
  N: i32,
  K: i32,
  from: i32,
  to: i32,
  w: usize,
  scales: usize,
): void {
  const line = bytes4(N);
  for (let n = from; n < to; n += 4) {
    const column = source + bytes4(n);
    let most = f32x4.splat(0);
    for (let k = 0; k < K; k++) {
      most = f32x4.max(most, f32x4.abs(v128.load(column + <usize>k * line)));
    }
    const most0 = f32x4.extract_lane(most, 0);
    const most1 = f32x4.extract_lane(most, 1);
    const most2 = f32x4.extract_lane(most, 2);
    const most3 = f32x4.extract_lane(most, 3);
    const inverse = f32x4(
      inverseScale(most0, MAX_INT8),
      inverseScale(most1, MAX_INT8),
      inverseScale(most2, MAX_INT8),
      inverseScale(most3, MAX_INT8),
    );
    for (let k = 0; k < K; k += 8) {
      layEightByFour(column + <usize>k * line, line, inverse, w + <usize>n * K + bytes4(k));
    }
    const four = f32x4(
      scaleOf(most0, MAX_INT8),
      scaleOf(most1, MAX_INT8),
      scaleOf(most2, MAX_INT8),
      scaleOf(most3, MAX_INT8),
    );
    v128.store(scales + bytes4(n), four);
  }
}

/** Eight lines of four numbers become four rows of eight int8. */
@inline
function layEightByFour(source: usize, line: usize, inverse: v128, target: usize): void {
  const first = fourLines(source, line, inverse);
  const second = fourLines(source + (line << 2), line, inverse);
  v128.store(target, v128.shuffle<i8>(first, second, 0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29));
  v128.store(target, v128.shuffle<i8>(first, second, 2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31), 16);
}

/** Four lines of four numbers as 16 int8, line by line. */
@inline
function fourLines(source: usize, line: usize, inverse: v128): v128 {
  const a = toIntegers(v128.load(source), inverse);
  const b = toIntegers(v128.load(source + line), inverse);
  const c = toIntegers(v128.load(source + (line << 1)), inverse);
  const d = toIntegers(v128.load(source + 3 * line), inverse);
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

/**
 * A matrix stored as [N][K], in float32.
 * @param w [N/4][K/4][4][4] float32
 */
export function layRowsFloat32(source: usize, N: i32, K: i32, w: usize): void {
  for (let n = 0; n < N; n++, source += bytes4(K)) {
    let target = w + bytes4((n & ~3) * K) + <usize>((n & 3) << 4);
    for (let k: usize = 0; k < bytes4(K); k += 16, target += 64) {
      v128.store(target, v128.load(source + k));
    }
  }
}

/** A matrix stored as [K][N], in float32, for the rows `from` … `to` of the result. */
export function layColumnsFloat32(source: usize, N: i32, K: i32, from: i32, to: i32, w: usize): void {
  const line = bytes4(N);
  for (let n = from; n < to; n += 4) {
    for (let k = 0; k < K; k += 4) {
      layFourByFour(source + <usize>k * line + bytes4(n), line, w + bytes4(n * K + (k << 2)));
    }
  }
}

@inline
function layFourByFour(source: usize, line: usize, target: usize): void {
  const a = v128.load(source);
  const b = v128.load(source + line);
  const c = v128.load(source + (line << 1));
  const d = v128.load(source + 3 * line);
  const lowAB = v128.shuffle<f32>(a, b, 0, 4, 1, 5); // a0 b0 a1 b1
  const lowCD = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const highAB = v128.shuffle<f32>(a, b, 2, 6, 3, 7); // a2 b2 a3 b3
  const highCD = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(target, v128.shuffle<f32>(lowAB, lowCD, 0, 1, 4, 5));
  v128.store(target, v128.shuffle<f32>(lowAB, lowCD, 2, 3, 6, 7), 16);
  v128.store(target, v128.shuffle<f32>(highAB, highCD, 0, 1, 4, 5), 32);
  v128.store(target, v128.shuffle<f32>(highAB, highCD, 2, 3, 6, 7), 48);
}
