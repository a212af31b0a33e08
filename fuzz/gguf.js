// GGUF files, changed: a number of the header, a text in it, the blocks, anywhere. Knows nothing of what the metadata mean.
// Reference: docs/gguf.md of ggml-org/ggml.

import { mutateBytes, mutateText } from './mutate.js';

/** Bytes of a value of metadata, by the number of its type. */
const SIZES = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
const [STRING, ARRAY] = [8, 9];

/** @typedef {{ at: number, size: number }} Field a number of the header */
/** @typedef {{ at: number, length: number }} Text */

/**
 * Where the numbers and texts of a sound header are, and where it ends.
 * @param {Buffer} bytes
 */
export function fieldsOf(bytes) {
  /** @type {Field[]} */
  const numbers = [];
  /** @type {Text[]} */
  const texts = [];
  let at = 4;
  const number = (size) => {
    if (at + size > bytes.length) {
      throw new Error('an earlier change has left no sound header');
    }
    numbers.push({ at, size });
    at += size;
    return size === 8 ? Number(bytes.readBigUInt64LE(at - 8)) : size === 4 ? bytes.readUInt32LE(at - 4) : 0;
  };
  const text = () => {
    const length = number(8);
    texts.push({ at, length });
    at += length;
  };
  const value = (type) => {
    if (type === STRING) {
      text();
    } else if (type === ARRAY) {
      const of = number(4);
      for (let left = number(8); left > 0; left--) {
        value(of);
      }
    } else {
      number(SIZES[type] ?? 1);
    }
  };
  number(4);
  const [tensors, entries] = [number(8), number(8)];
  for (let i = 0; i < entries; i++) {
    text();
    value(number(4));
  }
  for (let i = 0; i < tensors; i++) {
    text();
    for (let axes = number(4); axes > 0; axes--) {
      number(8);
    }
    number(4);
    number(8);
  }
  return { numbers, texts, end: at };
}

/** Vocabularies have thousands of numbers, and all that is not one has some hundred. */
function pickField(random, fields) {
  return random.chance(0.5) ? random.pick(fields.filter(({ size }) => size === 8)) : random.pick(fields);
}

/** Changes a sound file, or one that was changed before. @param {Buffer} bytes is left as it is @returns {Buffer} */
export function mutateGguf(random, bytes) {
  const { numbers, texts, end } = fieldsOf(bytes);
  const copy = Buffer.from(bytes);
  const [header, data] = [bytes.subarray(0, end), bytes.subarray(end)];
  return random.pick([
    () => writeNumber(random, copy, pickField(random, numbers)),
    () => writeNumber(random, copy, pickField(random, numbers)),
    () => writeNumber(random, copy, random.pick(numbers.slice(0, 40))),
    () => writeNumber(random, copy, random.pick(numbers.slice(-200))),
    () => changeText(random, bytes, random.pick(texts)),
    () => changeText(random, bytes, random.pick(texts.slice(0, 30))),
    () => Buffer.concat([mutateBytes(random, header), data]),
    () => Buffer.concat([header, mutateBytes(random, data)]),
    () => notFinite(random, copy, end),
    () => bytes.subarray(0, random.below(random.chance(0.5) ? end : bytes.length)),
    () => mutateBytes(random, bytes),
  ])();
}

const EXTREMES = [
  0n,
  1n,
  2n,
  3n,
  9n,
  255n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

function writeNumber(random, copy, { at, size }) {
  const bits = 8 * size;
  const old = copy.readUIntLE(at, Math.min(size, 6));
  const value = random.pick([
    () => random.pick(EXTREMES),
    () => BigInt(old) + BigInt(random.pick([1, -1, 2, 7, -7, 1000])),
    () => BigInt(old) * BigInt(random.pick([2, 3, 1000])),
    () => BigInt(random.next()),
  ])();
  const whole = Buffer.alloc(8);
  whole.writeBigUInt64LE(BigInt.asUintN(bits, value));
  whole.copy(copy, at, 0, size);
  return copy;
}

/** The length before it fits it, or does not. */
function changeText(random, bytes, { at, length }) {
  const text = Buffer.from(mutateText(random, bytes.toString('utf8', at, at + length)));
  const before = Buffer.from(bytes.subarray(0, at));
  if (random.chance(0.9)) {
    before.writeBigUInt64LE(BigInt(text.length), at - 8);
  }
  return Buffer.concat([before, text, bytes.subarray(at + length)]);
}

/** Numbers that are none, or so large that what is computed of them is none. */
function notFinite(random, copy, end) {
  for (let i = random.between(1, 20); i > 0 && copy.length > end + 2; i--) {
    copy.writeUInt16LE(
      random.pick([0x7c00, 0xfc00, 0x7e00, 0x7bff, 0x7f80]),
      end + random.below(copy.length - end - 2),
    );
  }
  return copy;
}
