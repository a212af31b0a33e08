// A counter-based random number generator: the n-th draw depends only on the seed and n, so nothing is stored between draws.
// It computes with integers only, so it gives the same numbers on every machine. Knows nothing of logits.
// Reference: Philox4x32-10, Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), and Random123's vectors.

import { randomInt } from 'node:crypto';

type Words4 = [number, number, number, number];

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9; // added to the key from round to round
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;
const TWO_32 = 2 ** 32;

/** A seed from the system, for a person who did not choose one. It is short enough to type again. */
export function randomSeed(): number {
  return randomInt(TWO_32);
}

/** The upper 32 bits of the 64-bit product, computed from 16-bit halves because a double holds only 53 bits. */
function mulHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16); // < 2^32
  const carry = aLow * bHigh + (middle & 0xffff); // < 2^32
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) >>> 0;
}

/** Turns a counter of four 32-bit words and a key of two into four random 32-bit words. */
export function philox4x32(counter: Words4, key: [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const next0 = (mulHigh(MULTIPLIER_1, c2) ^ c1 ^ k0) >>> 0;
    const next2 = (mulHigh(MULTIPLIER_0, c0) ^ c3 ^ k1) >>> 0;
    c1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    c3 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    c0 = next0;
    c2 = next2;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** The n-th draw of a seed: uniform in [0, 1), with 53 bits. Seed and n are integers from 0 to 2^53−1. */
export function uniform(seed: number, n: number): number {
  const counter: Words4 = [n >>> 0, Math.floor(n / TWO_32), 0, 0];
  const [high, low] = philox4x32(counter, [seed >>> 0, Math.floor(seed / TWO_32)]);
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}
