// The quantized blocks of GGUF files as float32. A block is some neighbours of a row: small integers, a scale d, and in some
// types a minimum m or finer scales of parts of the block. Values come out bit for bit as ggml's C code has them: a product
// of two factors is exact in float64, and so is every sum here but for the rounding when it is stored.
// Knows nothing of files or tensors. References: `dequantize_row_*` of ggml-org/ggml src/ggml-quants.c, the structs of
// src/ggml-common.h; gguf-py/gguf/quants.py of ggml-org/llama.cpp.

import { float16Values, widenFloat16 } from './float16.js';

/**
 * @param bytes of whole blocks
 * @param into gets their values; as long as all of them together
 */
export type ReadBlocks = (bytes: Uint8Array, into: Float32Array) => void;

let table: Float32Array | undefined;

/** The float16 at a place. */
function halfAt(bytes: Uint8Array, at: number): number {
  table ??= float16Values();
  return table[(bytes[at] as number) | ((bytes[at + 1] as number) << 8)] as number;
}

/** { d, 32 × int8 }: d · q. Eight at a time: what a turn of the loop checks costs as much as a product. */
function readQ8x0(bytes: Uint8Array, into: Float32Array): void {
  const integers = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0, to = 0; to < into.length; at += 34, to += 32) {
    const d = halfAt(bytes, at);
    for (let from = at + 2, i = to; i < to + 32; from += 8, i += 8) {
      into[i] = d * (integers[from] as number);
      into[i + 1] = d * (integers[from + 1] as number);
      into[i + 2] = d * (integers[from + 2] as number);
      into[i + 3] = d * (integers[from + 3] as number);
      into[i + 4] = d * (integers[from + 4] as number);
      into[i + 5] = d * (integers[from + 5] as number);
      into[i + 6] = d * (integers[from + 6] as number);
      into[i + 7] = d * (integers[from + 7] as number);
    }
  }
}

/** { d, 32 × 4 bits }: d · (q − 8). The low halves of the bytes are the first sixteen, the high halves the others. */
function readQ4x0(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 18, to += 32) {
    const d = halfAt(bytes, at);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 2 + i] as number;
      into[to + i] = d * ((q & 15) - 8);
      into[to + 16 + i] = d * ((q >> 4) - 8);
    }
  }
}

/** { d, m, 32 × 4 bits }: d · q + m */
function readQ4x1(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 20, to += 32) {
    const d = halfAt(bytes, at);
    const m = halfAt(bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 4 + i] as number;
      into[to + i] = d * (q & 15) + m;
      into[to + 16 + i] = d * (q >> 4) + m;
    }
  }
}

/** { d, 32 fifth bits, 32 × 4 bits }: d · (q − 16) */
function readQ5x0(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 22, to += 32) {
    const d = halfAt(bytes, at);
    const fifths = bitsAt(bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 6 + i] as number;
      into[to + i] = d * (((q & 15) | (((fifths >> i) & 1) << 4)) - 16);
      into[to + 16 + i] = d * (((q >> 4) | (((fifths >> (i + 16)) & 1) << 4)) - 16);
    }
  }
}

/** { d, m, 32 fifth bits, 32 × 4 bits }: d · q + m */
function readQ5x1(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 24, to += 32) {
    const d = halfAt(bytes, at);
    const m = halfAt(bytes, at + 2);
    const fifths = bitsAt(bytes, at + 4);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 8 + i] as number;
      into[to + i] = d * ((q & 15) | (((fifths >> i) & 1) << 4)) + m;
      into[to + 16 + i] = d * ((q >> 4) | (((fifths >> (i + 16)) & 1) << 4)) + m;
    }
  }
}

