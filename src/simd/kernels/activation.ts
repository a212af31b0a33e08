// The activations of an MLP, in place, on columns `from` … `to` of [T][stride]. The formulas are those of transformers'
// activations.py; s(x) = 1 / (1 + e^−x).

import { bytes4, exp4 } from './lanes';

// The numbers of the activations, as ../gpt2-weights.ts names them.
const GELU_NEW = 0;
const GELU = 1;
const RELU = 2;
const SILU = 3;
const TANH = 4;
const QUICK_GELU = 5;

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

function activated(kind: i32, x: v128): v128 {
  switch (kind) {
    case GELU_NEW:
      return geluNew(x);
    case GELU:
      return f32x4.mul(f32x4.mul(x, f32x4.splat(0.5)), f32x4.add(erf4(f32x4.mul(x, f32x4.splat(0.70710678118654752))), f32x4.splat(1)));
    case RELU:
      return f32x4.max(x, f32x4.splat(0));
    case SILU:
      return f32x4.mul(x, sigmoid4(x));
    case TANH:
      return f32x4.sub(f32x4.mul(sigmoid4(f32x4.add(x, x)), f32x4.splat(2)), f32x4.splat(1)); // 2·s(2x) − 1
    case QUICK_GELU:
      return f32x4.mul(x, sigmoid4(f32x4.mul(x, f32x4.splat(1.702))));
    default:
      return unreachable();
  }
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
