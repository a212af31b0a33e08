// Vectors of four floats or integers: their sums, maxima and exponentials. The order of each sum is written here once,
// so that every kernel adds in the same order.

/** (a0 + a2) + (a1 + a3), for each of four vectors: one vector of four sums. */
@inline
export function sumsOf4(a: v128, b: v128, c: v128, d: v128): v128 {
  const lowAB = v128.shuffle<f32>(a, b, 0, 4, 1, 5); // a0 b0 a1 b1
  const highAB = v128.shuffle<f32>(a, b, 2, 6, 3, 7); // a2 b2 a3 b3
  const lowCD = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const highCD = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  const ab = f32x4.add(lowAB, highAB); // a0+a2 b0+b2 a1+a3 b1+b3
  const cd = f32x4.add(lowCD, highCD);
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/** (a0 + a2) + (a1 + a3). */
@inline
export function sumOf(a: v128): f32 {
  return (
    f32x4.extract_lane(a, 0) + f32x4.extract_lane(a, 2) + (f32x4.extract_lane(a, 1) + f32x4.extract_lane(a, 3))
  );
}

/** The largest lane; NaN if one is NaN. */
@inline
export function maxOf(a: v128): f32 {
  const pairs = f32x4.max(a, v128.shuffle<f32>(a, a, 2, 3, 0, 1));
  return max(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));
}

/** The bytes of `count` floats or 32-bit integers. */
@inline
export function bytes4(count: i32): usize {
  return (<usize>count) << 2;
}

const LOG2_E: f32 = 1.44269504088896341;
// ln 2 in two parts: the first has few bits, so that n · LN2_HIGH is exact.
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440e-4;

/**
 * e^x for each lane, with a relative error below 2^-22: x = n·ln 2 + r, and a polynomial for e^r. Below −87.33 (the smallest normal
 * number) it is 0, since denormal numbers are slow; above 88.37 it is e^88.37; NaN stays NaN.
 * Source: expf of the Cephes library (S. L. Moshier). Uses no operation that a machine may round in its own way.
 */
@inline
export function exp4(x: v128): v128 {
  const clamped = f32x4.max(f32x4.min(x, f32x4.splat(88.3762626647949)), f32x4.splat(-87.3365447505531));
  const n = f32x4.nearest(f32x4.mul(clamped, f32x4.splat(LOG2_E)));
  const r = f32x4.sub(
    f32x4.sub(clamped, f32x4.mul(n, f32x4.splat(LN2_HIGH))),
    f32x4.mul(n, f32x4.splat(LN2_LOW)),
  );
  let p = f32x4.splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  const e = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1)); // e^r
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23); // 2^n
  const scaled = f32x4.mul(e, power);
  const kept = v128.or(f32x4.ge(x, f32x4.splat(-87.3365447505531)), f32x4.ne(x, x)); // NaN passes
  return v128.and(scaled, kept);
}