/** 32 bits at a place. */
function bitsAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/** The 16 values that the 4 bits of IQ4_NL stand for. Source: `kvalues_iq4nl` of src/ggml-common.h. */
const IQ4_NL = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** { d, 32 × 4 bits }: d · a value that the bits stand for */
function readIq4nl(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 18, to += 32) {
    const d = halfAt(bytes, at);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 2 + i] as number;
      into[to + i] = d * (IQ4_NL[q & 15] as number);
      into[to + 16 + i] = d * (IQ4_NL[q >> 4] as number);
    }
  }
}

/** { 16 × (4 bits scale, 4 bits minimum), 256 × 2 bits, d, dmin }: d · scale · q − dmin · minimum */
function readQ2k(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 84, to += 256) {
    const d = halfAt(bytes, at + 80);
    const dmin = halfAt(bytes, at + 82);
    for (let part = 0; part < 16; part++) {
      const scales = bytes[at + part] as number;
      const scale = d * (scales & 15);
      const minimum = dmin * (scales >> 4);
      const from = at + 16 + 32 * (part >> 3) + 16 * (part & 1);
      const shift = part & 6;
      for (let i = 0; i < 16; i++) {
        into[to + 16 * part + i] = scale * (((bytes[from + i] as number) >> shift) & 3) - minimum;
      }
    }
  }
}

/** { 256 third bits, 256 × 2 bits, 16 × 6 bits scale, d }: d · (scale − 32) · (q − 4) */
function readQ3k(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 110, to += 256) {
    const d = halfAt(bytes, at + 108);
    for (let part = 0; part < 16; part++) {
      const scale = d * (scaleOfQ3k(bytes, at + 96, part) - 32);
      const from = at + 32 + 32 * (part >> 3) + 16 * (part & 1);
      const thirds = at + 16 * (part & 1);
      const shift = part & 6;
      for (let i = 0; i < 16; i++) {
        const low = ((bytes[from + i] as number) >> shift) & 3;
        const high = ((bytes[thirds + i] as number) >> (part >> 1)) & 1;
        into[to + 16 * part + i] = scale * (low + 4 * high - 4);
      }
    }
  }
}

/** Sixteen numbers of 6 bits: eight bytes with the low 4 bits of two of them each, four with the high 2 bits of four. */
function scaleOfQ3k(bytes: Uint8Array, at: number, part: number): number {
  const low = ((bytes[at + (part & 7)] as number) >> (part < 8 ? 0 : 4)) & 15;
  const high = ((bytes[at + 8 + (part & 3)] as number) >> (2 * (part >> 2))) & 3;
  return low | (high << 4);
}

/** { d, dmin, 8 × (6 bits scale, 6 bits minimum), 256 × 4 bits }: d · scale · q − dmin · minimum */
function readQ4k(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 144, to += 256) {
    const d = halfAt(bytes, at);
    const dmin = halfAt(bytes, at + 2);
    for (let part = 0; part < 8; part += 2) {
      const scaleLow = d * scaleOfQ4k(bytes, at + 4, part);
      const minimumLow = dmin * minimumOfQ4k(bytes, at + 4, part);
      const scaleHigh = d * scaleOfQ4k(bytes, at + 4, part + 1);
      const minimumHigh = dmin * minimumOfQ4k(bytes, at + 4, part + 1);
      for (let i = 0; i < 32; i++) {
        const q = bytes[at + 16 + 16 * part + i] as number;
        into[to + 32 * part + i] = scaleLow * (q & 15) - minimumLow;
        into[to + 32 * part + 32 + i] = scaleHigh * (q >> 4) - minimumHigh;
      }
    }
  }
}

