// float32 to integers with a scale: activations to int16 while a pass runs, weights to int8 while a model loads.
// Each vector has one scale, its largest magnitude over the largest integer; each number is rounded to the nearest
// integer, ties to even. The scale of a vector with a NaN or an infinity is that too, so that it reaches the logits.

import { bytes4, maxOf } from './lanes';

/**
 * The largest magnitude of n numbers, n a multiple of 4; NaN if one is NaN. Compares them as integers, which is one instruction:
 * without the sign they are in the same order, infinity above all numbers and NaN above infinity.
 */
@inline
export function largest(x: usize, n: i32): f32 {
  let most = i32x4.splat(0);
  for (const end = x + bytes4(n); x < end; x += 16) {
    most = i32x4.max_s(most, f32x4.abs(v128.load(x)));
  }
  return maxOf(most);
}

/** Below it a vector counts as zeros: maxInteger / most would be infinite, or most a denormal number, which is slow. */
const LEAST: f32 = 1e-30;

/** What a number is multiplied by to become an integer. */
@inline
export function inverseScale(most: f32, maxInteger: f32): f32 {
  return most < LEAST ? 0 : maxInteger / most;
}

/** What an integer is multiplied by to become a number again; NaN and infinity stay what they are. */
@inline
export function scaleOf(most: f32, maxInteger: f32): f32 {
  return most < LEAST ? 0 : most / maxInteger;
}

/** Four floats to the nearest integers. */
@inline
export function toIntegers(x: v128, inverse: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x, inverse)));
}

/**
 * Activations to integers of −maxInteger … maxInteger.
 * @param x [T][K] float32
 * @param K a multiple of 16
 * @param integers [T][K] int16
 * @param scales [T] float32
 */
export function quantizeActivations(x: usize, K: i32, T: i32, maxInteger: i32, integers: usize, scales: usize): void {
  for (let t = 0; t < T; t++, x += bytes4(K), integers += <usize>K << 1, scales += 4) {
    const most = largest(x, K);
    const inverse = f32x4.splat(inverseScale(most, <f32>maxInteger));
    for (let i: usize = 0; i < bytes4(K); i += 32) {
      const low = toIntegers(v128.load(x + i), inverse);
      const high = toIntegers(v128.load(x + i, 16), inverse);
      v128.store(integers + (i >> 1), i16x8.narrow_i32x4_s(low, high));
    }
    store<f32>(scales, scaleOf(most, <f32>maxInteger));
  }
}
