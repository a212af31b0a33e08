// The activations of an MLP, in place, on columns `from` … `to` of [T][stride]. The formulas are those of transformers'
// activations.py; s(x) = 1 / (1 + e^−x).

import { bytes4, exp4 } from './lanes';

// The numbers of the activations, as ../../model/activations.ts names them.
const GELU_NEW = 0;
const GELU = 1;
const RELU = 2;
const SILU = 3;
const TANH = 4;
const QUICK_GELU = 5;
const GELU_10 = 6;
const MISH = 7;
const LEAKY_RELU = 8;
const LINEAR = 9;
const RELU2 = 10;
const RELU6 = 11;

/**
 * @param from a multiple of 4
 * @param to a multiple of 4
 */
export function activate(kind: i32, x: usize, stride: i32, from: i32, to: i32, T: i32): void {
  for (let t = 0; t < T; t++, x += bytes4(stride)) {
    for (let i = bytes4(from); i < bytes4(to); i += 16) {
      v128.store(x + i, activated(kind, v128.load(x + i)));
    }
  }
}

/** gate = a(gate) · up, as in SwiGLU; both [T][stride]. Source: Shazeer 2020. @param from @param to as above */
export function activateGate(kind: i32, gate: usize, up: usize, stride: i32, from: i32, to: i32, T: i32): void {
  for (let t = 0; t < T; t++, gate += bytes4(stride), up += bytes4(stride)) {
    for (let i = bytes4(from); i < bytes4(to); i += 16) {
      v128.store(gate + i, f32x4.mul(activated(kind, v128.load(gate + i)), v128.load(up + i)));
    }
  }
}

function activated(kind: i32, x: v128): v128 {
  switch (kind) {
    case GELU_NEW:
      return geluNew(x);
    case GELU:
      return gelu(x);
    case RELU:
      return relu(x);
    case SILU:
      return f32x4.mul(x, sigmoid4(x));
    case TANH:
      return f32x4.sub(f32x4.mul(sigmoid4(f32x4.add(x, x)), f32x4.splat(2)), f32x4.splat(1)); // 2·s(2x) − 1
    case QUICK_GELU:
      return f32x4.mul(x, sigmoid4(f32x4.mul(x, f32x4.splat(1.702))));
    case GELU_10:
      return f32x4.min(gelu(x), f32x4.splat(10)); // it is nowhere below −10
    case MISH:
      return mish(x);
    case LEAKY_RELU:
      return f32x4.max(x, f32x4.mul(x, f32x4.splat(0.01)));
    case LINEAR:
      return x;
    case RELU2:
      return f32x4.mul(relu(x), relu(x));
    case RELU6:
      return f32x4.min(relu(x), f32x4.splat(6));
    default:
      return unreachable();
  }
}

@inline
function relu(x: v128): v128 {
  return f32x4.max(x, f32x4.splat(0));
}

/** ½·x·(1 + erf(x/√2)). */
@inline
function gelu(x: v128): v128 {
  return f32x4.mul(f32x4.mul(x, f32x4.splat(0.5)), f32x4.add(erf4(f32x4.mul(x, f32x4.splat(0.70710678118654752))), f32x4.splat(1)));
}

/**
 * x·tanh(ln(1 + e^x)). With u = e^−|x| that is x·p / (p + 2·q), where p = 1 + 2·u and q = u² for x ≥ 0, p = u·(u + 2) and q = 1
 * below: so nothing overflows. Source: Misra, 2019.
 */
@inline
function mish(x: v128): v128 {
  const u = exp4(f32x4.neg(f32x4.abs(x)));
  const isBelow = f32x4.lt(x, f32x4.splat(0));
  const above = f32x4.add(f32x4.splat(1), f32x4.add(u, u));
  const below = f32x4.mul(u, f32x4.add(u, f32x4.splat(2)));
  const p = v128.bitselect(below, above, isBelow);
  const q = v128.bitselect(f32x4.splat(1), f32x4.mul(u, u), isBelow);
  return f32x4.mul(x, f32x4.div(p, f32x4.add(p, f32x4.add(q, q))));
}

/** ½·x·(1 + tanh u) with u = √(2/π)·(x + 0.044715·x³), which is x·s(2u). */
@inline
function geluNew(x: v128): v128 {
  const cube = f32x4.mul(f32x4.mul(x, x), x);
  const inner = f32x4.add(x, f32x4.mul(cube, f32x4.splat(0.044715)));
  return f32x4.mul(x, sigmoid4(f32x4.mul(inner, f32x4.splat(1.5957691216057308)))); // 2·√(2/π)
}

@inline
function sigmoid4(x: v128): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))));
}

/** erf, with an absolute error below 5e-7. Source: Abramowitz and Stegun, 7.1.26. */
@inline
function erf4(x: v128): v128 {
  const size = f32x4.abs(x);
  const t = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), f32x4.mul(size, f32x4.splat(0.3275911))));
  let p = f32x4.splat(1.061405429);
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-1.453152027));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(1.421413741));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-0.284496736));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.254829592));
  const rest = f32x4.mul(f32x4.mul(p, t), exp4(f32x4.neg(f32x4.mul(x, x))));
  const sign = v128.and(x, f32x4.splat(-0.0));
  return v128.or(v128.and(f32x4.sub(f32x4.splat(1), rest), i32x4.splat(0x7fffffff)), sign);
}