/** { d, dmin, 8 × (6 bits scale, 6 bits minimum), 256 fifth bits, 256 × 4 bits }: d · scale · q − dmin · minimum */
function readQ5k(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 176, to += 256) {
    const d = halfAt(bytes, at);
    const dmin = halfAt(bytes, at + 2);
    for (let part = 0; part < 8; part += 2) {
      const scaleLow = d * scaleOfQ4k(bytes, at + 4, part);
      const minimumLow = dmin * minimumOfQ4k(bytes, at + 4, part);
      const scaleHigh = d * scaleOfQ4k(bytes, at + 4, part + 1);
      const minimumHigh = dmin * minimumOfQ4k(bytes, at + 4, part + 1);
      for (let i = 0; i < 32; i++) {
        const fifths = (bytes[at + 16 + i] as number) >> part;
        const q = bytes[at + 48 + 16 * part + i] as number;
        into[to + 32 * part + i] = scaleLow * ((q & 15) | ((fifths & 1) << 4)) - minimumLow;
        into[to + 32 * part + 32 + i] = scaleHigh * ((q >> 4) | ((fifths & 2) << 3)) - minimumHigh;
      }
    }
  }
}

/** Twelve bytes: four scales, four minima, each with two bits of a later one on top, and the low 4 bits of four later ones. */
function scaleOfQ4k(bytes: Uint8Array, at: number, part: number): number {
  return part < 4
    ? (bytes[at + part] as number) & 63
    : ((bytes[at + part + 4] as number) & 15) | (((bytes[at + part - 4] as number) >> 6) << 4);
}

function minimumOfQ4k(bytes: Uint8Array, at: number, part: number): number {
  return part < 4
    ? (bytes[at + part + 4] as number) & 63
    : ((bytes[at + part + 4] as number) >> 4) | (((bytes[at + part] as number) >> 6) << 4);
}

/** { 256 × 4 bits, 256 × 2 bits on top, 16 × int8 scale, d }: d · scale · (q − 32) */
function readQ6k(bytes: Uint8Array, into: Float32Array): void {
  const integers = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0, to = 0; to < into.length; at += 210, to += 256) {
    const d = halfAt(bytes, at + 208);
    for (let part = 0; part < 16; part++) {
      const scale = d * (integers[at + 192 + part] as number);
      // Each half of a block has four quarters of 32: two in the low and two in the high halves of the same 64 bytes.
      const half = part >> 3;
      const quarter = (part >> 1) & 3;
      const low = at + 64 * half + 32 * (quarter & 1) + 16 * (part & 1);
      const high = at + 128 + 32 * half + 16 * (part & 1);
      const shift = quarter < 2 ? 0 : 4;
      for (let i = 0; i < 16; i++) {
        const q =
          (((bytes[low + i] as number) >> shift) & 15) | ((((bytes[high + i] as number) >> (2 * quarter)) & 3) << 4);
        into[to + 16 * part + i] = scale * (q - 32);
      }
    }
  }
}

function readF32(bytes: Uint8Array, into: Float32Array): void {
  new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);
}

function readF16(bytes: Uint8Array, into: Float32Array): void {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  widenFloat16(new Uint16Array(aligned.buffer, aligned.byteOffset, into.length), into);
}

/** A bfloat16 is the upper half of a float32. */
function readBf16(bytes: Uint8Array, into: Float32Array): void {
  const bits = new Uint32Array(into.buffer, into.byteOffset, into.length);
  for (let i = 0; i < bits.length; i++) {
    bits[i] = ((bytes[2 * i] as number) << 16) | ((bytes[2 * i + 1] as number) << 24);
  }
}

/** By the name of the type; those that are missing are not computed. */
export const BLOCK_READERS: ReadonlyMap<string, ReadBlocks> = new Map([
  ['F32', readF32],
  ['F16', readF16],
  ['BF16', readBf16],
  ['Q8_0', readQ8x0],
  ['Q4_0', readQ4x0],
  ['Q4_1', readQ4x1],
  ['Q5_0', readQ5x0],
  ['Q5_1', readQ5x1],
  ['Q2_K', readQ2k],
  ['Q3_K', readQ3k],
  ['Q4_K', readQ4k],
  ['Q5_K', readQ5k],
  ['Q6_K', readQ6k],
  ['IQ4_NL', readIq4nl],
]);
