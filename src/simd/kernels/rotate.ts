// Rotary positions: number i of a head is turned with number i + half, as a point of the plane, by an angle that grows with the
// position of the token. Source: Su et al. 2021; which numbers are a pair: transformers' rotate_half.
//
// Sine and cosine are polynomials in float64, rounded to float32 at the end, so that every machine has the same.

import { bytes4 } from './lanes';

/**
 * The cosines and sines of each token's angles. As in transformers an angle is a product in float32.
 * @param positions [T] int32
 * @param inverse [half] float32: radians a position
 * @param cosines [T][half] float32
 * @param sines [T][half] float32
 */
export function rotaryAngles(positions: usize, T: i32, inverse: usize, half: i32, cosines: usize, sines: usize): void {
  for (let t = 0; t < T; t++) {
    const position = <f32>load<i32>(positions + bytes4(t));
    for (let i = 0; i < half; i++, cosines += 4, sines += 4) {
      const angle = <f64>(position * load<f32>(inverse + bytes4(i)));
      const quarters = nearest<f64>(angle * TWO_OVER_PI);
      const rest = angle - quarters * HALF_PI_HIGH - quarters * HALF_PI_LOW;
      const quarter = <i32>(quarters - 4 * floor<f64>(quarters / 4));
      const sine = sineOf(rest);
      const cosine = cosineOf(rest);
      const isOdd = (quarter & 1) == 1;
      const c = isOdd ? sine : cosine;
      const s = isOdd ? cosine : sine;
      store<f32>(cosines, <f32>(quarter == 1 || quarter == 2 ? -c : c));
      store<f32>(sines, <f32>(quarter >= 2 ? -s : s));
    }
  }
}

const TWO_OVER_PI: f64 = 0.63661977236758134308;
// π/2 in two parts: the first has 33 bits, so that its product with a whole number of 20 bits is exact.
const HALF_PI_HIGH: f64 = 1.57079632673412561417;
const HALF_PI_LOW: f64 = 6.07710050650619224932e-11;

/** Taylor's series of the sine for |x| ≤ π/4, to an error below 2^−52. */
@inline
function sineOf(x: f64): f64 {
  const z = x * x;
  let p: f64 = -1.0 / 1307674368000;
  p = p * z + 1.0 / 6227020800;
  p = p * z - 1.0 / 39916800;
  p = p * z + 1.0 / 362880;
  p = p * z - 1.0 / 5040;
  p = p * z + 1.0 / 120;
  p = p * z - 1.0 / 6;
  return x + x * z * p;
}

/** That of the cosine. */
@inline
function cosineOf(x: f64): f64 {
  const z = x * x;
  let p: f64 = 1.0 / 20922789888000;
  p = p * z - 1.0 / 87178291200;
  p = p * z + 1.0 / 479001600;
  p = p * z - 1.0 / 3628800;
  p = p * z + 1.0 / 40320;
  p = p * z - 1.0 / 720;
  p = p * z + 1.0 / 24;
  return 1 - z / 2 + z * z * p;
}

/**
 * Turns the first 2 · half numbers of some heads, in place; those behind stay.
 * @param x [T][stride] float32, where the first head begins
 * @param step numbers from one head to the next
 * @param cosines [T][half] float32
 * @param sines [T][half] float32
 */
export function rotateHeads(
  x: usize,
  stride: i32,
  step: i32,
  T: i32,
  heads: i32,
  half: i32,
  cosines: usize,
  sines: usize,
): void {
  const size = bytes4(half);
  const whole = bytes4(half & ~3);
  for (let t = 0; t < T; t++, x += bytes4(stride), cosines += size, sines += size) {
    let head = x;
    for (let h = 0; h < heads; h++, head += bytes4(step)) {
      for (let i: usize = 0; i < whole; i += 16) {
        const c = v128.load(cosines + i);
        const s = v128.load(sines + i);
        const a = v128.load(head + i);
        const b = v128.load(head + size + i);
        v128.store(head + i, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
        v128.store(head + size + i, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
      }
      for (let i = whole; i < size; i += 4) {
        const c = load<f32>(cosines + i);
        const s = load<f32>(sines + i);
        const a = load<f32>(head + i);
        const b = load<f32>(head + size + i);
        store<f32>(head + i, a * c - b * s);
        store<f32>(head + size + i, b * c + a * s);
      }
    }
  }
}
