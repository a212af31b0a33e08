// The exponential function and the logarithm in plain float64 arithmetic. JavaScript leaves the last bits of Math.exp to the engine; this
// uses only + − · and powers of two, which every machine rounds alike, so a seed draws the same ids everywhere.
// Reference: Muller, "Elementary Functions": additive range reduction after Cody and Waite, then a polynomial.

const LOG2_E = Math.LOG2E;
/** ln 2 in two parts. The upper one has 33 bits, so its product with a whole number of 11 bits is exact. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;

/** Added to a small number, this leaves no bits for a fraction: what is left when it is subtracted is the nearest integer. */
const TO_INTEGER = 1.5 * 2 ** 52;

/** The least power of two that the table holds; below 2^−1074 they are 0. */
const MIN_POWER = -1080;
const POWERS = Float64Array.from({ length: 1024 - MIN_POWER }, (_, i) => powerOfTwo(i + MIN_POWER));

/** e^x, with an error of at most one unit in the last place, two above 709. */
export function exp(x: number): number {
  if (!(x > -746 && x < 709)) {
    return expOfExtreme(x);
  }
  const k = x * LOG2_E + TO_INTEGER - TO_INTEGER;
  const r = x - k * LN2_HIGH - k * LN2_LOW; // x = k·ln 2 + r, and |r| ≤ ln 2 / 2
  const r2 = r * r;
  const r4 = r2 * r2;
  // Taylor's series to r^13, whose rest is below 2^−57, in groups that a processor computes side by side
  const low = 1 / 2 + r * (1 / 6) + r2 * (1 / 24 + r * (1 / 120));
  const middle = 1 / 720 + r * (1 / 5040) + r2 * (1 / 40320 + r * (1 / 362880));
  const high = 1 / 3628800 + r * (1 / 39916800) + r2 * (1 / 479001600 + r * (1 / 6227020800));
  return (1 + (r + r2 * (low + r4 * (middle + r4 * high)))) * (POWERS[(k | 0) - MIN_POWER] as number);
}

function expOfExtreme(x: number): number {
  if (Number.isNaN(x)) {
    return x;
  }
  if (x < 0) {
    return 0;
  }
  const root = x < 710 ? exp(x / 2) : Number.POSITIVE_INFINITY;
  return root * root;
}

/** 2^n by doubling and halving, which is exact. */
function powerOfTwo(n: number): number {
  let power = 1;
  for (let i = 0; i < Math.abs(n); i++) {
    power *= n < 0 ? 0.5 : 2;
  }
  return power;
}

/** Steps that more than suffice: each triples the digits that are right. */
const STEPS = 8;

/**
 * The natural logarithm of a normal number above 0, to a few units in the last place. It is not fast: Halley's method on e^y = x, from the
 * power of two nearest below. Like `exp` it has the same bits everywhere.
 */
export function log(x: number): number {
  let power = 0;
  for (let rest = x; rest >= 2; rest /= 2) {
    power++;
  }
  for (let rest = x; rest < 1; rest *= 2) {
    power--;
  }
  let y = power * Math.LN2;
  for (let step = 0; step < STEPS; step++) {
    const e = exp(y);
    y += (x - e) / (x / 2 + e / 2);
  }
  return y;
}
