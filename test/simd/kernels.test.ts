// Each kernel against plain TypeScript in float64 or exact integers. Where a kernel promises bits, bits are compared.

import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ACTIVATIONS, type Activation } from '../../src/model/activations.js';
import { uniform } from '../../src/sampling/random.js';
import { maxActivation } from '../../src/simd/matrix.js';
import { type Blocks, type Int8Matrix, KernelBench, type Plain, type Product } from '../support/kernels.js';

const WIDTHS = [16, 48, 768];
const COUNTS = [1, 2, 3, 5, 8];
const FORMS = ['float32', 'int8'] as const;
const ALL = FORMS.flatMap((form) => WIDTHS.flatMap((K) => COUNTS.map((T) => ({ form, K, T }))));
/** Of each matrix. */
const N = 20;
/** Numbers from one result to the next: more than there are rows, so that what lies between shows. */
const STRIDE = 24;

let kernels: KernelBench;

beforeAll(async () => {
  kernels = await KernelBench.open();
});

/** Numbers of −size … size. */
function randoms(length: number, seed: number, size = 1): Float32Array {
  return Float32Array.from({ length }, (_, i) => 2 * size * (uniform(seed, i) - 0.5));
}

/** Whole numbers of −size … size. */
function wholes(length: number, seed: number, size: number): number[] {
  return Array.from({ length }, (_, i) => Math.floor(uniform(seed, i) * (2 * size + 1)) - size);
}

const at = <T>(values: ArrayLike<T>, i: number) => values[i] as T;
const range = (length: number) => Array.from({ length }, (_, i) => i);
const bits = (values: Float32Array) => new Uint32Array(values.slice().buffer);

/** The same numbers bit by bit, NaN too. */
function expectBits(found: Float32Array, expected: Float32Array): void {
  const [a, b] = [bits(found), bits(expected)];
  expect(a.length).toBe(b.length);
  expect(range(a.length).filter((i) => a[i] !== b[i])).toEqual([]);
}

/** |found − expected| ≤ bound, number by number. */
function expectNear(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  bound: (i: number, expected: number) => number,
): void {
  expect(found.length).toBe(expected.length);
  const pairs = Array.from(found, (value, i) => ({ i, found: value, expected: at(expected, i) }));
  const isNear = (a: number, b: number, most: number) => a === b || Math.abs(a - b) <= most;
  const far = pairs.filter(({ i, found, expected }) => !isNear(found, expected, bound(i, expected)));
  expect(far.slice(0, 5)).toEqual([]);
}

/** A matrix [N, K] and T vectors of either form, with numbers as they stand for. */
class Case {
  readonly T: number;
  readonly K: number;
  readonly w: Float32Array;
  readonly x: Float32Array;
  readonly #scales: Float32Array | undefined;
  readonly #xScales: Float32Array;

