// Layer normalization: y = (x − mean) / √(variance + ε) · weight + bias, for each of T vectors.
// Source: Ba, Kiros and Hinton 2016. RMS normalization: y = x / √(mean(x²) + ε) · weight. Source: Zhang and Sennrich 2019.

import { bytes4, sumOf } from './lanes';

/**
 * @param x [T][stride] float32, zeros behind the first C of each vector
 * @param C how many numbers a vector has
 * @param stride C filled up to a multiple of 16
 * @param weight [stride] float32, zeros behind the first C
 * @param bias [stride] float32, zeros behind the first C
 * @param y [T][stride] float32
 */
export function layerNorm(
  x: usize,
  C: i32,
  stride: i32,
  T: i32,
  weight: usize,
  bias: usize,
  epsilon: f32,
  y: usize,
): void {
  for (let t = 0; t < T; t++, x += bytes4(stride), y += bytes4(stride)) {
    const mean = meanOf(x, stride, C);
    const deviation = sqrt<f32>(varianceOf(x, C, mean) + epsilon);
    const mean4 = f32x4.splat(mean);
    const inverse = f32x4.splat(1 / deviation);
    for (let i: usize = 0; i < bytes4(stride); i += 16) {
      const normed = f32x4.mul(f32x4.sub(v128.load(x + i), mean4), inverse);
      v128.store(y + i, f32x4.add(f32x4.mul(normed, v128.load(weight + i)), v128.load(bias + i)));
    }
  }
}

@inline
function meanOf(x: usize, stride: i32, C: i32): f32 {
  let sum = f32x4.splat(0);
  for (let i: usize = 0; i < bytes4(stride); i += 16) {
    sum = f32x4.add(sum, v128.load(x + i)); // the zeros at the end add nothing
  }
  return sumOf(sum) / <f32>C;
}

@inline
function varianceOf(x: usize, C: i32, mean: f32): f32 {
  const mean4 = f32x4.splat(mean);
  let sum = f32x4.splat(0);
  const whole = bytes4(C & ~3);
  for (let i: usize = 0; i < whole; i += 16) {
    const centred = f32x4.sub(v128.load(x + i), mean4);
    sum = f32x4.add(sum, f32x4.mul(centred, centred));
  }
  let total = sumOf(sum);
  for (let i = whole; i < bytes4(C); i += 4) {
    const centred = load<f32>(x + i) - mean;
    total += centred * centred;
  }
  return total / <f32>C;
}

/**
 * @param x [T][stride] float32, zeros behind the first C of each vector
 * @param C how many numbers a vector has
 * @param stride C filled up to a multiple of 16
 * @param weight [stride] float32, zeros behind the first C
 * @param y [T][stride] float32
 */
export function rmsNorm(x: usize, C: i32, stride: i32, T: i32, weight: usize, epsilon: f32, y: usize): void {
  for (let t = 0; t < T; t++, x += bytes4(stride), y += bytes4(stride)) {
    rmsNormOne(x, C, stride, weight, epsilon, y);
  }
}

/**
 * Heads that lie side by side, each by itself and in place.
 * @param x [T][stride] float32, where the first head begins; each has zeros behind its first C numbers
 * @param C how many numbers a head has
 * @param headDim C filled up to a multiple of 4
 * @param weight [headDim] float32
 */
export function rmsNormHeads(
  x: usize,
  stride: i32,
  T: i32,
  C: i32,
  headDim: i32,
  heads: i32,
  weight: usize,
  epsilon: f32,
): void {
  for (let t = 0; t < T; t++, x += bytes4(stride)) {
    for (let head = 0; head < heads; head++) {
      const numbers = x + bytes4(head * headDim);
      rmsNormOne(numbers, C, headDim, weight, epsilon, numbers);
    }
  }
}

@inline
function rmsNormOne(x: usize, C: i32, width: i32, weight: usize, epsilon: f32, y: usize): void {
  let sum = f32x4.splat(0);
  for (let i: usize = 0; i < bytes4(width); i += 16) {
    const numbers = v128.load(x + i);
    sum = f32x4.add(sum, f32x4.mul(numbers, numbers)); // the zeros at the end add nothing
  }
  const inverse = f32x4.splat(1 / sqrt<f32>(sumOf(sum) / <f32>C + epsilon));
  for (let i: usize = 0; i < bytes4(width); i += 16) {
    v128.store(y + i, f32x4.mul(f32x4.mul(v128.load(x + i), inverse), v128.load(weight + i)));
  }
}
