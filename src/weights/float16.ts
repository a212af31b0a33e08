// float16, IEEE 754 binary16: 1 sign bit, 5 exponent bits with bias 15, 10 fraction bits. Between it and float32, whole
// arrays at a time, because only newer versions of Node have a Float16Array. Knows nothing of what the numbers are.

/** Of all 65,536 values, as the bits of a float32: a copy of bits changes no NaN, and is faster than one of numbers. */
let table: Int32Array | undefined;

/** @param into as long as `halves`; it may be a part of a longer array */
export function widenFloat16(halves: Uint16Array, into: Float32Array): void {
  table ??= new Int32Array(float16Values().buffer);
  lookUp(table, halves, new Int32Array(into.buffer, into.byteOffset, halves.length));
}

/** The value of each float16, by its bits. */
export function float16Values(): Float32Array<ArrayBuffer> {
  return new Float32Array(1 << 16).map((_, bits) => float16(bits));
}

/** Eight at a time: what a turn of the loop checks costs more than the look-up. */
function lookUp(known: Int32Array, halves: Uint16Array, into: Int32Array): void {
  const { length } = into;
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    into[i] = known[halves[i] as number] as number;
    into[i + 1] = known[halves[i + 1] as number] as number;
    into[i + 2] = known[halves[i + 2] as number] as number;
    into[i + 3] = known[halves[i + 3] as number] as number;
    into[i + 4] = known[halves[i + 4] as number] as number;
    into[i + 5] = known[halves[i + 5] as number] as number;
    into[i + 6] = known[halves[i + 6] as number] as number;
    into[i + 7] = known[halves[i + 7] as number] as number;
  }
  for (; i < length; i++) {
    into[i] = known[halves[i] as number] as number;
  }
}

/**
 * Rounds to the nearest, and halfway to the even one.
 * @returns false when a value is no number, or too large for a finite float16 (from 65,520 on)
 */
export function narrowFloat16(values: Float32Array, into: Uint16Array): boolean {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) {
    const size = (bits[i] as number) & 0x7fffffff;
    if (size >= 0x477ff000) {
      return false;
    }
    into[i] =
      (((bits[i] as number) >>> 16) & 0x8000) | (size < 0x38800000 ? subnormal(values[i] as number) : normal(size));
  }
  return true;
}

/** Of the bits of a float32 from 2^-14 on, without a sign: the exponent gets another bias, 13 bits are rounded away. */
function normal(size: number): number {
  return (size - 0x38000000 + 0xfff + ((size >> 13) & 1)) >> 13;
}

/** In steps of 2^-24. Adding 2^52 to a number leaves its whole part, rounded to the nearest and to even. */
function subnormal(value: number): number {
  return Math.abs(value) * 2 ** 24 + 2 ** 52 - 2 ** 52;
}

function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) {
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