  /** @param scales of rows and vectors; undefined: the numbers are float32 */
  constructor(K: number, w: ArrayLike<number>, x: ArrayLike<number>, scales?: [w: Float32Array, x: Float32Array]) {
    this.K = K;
    this.T = x.length / K;
    this.w = Float32Array.from(w);
    this.x = Float32Array.from(x);
    [this.#scales, this.#xScales = new Float32Array()] = scales ?? [];
  }

  /** Numbers as large as they may be, some of them zeros. */
  static random(form: 'float32' | 'int8', K: number, T: number): Case {
    return form === 'float32'
      ? new Case(K, randoms(N * K, 1), randoms(T * K, 2, 3))
      : new Case(K, wholes(N * K, 1, 127), wholes(T * K, 2, maxActivation(K)), [
          randoms(N, 3).map((scale) => 0.01 + Math.abs(scale)),
          randoms(T, 4).map((scale) => 0.01 + Math.abs(scale)),
        ]);
  }

  /** Of the vectors first … first + count, by default of all; y holds `held` before, by default NaN. */
  run(product: Partial<Product> = {}, first = 0, count = this.T): Float32Array {
    const { K } = this;
    const rows = this.w.length / K;
    const stride = rows + STRIDE - N;
    const y = new Float32Array(count * stride).fill(Number.NaN);
    const whole = { y, stride, range: { from: 0, to: rows }, add: false, ...product, T: count };
    const x = this.x.subarray(first * K, (first + count) * K);
    if (this.#scales === undefined) {
      return kernels.productFloat32({ rows, columns: K, values: this.w }, x, whole);
    }
    const w = { rows, columns: K, values: Int8Array.from(this.w), scales: this.#scales };
    return kernels.productInt8(w, Int16Array.from(x), this.#xScales.subarray(first, first + count), whole);
  }

  exact(n: number, t: number): number {
    return this.#sum(n, t, (product) => product);
  }

  /** What a sum in float32 may be off by, in any order. */
  bound(n: number, t: number): number {
    return this.#sum(n, t, Math.abs) * 1e-6;
  }

  #sum(n: number, t: number, of: (product: number) => number): number {
    let sum = 0;
    for (let k = 0; k < this.K; k++) {
      sum += of(at(this.w, n * this.K + k) * at(this.x, t * this.K + k));
    }
    return this.#scales === undefined ? sum : sum * of(at(this.#scales, n) * at(this.#xScales, t));
  }
}

/** Of [T][STRIDE]: the number of row n and vector t, NaN behind the last row. */
const table = (T: number, of: (n: number, t: number) => number) =>
  range(T * STRIDE).map((i) => (i % STRIDE < N ? of(i % STRIDE, Math.floor(i / STRIDE)) : Number.NaN));

/** NaN is where nothing was written. */
function expectTable(found: Float32Array, T: number, expected: Case['exact'], bound: Case['bound']): void {
  expect(range(found.length).filter((i) => Number.isNaN(at(found, i)) !== i % STRIDE >= N)).toEqual([]);
  const written = (values: ArrayLike<number>) => Array.from(values).filter((_, i) => i % STRIDE < N);
  const bounds = written(table(T, bound));
  expectNear(written(found), written(table(T, expected)), (i) => at(bounds, i));
}

describe.each(ALL)('products: $form, K = $K, T = $T', ({ form, K, T }) => {
  const one = Case.random(form, K, T);
  const bias = randoms(N, 5, 100);

  it('are the sums of row times vector, and nothing else is written', () => {
    expectTable(one.run(), T, one.exact.bind(one), one.bound.bind(one));
  });

  it('of small whole numbers are exact, with bias and with what y held', () => {
    const scales: [Float32Array, Float32Array] = [new Float32Array(N).fill(0.5), new Float32Array(T).fill(0.25)];
    const small = (factor: number) =>
      new Case(K, wholes(N * K, 6, 127), wholes(T * K, 7, 40), factor === 1 ? undefined : scales);
    const whole = small(form === 'float32' ? 1 : 0.125);
    const wholeBias = Float32Array.from(wholes(N, 8, 999));
    const held = Float32Array.from(wholes(T * STRIDE, 9, 999));
    const sum = whole.exact.bind(whole);
    const y = () => held.slice();
    expectTable(
      whole.run({ bias: wholeBias }),
      T,
      (n, t) => sum(n, t) + at(wholeBias, n),
      () => 0,
    );
    const old = (n: number, t: number) => at(held, t * STRIDE + n);
    const inRows = (values: Float32Array) => values.map((value, i) => (i % STRIDE < N ? value : Number.NaN));
    expectTable(
      inRows(whole.run({ y: y(), add: true })),
      T,
      (n, t) => sum(n, t) + old(n, t),
      () => 0,
    );
    const both = whole.run({ y: y(), add: true, bias: wholeBias });
    expectTable(
      inRows(both),
      T,
      (n, t) => sum(n, t) + old(n, t) + at(wholeBias, n),
      () => 0,
    );
    expect([...both].filter((_, i) => i % STRIDE >= N)).toEqual([...held].filter((_, i) => i % STRIDE >= N));
    expectTable(inRows(whole.run({ y: y() })), T, sum, () => 0); // what y held is gone
  });

  it('together have the bits that each vector has alone', () => {
    for (const product of [{}, { bias }, { bias, add: true, y: randoms(T * STRIDE, 10) }]) {
      const alone = range(T).flatMap((t) => {
        const y = product.y?.slice(t * STRIDE, (t + 1) * STRIDE);
        return [...one.run({ ...product, ...(y && { y }) }, t, 1)];
      });
      expectBits(one.run(product), Float32Array.from(alone));
    }
  });

  it('have the same bits whatever the rows begin and end with, and no other row is written', () => {
    const whole = one.run({ bias });
    for (const [from, to] of [
      [0, 4],
      [4, 20],
      [8, 12],
      [16, 20],
      [12, 12],
    ] as const) {
      const inRange = (_: number, i: number) => i % STRIDE >= from && i % STRIDE < to;
      const part = one.run({ bias, range: { from, to } });
      expectBits(part.filter(inRange), whole.filter(inRange));
      expect([...part].filter((value, i) => !inRange(value, i) && !Number.isNaN(value))).toEqual([]);
    }
  });
});

describe('products of int8', () => {
  const product = (K: number, weight: (k: number) => number, x: (k: number) => number, T: number) => {
    const w = Float32Array.from({ length: 4 * K }, (_, i) => weight(i % K));
    const vectors = Float32Array.from({ length: T * K }, (_, i) => x(i % K));
    const ones = (length: number) => new Float32Array(length).fill(1);
    return new Case(K, w, vectors, [ones(4), ones(T)]);
  };

  it.each([16, 768, 16_496, 16_512, 16_528, 32_768, 65_536])('of the largest numbers do not overflow, K = %i', (K) => {
    const most = maxActivation(K);
    const signs: [string, (k: number) => number, (k: number) => number][] = [
      ['all positive', () => 127, () => most],
      ['all negative', () => -127, () => most],
      ['both negative', () => -127, () => -most],
      ['the first half against the second', () => 127, (k) => (k < K / 2 ? most : -most)],
      ['by turns', (k) => (k % 2 === 0 ? 127 : -127), (k) => (k % 2 === 0 ? most : -most)],
    ];
    for (const [name, weight, x] of signs) {
      for (const T of [1, 3]) {
        const one = product(K, weight, x, T);
        const found = [...one.run()].filter((value) => !Number.isNaN(value));
        const exact = one.exact(0, 0);
        const relative = found.map((value) => Math.abs(value - exact) / Math.max(1, Math.abs(exact)));
        expect([name, T, found.length, Math.max(...relative) <= 1e-6]).toEqual([name, T, 4 * T, true]);
      }
    }
  });

  it('have the scales of their row and of their vector', () => {
    const scales: [Float32Array, Float32Array] = [
      Float32Array.from(range(N), (n) => 2 ** n),
      Float32Array.of(1, 8, 64),
    ];
    const one = new Case(16, new Array(N * 16).fill(1), new Array(3 * 16).fill(1), scales);
    expectTable(
      one.run(),
      3,
      (n, t) => 16 * 2 ** n * 8 ** t,
      () => 0,
    );
  });
});

describe('maxActivation', () => {
  const widths = range(65_536 / 16).map((i) => 16 * (i + 1));

  it('lets no sum of a lane reach 2^31, and is no smaller than it must be', () => {
    const sum = (K: number, activation: number) => BigInt(K / 4) * 127n * BigInt(activation);
    expect(widths.filter((K) => sum(K, maxActivation(K)) >= 2n ** 31n)).toEqual([]);
    expect(widths.filter((K) => maxActivation(K) < 4095 && sum(K, maxActivation(K) + 1) < 2n ** 31n)).toEqual([]);
  });

  it('is 4095 up to K = 16,512', () => {
    expect(widths.filter((K) => maxActivation(K) === 4095)).toEqual(widths.filter((K) => K <= 16_512));
  });
});

describe('zeros, NaN and infinities', () => {
  /** Of T vectors, quantized as the engine does it. */
  function int8Product(w: Float32Array, x: Float32Array, K: number): Float32Array {
    const laid = kernels.layRowsInt8({ rows: w.length / K, columns: K, values: w });
    const { integers, scales } = kernels.quantizeActivations(x, K, maxActivation(K));
    const y = new Float32Array((x.length / K) * laid.rows).fill(7);
    const to = laid.rows;
    const product = { T: x.length / K, y, stride: to, range: { from: 0, to }, add: false };
    return kernels.productInt8(laid, integers, scales, product);
  }
  function float32Product(w: Float32Array, x: Float32Array, K: number): Float32Array {
    const rows = w.length / K;
    const y = new Float32Array((x.length / K) * rows).fill(7);
    const product = { T: x.length / K, y, stride: rows, range: { from: 0, to: rows }, add: false };
    return kernels.productFloat32({ rows, columns: K, values: w }, x, product);
  }
  const FORM = { float32: float32Product, int8: int8Product };
  const K = 48;
  const w = () => randoms(8 * K, 20);
  const x = (T: number) => randoms(T * K, 21);

  describe.each(FORMS)('%s', (form) => {
    it('a vector of zeros gives zeros, and so does a row of zeros', () => {
      const zeros = x(3).fill(0, K, 2 * K);
      const y = FORM[form](w().fill(0, 5 * K, 6 * K), zeros, K);
      expect(range(24).filter((i) => at(y, i) === 0)).toEqual([5, 8, 9, 10, 11, 12, 13, 14, 15, 21]);
    });

    it.each([0, 17, 47])('NaN at %i of a vector reaches all results of that vector, and no other', (k) => {
      for (const T of [1, 2, 3]) {
        const broken = x(T);
        broken[k] = Number.NaN;
        const y = FORM[form](w(), broken, K);
        expect(range(y.length).filter((i) => Number.isNaN(at(y, i)))).toEqual(range(8));
      }
    });

    it.each([0, 17, 47])('NaN at %i of a row reaches all results of that row, and no other', (k) => {
      const broken = w();
      broken[3 * K + k] = Number.NaN;
      const y = FORM[form](broken, x(3), K);
      expect(range(y.length).filter((i) => Number.isNaN(at(y, i)))).toEqual([3, 11, 19]);
    });

    it.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('%d reaches the results as no number', (infinity) => {
      const vector = x(2);
      vector[K + 5] = infinity;
      const wide = FORM[form](w(), vector, K);
      expect(range(wide.length).filter((i) => !Number.isFinite(at(wide, i)))).toEqual(range(8).map((n) => 8 + n));
      const weights = w();
      weights[2 * K + 5] = infinity;
      const deep = FORM[form](weights, x(2), K);
      expect(range(deep.length).filter((i) => !Number.isFinite(at(deep, i)))).toEqual([2, 10]);
    });
  });

  it('denormal numbers in int8 are as good as zeros', () => {
    for (const size of [1e-45, 1e-40, 1e-38, 1e-36]) {
      const tiny = x(2).map((value) => value * size);
      expectNear(int8Product(w(), tiny, K), new Float32Array(16), () => K * size * 10);
      const rows = w().map((value) => value * size);
      expectNear(int8Product(rows, x(2), K), new Float32Array(16), () => K * size * 10);
    }
  });
});

describe('layerNorm', () => {
  function exact(x: Float32Array, weight: Float32Array, bias: Float32Array, epsilon: number): number[] {
    const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
    const variance = Array.from(x, (value) => (value - mean) ** 2).reduce((sum, square) => sum + square, 0) / x.length;
    return Array.from(x, (value, i) => ((value - mean) / Math.sqrt(variance + epsilon)) * at(weight, i) + at(bias, i));
  }
  /** Filled up with zeros. */
  const padded = (values: Float32Array, stride: number) => {
    const wide = new Float32Array(stride);
    wide.set(values);
    return wide;
  };
  /** Of T vectors [C], each filled up. */
  function run(vectors: readonly Float32Array[], C: number, epsilon: number) {
    const stride = 16 * Math.ceil(C / 16);
    const weight = randoms(C, 30, 2);
    const bias = randoms(C, 31);
    const x = Float32Array.from(vectors.flatMap((vector) => [...padded(vector, stride)]));
    const y = kernels.layerNorm(x, C, stride, padded(weight, stride), padded(bias, stride), epsilon);
    return {
      y: vectors.map((_, t) => y.slice(t * stride, t * stride + C)),
      behind: [...y].filter((_, i) => i % stride >= C),
      exact: vectors.map((vector) => exact(vector, weight, bias, epsilon)),
      bias,
    };
  }

  it.each([1, 2, 6, 15, 16, 17, 30, 48, 99, 768])('of %i numbers, with zeros behind them', (C) => {
    for (const T of [1, 3]) {
      const vectors = range(T).map((t) => randoms(C, 32 + t, 5).map((value) => value + t));
      const { y, behind, exact } = run(vectors, C, 1e-5);
      for (const [t, one] of y.entries()) {
        expectNear(one, at(exact, t), () => 2e-5);
      }
      expect(behind.filter((value) => value !== 0)).toEqual([]);
    }
  });

  it('of numbers far from zero keeps their differences', () => {
    const { y, exact } = run([randoms(30, 36).map((value) => 1000 + value)], 30, 1e-5);
    expectNear(at(y, 0), at(exact, 0), () => 1e-3);
  });

  it('of equal numbers is the bias, and epsilon counts', () => {
    const { y, bias } = run([new Float32Array(30).fill(3)], 30, 1e-5);
    expectNear(at(y, 0), bias, () => 1e-6);
    const small = run([randoms(30, 37, 0.01)], 30, 0.5);
    expectNear(at(small.y, 0), at(small.exact, 0), () => 1e-6);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('of %d and others is NaN, in that vector alone', (broken) => {
    const vectors = range(3).map((t) => randoms(30, 38 + t));
    at(vectors, 1)[29] = broken;
    const { y } = run(vectors, 30, 1e-5);
    expect(y.map((one) => one.filter(Number.isNaN).length)).toEqual([0, 30, 0]);
  });
});

describe('quantizeActivations', () => {
  const quantize = (x: ArrayLike<number>, K = x.length, most = 4095) =>
    kernels.quantizeActivations(Float32Array.from(x), K, most);

  it('rounds to the nearest integer, ties to even', () => {
    const x = [0.5, 1.5, 2.5, 3.5, -0.5, -1.5, -2.5, -3.5, 0.49, 0.51, 1.49, -1.51, 0, -0, 4095, 4094.5];
    const { integers, scales } = quantize(x);
    expect([...integers]).toEqual([0, 2, 2, 4, 0, -2, -2, -4, 0, 1, 1, -2, 0, 0, 4095, 4094]);
    expect([...scales]).toEqual([1]);
  });

  it.each(WIDTHS)('gives each of several vectors of %i a scale: its largest over the largest integer', (K) => {
    for (const most of [4095, maxActivation(65_536), 127]) {
      const x = range(3).flatMap((t) => [...randoms(K, 40 + t, 10 ** (t - 1))]);
      const { integers, scales } = quantize(x, K, most);
      for (let t = 0; t < 3; t++) {
        const vector = x.slice(t * K, (t + 1) * K);
        const own = integers.slice(t * K, (t + 1) * K);
        const largest = Math.max(...vector.map(Math.abs));
        expect(at(scales, t)).toBe(Math.fround(largest / most));
        expect(Math.max(...own.map(Math.abs))).toBe(most);
        expectNear(
          own,
          vector.map((value) => (value * most) / largest),
          () => 0.5 + 1e-3,
        );
      }
    }
  });

  it('is symmetric', () => {
    const x = randoms(768, 44);
    const [plus, minus] = [quantize(x), quantize(x.map((value) => -value))];
    expect([...minus.integers].map((value) => 0 - value)).toEqual([...plus.integers]);
    expectBits(minus.scales, plus.scales);
  });

  it.each([2.5, -0.1, 3e38, -1e-25])('of %d alone, many times, is the largest integer', (value) => {
    const { integers, scales } = quantize(new Array(48).fill(value));
    expect(new Set(integers)).toEqual(new Set([4095 * Math.sign(value)]));
    expect(at(scales, 0)).toBe(Math.fround(Math.fround(Math.abs(value)) / 4095));
  });

  it('of zeros is zeros, with the scale 0', () => {
    const { integers, scales } = quantize(new Array(32).fill(0), 16);
    expect([...integers, ...scales]).toEqual(new Array(34).fill(0));
  });

  it.each([1e-45, 1e-41, 1e-38, 3e-36, 1.1e-35])('of numbers up to %d never exceeds the largest integer', (size) => {
    const x = randoms(16, 45).map((value) => value * size);
    x[3] = size;
    const { integers } = quantize(x);
    expect(Math.max(...integers.map(Math.abs))).toBeLessThanOrEqual(4095);
  });

  it('of a vector with a NaN or an infinity has that as its scale', () => {
    const x = randoms(48, 46);
    x[20] = Number.NaN;
    x[40] = Number.NEGATIVE_INFINITY;
    expect([...quantize(x, 16).scales].slice(1)).toEqual([Number.NaN, Number.POSITIVE_INFINITY]);
  });
});

describe('laying out weights', () => {
  const SIZES: [rows: number, columns: number][] = [
    [4, 16],
    [16, 48],
    [48, 32],
    [16, 768],
  ];
  const source = (rows: number, K: number) => ({ rows, columns: K, values: randoms(rows * K, 50 + K, 2) });
  const transposed = ({ rows, columns, values }: Plain<Float32Array>): Plain<Float32Array> => ({
    rows: columns,
    columns: rows,
    values: Float32Array.from({ length: values.length }, (_, i) =>
      at(values, (i % rows) * columns + Math.floor(i / rows)),
    ),
  });
  const emptyInt8 = (rows: number, K: number): Int8Matrix => {
    const values = new Int8Array(rows * K).fill(99);
    return { rows, columns: K, values, scales: new Float32Array(rows).fill(99) };
  };
  const emptyFloat32 = (rows: number, K: number) => ({ rows, columns: K, values: new Float32Array(rows * K).fill(99) });

  it.each(SIZES)('float32, [%i, %i]: every number in its place, from rows and from columns', (rows, K) => {
    const plain = source(rows, K);
    expectBits(kernels.layRowsFloat32(plain).values, plain.values);
    const byColumns = kernels.layColumnsFloat32(transposed(plain), { from: 0, to: rows }, emptyFloat32(rows, K));
    expectBits(byColumns.values, plain.values);
  });

  it.each(SIZES)('int8, [%i, %i]: every number in its place, from rows and from columns', (rows, K) => {
    const plain = source(rows, K);
    plain.values.set([0.001, -0.001, 0, 2, -2], K);
    const byRows = kernels.layRowsInt8(plain);
    for (let n = 0; n < rows; n++) {
      const row = plain.values.subarray(n * K, (n + 1) * K);
      const largest = Math.max(...row.map(Math.abs));
      expect(at(byRows.scales, n)).toBe(Math.fround(largest / 127));
      expectNear(
        byRows.values.subarray(n * K, (n + 1) * K),
        row.map((value) => (value * 127) / largest),
        () => 0.5 + 1e-4,
      );
    }
    expect([...byRows.values.subarray(K, K + 5)]).toEqual([0, 0, 0, 127, -127]);
    const byColumns = kernels.layColumnsInt8(transposed(plain), { from: 0, to: rows }, emptyInt8(rows, K));
    expect(byColumns).toEqual(byRows);
  });

  it('int8 rounds ties to even, and fills the range of each row', () => {
    const row = [127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, -127, 126.5, 125.5, 0.49, 0.51, 0, 0, 0, 0];
    const plain = {
      rows: 4,
      columns: 16,
      values: Float32Array.from([4, 1, 8, 2].flatMap((f) => row.map((v) => v * f))),
    };
    const { values, scales } = kernels.layRowsInt8(plain);
    const rounded = [127, 0, 2, 2, 0, -2, -2, -127, 126, 126, 0, 1, 0, 0, 0, 0];
    expect([...values]).toEqual(new Array(4).fill(rounded).flat());
    expect([...scales]).toEqual([4, 1, 8, 2]);
  });

  it('int8: a row of zeros is zeros with the scale 0, and NaN and infinity go into the scale', () => {
    const plain = source(8, 16);
    plain.values.fill(0, 16, 32);
    plain.values[2 * 16 + 9] = Number.NaN;
    plain.values[5 * 16] = Number.NEGATIVE_INFINITY;
    const byRows = kernels.layRowsInt8(plain);
    const byColumns = kernels.layColumnsInt8(transposed(plain), { from: 0, to: 8 }, emptyInt8(8, 16));
    for (const { values, scales } of [byRows, byColumns]) {
      expect([...values.subarray(16, 32)]).toEqual(new Array(16).fill(0));
      expect([1, 2, 5].map((n) => at(scales, n))).toEqual([0, Number.NaN, Number.POSITIVE_INFINITY]);
      expect([0, 3, 4, 6, 7].filter((n) => !(at(scales, n) > 0 && at(scales, n) < 1))).toEqual([]);
    }
  });

  it.each([
    [0, 4],
    [4, 16],
    [8, 12],
    [12, 16],
  ])('columns of the rows %i to %i alone leave the others as they were', (from, to) => {
    const plain = source(16, 48);
    const columns = transposed(plain);
    const inRange = (n: number) => n >= from && n < to;
    const int8 = kernels.layColumnsInt8(columns, { from, to }, emptyInt8(16, 48));
    const wholeInt8 = kernels.layRowsInt8(plain);
    expect([...int8.values]).toEqual([...wholeInt8.values].map((v, i) => (inRange(Math.floor(i / 48)) ? v : 99)));
    expect([...int8.scales]).toEqual([...wholeInt8.scales].map((scale, n) => (inRange(n) ? scale : 99)));
    const float32 = kernels.layColumnsFloat32(columns, { from, to }, emptyFloat32(16, 48));
    expect([...float32.values]).toEqual([...plain.values].map((v, i) => (inRange(Math.floor(i / 48)) ? v : 99)));
  });
});

describe('embedding', () => {
  const IDS = [0, 1, 2, 3, 4, 10, 11, 5, 5];
  const POSITIONS = [0, 3, 1, 2, 7, 6, 5, 4, 7];

  it.each(WIDTHS)('float32 is the row of the id plus the row of the position, C = %i', (C) => {
    const wte = { rows: 12, columns: C, values: randoms(12 * C, 60) };
    const wpe = randoms(8 * C, 61);
    const exact = IDS.flatMap((id, t) =>
      range(C).map((k) => Math.fround(at(wte.values, id * C + k) + at(wpe, at(POSITIONS, t) * C + k))),
    );
    expectBits(kernels.embedFloat32(IDS, POSITIONS, wte, wpe), Float32Array.from(exact));
  });

  it.each(WIDTHS)('int8 takes each number times the scale of its row, C = %i', (C) => {
    const values = Int8Array.from(wholes(12 * C, 62, 127));
    const wte = { rows: 12, columns: C, values, scales: randoms(12, 63) };
    const wpe = randoms(8 * C, 64);
    const exact = IDS.flatMap((id, t) =>
      range(C).map((k) => {
        const weight = Math.fround(at(values, id * C + k) * at(wte.scales, id));
        return Math.fround(weight + at(wpe, at(POSITIONS, t) * C + k));
      }),
    );
    expectBits(kernels.embedInt8(IDS, POSITIONS, wte, wpe), Float32Array.from(exact));
  });
});

/** erf by its series, and 1 − erfc by a continued fraction where that cancels: exact to 1e-14. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (size > 6) {
    return Math.sign(x);
  }
  if (size < 2.5) {
    let sum = 0;
    let term = x;
    for (let n = 0; Math.abs(term) > 1e-18; n++, term *= -(x * x) / n) {
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 120; n >= 1; n--) {
    fraction = n / 2 / (size + fraction);
  }
  const erfc = Math.exp(-size * size) / (size + fraction) / Math.sqrt(Math.PI);
  return Math.sign(x) * (1 - erfc);
}

describe('activations', () => {
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const EXACT: Record<Activation, (x: number) => number> = {
    gelu_new: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
    relu: (x) => Math.max(0, x),
    silu: (x) => x * sigmoid(x),
    tanh: Math.tanh,
    quick_gelu: (x) => x * sigmoid(1.702 * x),
    gelu_10: (x) => Math.min(10, Math.max(-10, 0.5 * x * (1 + erf(x / Math.SQRT2)))),
    mish: (x) => x * Math.tanh(x > 40 ? x : Math.log1p(Math.exp(x))),
    leaky_relu: (x) => (x < 0 ? 0.01 * x : x),
    linear: (x) => x,
    relu2: (x) => Math.fround(Math.max(0, x) ** 2),
    relu6: (x) => Math.min(6, Math.max(0, x)),
  };
  const LANDMARKS = [0, 1e-45, 1e-30, 1e-8, 1e-4, 0.5, 1, 2, 3, 5, 10, 44, 87, 88, 89, 100, 1000, 1e10, 3e30];
  const POINTS = Float32Array.from([
    ...LANDMARKS.flatMap((x) => [x, -x]),
    ...range(4002).map((i) => -10 + i / 200),
    ...range(2000).map((i) => -100 + i / 10),
  ]);

  it('the erf of this test is exact', () => {
    // NIST Digital Library of Mathematical Functions, table 7.23(i); Abramowitz and Stegun, table 7.1
    expect(erf(0.5)).toBeCloseTo(0.5204998778130465, 14);
    expect(erf(1)).toBeCloseTo(0.8427007929497149, 14);
    expect(erf(-2)).toBeCloseTo(-0.9953222650189527, 14);
    expect(erf(3)).toBeCloseTo(0.9999779095030014, 14);
    expect(Math.abs(erf(2.5 - 1e-9) - erf(2.5))).toBeLessThan(1e-11);
  });

  it.each([...ACTIVATIONS.entries()])('%i is %s', (kind, name) => {
    expect(POINTS.length % 4).toBe(0);
    const found = kernels.activate(kind, POINTS, POINTS.length, { from: 0, to: POINTS.length });
    const exact = Array.from(POINTS, EXACT[name]);
    expectNear(found, exact, (i) => 2e-6 * Math.max(1, Math.abs(at(POINTS, i)), Math.abs(at(exact, i))));
  });

  it.each([...ACTIVATIONS.entries()])('%i, %s: NaN stays NaN, in its lane alone', (kind) => {
    for (let lane = 0; lane < 4; lane++) {
      const x = Float32Array.of(1, 2, 3, 4);
      x[lane] = Number.NaN;
      const found = kernels.activate(kind, x, 4, { from: 0, to: 4 });
      expect([...found].map(Number.isNaN)).toEqual(range(4).map((i) => i === lane));
    }
  });

  it.each([...ACTIVATIONS.entries()])('%i, %s, of 0 is 0: columns that fill up stay zeros', (kind) => {
    expect([...kernels.activate(kind, new Float32Array(4), 4, { from: 0, to: 4 })]).toEqual([0, 0, 0, 0]);
  });

  it('are applied to the columns that are named, of every vector', () => {
    const x = randoms(3 * 24, 70);
    const found = kernels.activate(ACTIVATIONS.indexOf('relu'), x, 24, { from: 8, to: 20 });
    expect([...found]).toEqual([...x].map((value, i) => (i % 24 >= 8 && i % 24 < 20 ? Math.max(0, value) : value)));
  });

  it('one that there is not is a trap', () => {
    const x = new Float32Array(4);
    expect(() => kernels.activate(-1, x, 4, { from: 0, to: 4 })).toThrow('unreachable');
    expect(() => kernels.activate(ACTIVATIONS.length, x, 4, { from: 0, to: 4 })).toThrow('unreachable');
  });
});

describe('RMS norm', () => {
  const normed = (x: ArrayLike<number>, weight: ArrayLike<number>, C: number) => {
    const meanSquare = range(C).reduce((sum, i) => sum + at(x, i) ** 2, 0) / C;
    return Array.from(x, (value, i) => (value / Math.sqrt(meanSquare + 1e-5)) * at(weight, i));
  };

  it.each([1, 3, 16, 30, 576])('of %i numbers: x / √(mean(x²) + ε) · weight', (C) => {
    const stride = Math.ceil(C / 16) * 16;
    const filled = (values: Float32Array) => values.map((value, i) => (i % stride < C ? value : 0));
    const x = filled(randoms(3 * stride, 1, 5));
    const weight = filled(randoms(stride, 2));
    const expected = range(3).flatMap((t) => normed(x.subarray(t * stride, (t + 1) * stride), weight, C));
    expectNear(kernels.rmsNorm(x, C, stride, weight, 1e-5), expected, (_, value) => 1e-6 * Math.abs(value));
  });

  it.each([4, 6, 24])('of heads of %i numbers, each by itself, and of no others', (C) => {
    const headDim = Math.ceil(C / 4) * 4;
    const stride = 5 * headDim;
    const x = randoms(3 * stride, 1, 5).map((value, i) => (i % headDim < C ? value : 0));
    const weight = randoms(headDim, 2);
    const expected = range(15).flatMap((head) => {
      const numbers = x.subarray(head * headDim, (head + 1) * headDim);
      return [1, 2, 3].includes(head % 5) ? normed(numbers, weight, C) : [...numbers];
    });
    const found = kernels.rmsNormHeads(x, stride, C, headDim, { first: 1, count: 3 }, weight, 1e-5);
    expectNear(found, expected, (_, value) => 1e-6 * Math.abs(value));
  });
});

describe('rotary positions', () => {
  it('cosines and sines are those of the float32 angles, up to the longest contexts', () => {
    const positions = [0, 1, 2, 7, 100, 1023, 4095, 8191, 65537, 131071, 1048575];
    const inverse = Float32Array.from({ length: 33 }, (_, i) => 10000 ** (-i / 32));
    const { cosines, sines } = kernels.rotaryAngles(positions, inverse);
    const angles = positions.flatMap((position) => Array.from(inverse, (rate) => Math.fround(position * rate)));
    expectNear(cosines, angles.map(Math.cos), () => 6e-8);
    expectNear(sines, angles.map(Math.sin), () => 6e-8);
    expect(cosines.filter((value) => value < 0).length).toBeGreaterThan(20);
  });

  it.each([
    [2, 4],
    [3, 8],
    [8, 16],
    [12, 24],
    [32, 64],
    [4, 16], // a part of the head
  ])('turn %i pairs of each head of %i, and nothing else', (half, headDim) => {
    const stride = 4 * headDim;
    const x = randoms(3 * stride, 1, 2);
    const [cosines, sines] = [randoms(3 * half, 2), randoms(3 * half, 3)];
    const expected = Array.from(x, (value, i) => {
      const [t, head, d] = [Math.floor(i / stride), Math.floor(i / headDim) % 4, i % headDim];
      if (head < 1 || head > 2 || d >= 2 * half) {
        return value;
      }
      const [c, s] = [at(cosines, t * half + (d % half)), at(sines, t * half + (d % half))];
      return d < half ? value * c - at(x, i + half) * s : value * c + at(x, i - half) * s;
    });
    const found = kernels.rotateHeads(x, stride, headDim, { first: 1, count: 2 }, cosines, sines);
    expectNear(found, expected, () => 5e-7);
  });
});

describe('gated activation', () => {
  it('is a(gate) · up in the columns that are asked for', () => {
    const [gate, up] = [randoms(3 * 24, 1, 4), randoms(3 * 24, 2, 2)];
    const found = kernels.activateGate(ACTIVATIONS.indexOf('silu'), gate, up, 24, { from: 8, to: 20 });
    const expected = Array.from(gate, (value, i) =>
      i % 24 >= 8 && i % 24 < 20 ? (value / (1 + Math.exp(-value))) * at(up, i) : value,
    );
    expectNear(found, expected, (_, value) => 1e-6 * Math.abs(value));
  });
});

/** New tokens of one sequence, positions from … from + count. */
interface Run {
  readonly from: number;
  readonly count: number;
}

/** Sequences in blocks, as a cache keeps them; what is of no position is NaN. Two heads of three attend. */
class Sequences {
  static readonly #heads = 3;
  readonly #attending = { first: 1, count: 2 };
  readonly P: number;
  readonly headDim: number;
  readonly runs: readonly Run[];
  /** [sequence][position][head][headDim] */
  readonly queries: Float32Array[];
  readonly keys: Float32Array[];
  readonly values: Float32Array[];
  readonly #order: readonly number[];
  /** Positions that a token sees; 0: all. */
  readonly window: number;

  /** @param scattered blocks of all sequences in a mixed order, else one behind the other */
  constructor(P: number, headDim: number, runs: readonly Run[], scattered: boolean, window = 0) {
    this.window = window;
    this.P = P;
    this.headDim = headDim;
    this.runs = runs;
    const numbers = (seed: number, size: number) =>
      runs.map(({ from, count }, i) => randoms((from + count) * this.width, seed + i, size));
    this.queries = numbers(100, 2);
    this.keys = numbers(120, 2);
    this.values = numbers(140, 1);
    const count = runs.reduce((sum, run) => sum + this.#blocksOf(run), 0);
    const mixed = range(count).sort((a, b) => ((a * 7919) % 31) - ((b * 7919) % 31) || a - b);
    this.#order = scattered ? mixed.reverse() : range(count);
  }

  /** Numbers of all heads. */
  get width(): number {
    return Sequences.#heads * this.headDim;
  }

  #blocksOf({ from, count }: Run): number {
    return Math.ceil((from + count) / this.P);
  }

  /** The numbers of a sequence's blocks. */
  #table(sequence: number): number[] {
    const before = this.runs.slice(0, sequence).reduce((sum, run) => sum + this.#blocksOf(run), 0);
    return range(this.#blocksOf(at(this.runs, sequence))).map((i) => at(this.#order, before + i));
  }

  /** Blocks that hold these heads of the positions before `end` of each sequence. */
  blocks(end: (run: Run) => number, heads: (head: number) => boolean): Float32Array[] {
    const { P, headDim, width } = this;
    const blocks = this.#order.map(() => new Float32Array(2 * P * width).fill(Number.NaN));
    for (const [sequence, run] of this.runs.entries()) {
      for (let position = 0; position < end(run); position++) {
        const block = at(blocks, at(this.#table(sequence), Math.floor(position / P)));
        for (const head of range(Sequences.#heads).filter(heads)) {
          const start = position * width + head * headDim;
          const place = (head * P + (position % P)) * headDim;
          block.set(at(this.keys, sequence).subarray(start, start + headDim), place);
          block.set(at(this.values, sequence).subarray(start, start + headDim), P * width + place);
        }
      }
    }
    return blocks;
  }

  isAttending = (head: number) => head >= this.#attending.first;

  /**
   * The results of the new tokens of all sequences, [T][heads][headDim].
   * @param runs other tokens of the same sequences
   */
  attend(scale: number, runs = this.runs): { mixed: Float32Array; blocks: Float32Array[] } {
    const { P, headDim, width } = this;
    const tokens = runs.flatMap(({ from, count }, sequence) =>
      range(count).map((t) => ({ sequence, position: from + t })),
    );
    const qkv = new Float32Array(tokens.length * 3 * width);
    for (const [t, { sequence, position }] of tokens.entries()) {
      for (const [part, values] of [this.queries, this.keys, this.values].entries()) {
        const row = at(values, sequence).subarray(position * width, (position + 1) * width);
        qkv.set(row, (3 * t + part) * width);
      }
    }
    const { first } = this.#attending;
    const over: Blocks = {
      blocks: this.blocks((run) => at(runs, this.runs.indexOf(run)).from, this.isAttending),
      tables: this.runs.map((_, sequence) => this.#table(sequence)),
      sequences: tokens.map(({ sequence }) => sequence),
      positions: tokens.map(({ position }) => position),
      P,
      headDim,
      keys: 0,
      values: 4 * Sequences.#heads * P * headDim,
    };
    const stride = width + 4;
    const held = new Float32Array(tokens.length * stride).fill(7);
    const { mixed, blocks } = kernels.attend(
      qkv,
      width,
      this.#attending,
      over,
      { scale, window: this.window },
      held,
      stride,
    );
    const isResult = (_: number, i: number) => i % stride >= first * headDim && i % stride < width;
    expect([...mixed].filter((value, i) => !isResult(value, i) && value !== 7)).toEqual([]);
    return { mixed: mixed.filter(isResult), blocks };
  }

  /** softmax(q · kᵀ · scale) · v of each new token, as `attend` gives it. */
  exact(scale: number): number[] {
    return this.runs.flatMap(({ from, count }, sequence) =>
      range(count).flatMap((t) =>
        range(Sequences.#heads)
          .filter(this.isAttending)
          .flatMap((head) => this.#exact(sequence, from + t, head, scale)),
      ),
    );
  }

  #exact(sequence: number, position: number, head: number, scale: number): number[] {
    const number = (values: Float32Array[], j: number, d: number) =>
      at(at(values, sequence), j * this.width + head * this.headDim + d);
    const dims = range(this.headDim);
    const first = this.window === 0 ? 0 : Math.max(0, position + 1 - this.window);
    const seen = range(position + 1).slice(first);
    const scores = seen.map(
      (j) => scale * dims.reduce((sum, d) => sum + number(this.queries, position, d) * number(this.keys, j, d), 0),
    );
    const largest = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - largest));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return dims.map(
      (d) => weights.reduce((sum, weight, i) => sum + weight * number(this.values, at(seen, i), d), 0) / total,
    );
  }
}

describe('attention', () => {
  const SHAPES = [4, 8, 16, 20, 32, 36, 48, 64].flatMap((headDim) => [4, 32].map((P) => ({ headDim, P, window: 0 })));
  const WINDOWS = [1, 2, 7, 32, 33, 64, 1000].flatMap((window) =>
    [4, 16].map((headDim) => ({ headDim, P: 32, window })),
  );
  /** From the beginning, over the borders of blocks, up to them and from them on; odd and even counts. */
  const RUNS: readonly Run[] = [
    { from: 0, count: 6 },
    { from: 30, count: 5 },
    { from: 0, count: 1 },
    { from: 61, count: 4 },
    { from: 31, count: 2 },
    { from: 32, count: 3 },
    { from: 69, count: 1 },
  ];

  const CASES = [...SHAPES, ...WINDOWS];
  describe.each(CASES)('headDim $headDim, blocks of $P, window $window', ({ headDim, P, window }) => {
    const sequences = new Sequences(P, headDim, RUNS, true, window);
    const scale = 1 / Math.sqrt(headDim);

    it('is softmax(q · kᵀ · scale) · v over the past of each token, and itself', () => {
      expectNear(sequences.attend(scale).mixed, sequences.exact(scale), () => 3e-6);
    });

    it('of many tokens has the bits of each alone, and of any chunks', () => {
      const whole = sequences.attend(scale).mixed;
      const size = 2 * headDim;
      const ofRun = (sequence: number) => {
        const before = RUNS.slice(0, sequence).reduce((sum, { count }) => sum + count, 0);
        return whole.subarray(before * size, (before + at(RUNS, sequence).count) * size);
      };
      for (const cut of [1, 2, 3]) {
        const first = RUNS.map(({ from, count }) => ({ from, count: Math.min(cut, count) }));
        const rest = RUNS.map(({ from, count }, i) => ({
          from: from + at(first, i).count,
          count: count - at(first, i).count,
        }));
        const parts = [first, rest].map((runs) => ({ runs, mixed: sequences.attend(scale, runs).mixed }));
        for (const [sequence] of RUNS.entries()) {
          const joined = parts.flatMap(({ runs, mixed }) => {
            const before = runs.slice(0, sequence).reduce((sum, { count }) => sum + count, 0);
            return [...mixed.subarray(before * size, (before + at(runs, sequence).count) * size)];
          });
          expectBits(Float32Array.from(joined), ofRun(sequence));
        }
      }
      for (let t = 0; t < 6; t++) {
        const runs = RUNS.map(({ from, count }) => ({
          from: Math.min(from + t, from + count),
          count: t < count ? 1 : 0,
        }));
        const { mixed } = sequences.attend(scale, runs);
        const alone = RUNS.flatMap(({ count }, sequence) =>
          t < count ? [...ofRun(sequence).subarray(t * size, (t + 1) * size)] : [],
        );
        expectBits(mixed, Float32Array.from(alone));
      }
    });

    it('has the same bits wherever the blocks lie', () => {
      const contiguous = new Sequences(P, headDim, RUNS, false, window);
      expectBits(sequences.attend(scale).mixed, contiguous.attend(scale).mixed);
    });

    it('stores keys and values in the places of their positions and heads, and nothing else', () => {
      const { blocks } = sequences.attend(scale);
      const expected = sequences.blocks(({ from, count }) => from + count, sequences.isAttending);
      for (const [i, block] of expected.entries()) {
        expectBits(at(blocks, i), block);
      }
    });
  });

  const GROUPS = [8, 16, 64].flatMap((headDim) => [1, 2, 7].map((T) => ({ headDim, T })));
  it.each(GROUPS)(
    'of $T tokens and heads of $headDim that share keys and values has the bits of own copies',
    (sizes) => {
      const { headDim, T } = sizes;
      const [P, nHead, group] = [4, 6, 3];
      const queries = randoms(T * nHead * headDim, 1, 2);
      const shared = [2, 3].map((seed) => randoms((T * nHead * headDim) / group, seed, 2)); // keys, values
      const rows = (repeats: number) => (t: number) => {
        const heads = range(nHead / repeats);
        const width = (nHead / group) * headDim;
        const copy = (values: Float32Array, head: number) => {
          const from = t * width + Math.floor((head * repeats) / group) * headDim;
          return [...values.subarray(from, from + headDim)];
        };
        const own = [...queries.subarray(t * nHead * headDim, (t + 1) * nHead * headDim)];
        return [...own, ...shared.flatMap((values) => heads.flatMap((head) => copy(values, head)))];
      };
      const attend = (repeats: number) => {
        const kvHeads = nHead / repeats;
        const over: Blocks = {
          blocks: range(2).map(() => new Float32Array(2 * P * kvHeads * headDim)),
          tables: [[1, 0]],
          sequences: range(T).map(() => 0),
          positions: range(T),
          P,
          headDim,
          keys: 0,
          values: 4 * kvHeads * P * headDim,
        };
        const qkv = Float32Array.from(range(T).flatMap(rows(repeats)));
        const width = nHead * headDim;
        const held = new Float32Array(T * width);
        return kernels.attend(
          qkv,
          width,
          { first: 0, count: nHead },
          over,
          { scale: 0.3, group: repeats },
          held,
          width,
        );
      };
      expectBits(attend(group).mixed, attend(1).mixed);
      expect(new Set(attend(group).mixed).size).toBeGreaterThan(T * headDim);
    },
  );

  /** One new token behind 39 others, or two. */
  const one = (count = 1, headDim = 8) => new Sequences(32, headDim, [{ from: 40 - count, count }], false);

  it('with scores far apart gives the value of the largest, and no number overflows', () => {
    for (const size of [10, 100, 1e4, 1e30]) {
      const sequences = one();
      at(sequences.queries, 0).fill(size);
      at(sequences.keys, 0)
        .fill(-1)
        .fill(1, 17 * 24, 18 * 24);
      expectNear(sequences.attend(1).mixed, at(sequences.values, 0).subarray(17 * 24 + 8, 18 * 24), () => 1e-6);
    }
  });

  it('with equal scores, all very small or very large, gives the mean', () => {
    for (const key of [0, 1, -1]) {
      const sequences = one();
      at(sequences.queries, 0).fill(1000);
      at(sequences.keys, 0).fill(key);
      const values = at(sequences.values, 0);
      const mean = range(16).map((d) => range(40).reduce((sum, j) => sum + at(values, j * 24 + 8 + d), 0) / 40);
      expectNear(sequences.attend(1).mixed, mean, () => 1e-6);
    }
  });

  it('with scores of any distance gives the weights of a softmax', () => {
    const score = fc.double({ min: -120, max: 20, noNaN: true });
    fc.assert(
      fc.property(fc.array(score, { minLength: 1, maxLength: 9 }), fc.constantFrom(4, 16), (scores, headDim) => {
        const count = Math.min(2, scores.length);
        const sequences = new Sequences(4, headDim, [{ from: scores.length - count, count }], false);
        at(sequences.keys, 0).fill(0);
        at(sequences.queries, 0).fill(1);
        for (const [j, score] of scores.entries()) {
          for (const head of [0, 1, 2]) {
            at(sequences.keys, 0)[(3 * j + head) * headDim] = score;
          }
        }
        expectNear(sequences.attend(1).mixed, sequences.exact(1), () => 1e-6);
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  /** Of two positions: e^−distance, as far as the sum of both weights is 1; times `size`. */
  function weightAt(distance: number, size: number): number {
    const sequences = new Sequences(4, 4, [{ from: 1, count: 1 }], false);
    at(sequences.queries, 0).fill(1);
    at(sequences.keys, 0).fill(0);
    at(sequences.keys, 0)[12 + 4] = -distance; // the second position, and the first head that attends
    at(sequences.values, 0)
      .fill(0)
      .fill(size, 12 + 4, 12 + 8);
    return at(sequences.attend(1).mixed, 0);
  }

  it('has exponentials that are right to 2^−22 of themselves, and 0 where numbers would be denormal', () => {
    const distances = Float32Array.from(range(870), (i) => i / 10 + 0.013);
    const wrong = distances.filter((distance) => {
      const exact = Math.exp(-distance) / (1 + Math.exp(-distance));
      return !(Math.abs(weightAt(distance, 1) / exact - 1) < 2 ** -22 + 3 * 2 ** -24);
    });
    expect([...wrong]).toEqual([]);
    expect([87.4, 88, 100, 1000, 1e30].map((distance) => weightAt(distance, 1e38))).toEqual([0, 0, 0, 0, 0]);
  });

  it.each([8, 16])('NaN of the past reaches the results, headDim %i; what is behind a token does not', (headDim) => {
    const width = 3 * headDim;
    const head = 2 * headDim; // the last one
    /** How many of the results of the last two tokens are NaN. */
    const reaches = (change: (sequences: Sequences) => unknown) => {
      const sequences = one(2, headDim);
      change(sequences);
      const { mixed } = sequences.attend(1);
      return [0, 1].map((t) => mixed.subarray(t * head, (t + 1) * head).filter(Number.isNaN).length);
    };
    const broken = (values: Float32Array[], position: number) =>
      at(values, 0).fill(Number.NaN, position * width + head + 2, position * width + head + 3);
    expect(reaches(() => {})).toEqual([0, 0]);
    expect(reaches(({ queries }) => broken(queries, 38))).toEqual([headDim, 0]);
    expect(reaches(({ queries }) => broken(queries, 39))).toEqual([0, headDim]);
    expect(reaches(({ keys }) => broken(keys, 33))).toEqual([headDim, headDim]);
    expect(reaches(({ values }) => broken(values, 38))).toEqual([1, 1]);
    expect(reaches(({ keys }) => broken(keys, 39))).toEqual([0, headDim]);
    expect(reaches(({ values }) => broken(values, 39))).toEqual([0, 1]);
  });
});
