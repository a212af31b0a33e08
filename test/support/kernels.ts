// The compiled kernels on plain arrays: one wrapper for each, and the only place where a test knows how a kernel is called or
// where numbers lie in its memory. What a kernel reads is written anew for each call; everything else is NaN, so that a
// number that it reads without being told shows.

import { compileKernels, instantiate, type Kernels, type Pointer } from '../../src/simd/kernels.js';
import { LinearMemory } from '../../src/simd/linear-memory.js';

/** Where number k of row n is in a matrix of K columns, `group` numbers of each of four rows together. */
function placeOf(n: number, k: number, K: number, group: number): number {
  return (n - (n % 4)) * K + (k - (k % group)) * 4 + (n % 4) * group + (k % group);
}

/** Bytes of which any four are a NaN. */
const NAN = 0xff;
const GAP = 128;

/** Numbers of one row that lie together. */
const GROUP = { float32: 4, int8: 8 } as const;

/** [rows][columns], one row after the other. */
export interface Plain<A> {
  readonly rows: number;
  readonly columns: number;
  readonly values: A;
}

/** Rows `from` … `to` of a result. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface Product {
  /** [T][K] */
  readonly T: number;
  /** [N] */
  readonly bias?: Float32Array | undefined;
  /** [T][stride]: what y holds before, N wide or wider. */
  readonly y: Float32Array;
  readonly stride: number;
  readonly range: Range;
  readonly add: boolean;
}

export interface Int8Matrix extends Plain<Int8Array> {
  readonly scales: Float32Array;
}

export interface Heads {
  readonly first: number;
  readonly count: number;
}

export interface Attending {
  readonly scale: number;
  /** So many query heads share keys and values. */
  readonly group?: number;
  /** Positions that a token sees; 0: all. */
  readonly window?: number;
}

/** Blocks in memory, and for each token the blocks of its sequence. */
export interface Blocks {
  /** What each block holds: see kernels/attention.ts. */
  readonly blocks: readonly Float32Array[];
  /** Of each sequence the numbers of its blocks, in order. */
  readonly tables: readonly (readonly number[])[];
  /** For each token its sequence. */
  readonly sequences: readonly number[];
  /** For each token its position; tokens of one sequence follow each other. */
  readonly positions: readonly number[];
  /** Positions in a block. */
  readonly P: number;
  readonly headDim: number;
  /** Where the keys and the values of all heads begin in a block, in bytes. */
  readonly keys: number;
  readonly values: number;
}

export class KernelBench {
  readonly #memory = new LinearMemory(65536);
  readonly #kernels: Kernels;
  /** Where the rooms of the call end. */
  #ends: Pointer[] = [];

  private constructor(kernels: (memory: LinearMemory) => Kernels) {
    this.#kernels = kernels(this.#memory);
  }

  static async open(): Promise<KernelBench> {
    const module = await compileKernels();
    return new KernelBench(({ memory }) => instantiate(module, memory));
  }

  /** @returns y */
  productInt8(w: Int8Matrix, x: Int16Array, xScales: Float32Array, product: Product): Float32Array {
    return this.#product(w.columns, product, (bias, y, rest) => {
      const [at, scales] = [this.#put(laid(w, GROUP.int8)), this.#put(w.scales)];
      this.#kernels.productInt8(at, scales, bias, this.#put(x), this.#put(xScales), y, ...rest);
    });
  }

  /** @returns y */
  productFloat32(w: Plain<Float32Array>, x: Float32Array, product: Product): Float32Array {
    return this.#product(w.columns, product, (bias, y, rest) => {
      this.#kernels.productFloat32(this.#put(laid(w, GROUP.float32)), bias, this.#put(x), y, ...rest);
    });
  }

  /** What both products have in common. @returns y */
  #product(
    K: number,
    { T, bias, y, stride, range, add }: Product,
    multiply: (
      bias: number,
      y: number,
      rest: [stride: number, from: number, to: number, K: number, T: number, add: 0 | 1],
    ) => void,
  ): Float32Array {
    return this.#scratch(() => {
      const target = this.#put(y);
      multiply(bias === undefined ? 0 : this.#put(bias), target, [stride, range.from, range.to, K, T, add ? 1 : 0]);
      return this.#floats(target, y.length);
    });
  }

  /** @param x [T][stride] @returns [T][stride] */
  layerNorm(
    x: Float32Array,
    C: number,
    stride: number,
    weight: Float32Array,
    bias: Float32Array,
    epsilon: number,
  ): Float32Array {
    return this.#scratch(() => {
      const y = this.#room(4 * x.length);
      const T = x.length / stride;
      this.#kernels.layerNorm(this.#put(x), C, stride, T, this.#put(weight), this.#put(bias), epsilon, y);
      return this.#floats(y, x.length);
    });
  }

  /** @param x [T][stride] @returns [T][stride] */
  rmsNorm(x: Float32Array, C: number, stride: number, weight: Float32Array, epsilon: number): Float32Array {
    return this.#scratch(() => {
      const y = this.#room(4 * x.length);
      this.#kernels.rmsNorm(this.#put(x), C, stride, x.length / stride, this.#put(weight), epsilon, y);
      return this.#floats(y, x.length);
    });
  }

  /** @param x [T][stride] @returns the same, with these heads normed */
  rmsNormHeads(
    x: Float32Array,
    stride: number,
    C: number,
    headDim: number,
    { first, count }: Heads,
    weight: Float32Array,
    epsilon: number,
  ): Float32Array {
    return this.#scratch(() => {
      const at = this.#put(x);
      const from = at + 4 * first * headDim;
      const T = x.length / stride;
      this.#kernels.rmsNormHeads(from, stride, T, C, headDim, count, this.#put(weight), epsilon);
      return this.#floats(at, x.length);
    });
  }

  /** @returns [T][half] each */
  rotaryAngles(
    positions: readonly number[],
    inverse: Float32Array,
  ): { readonly cosines: Float32Array; readonly sines: Float32Array } {
    return this.#scratch(() => {
      const [T, half] = [positions.length, inverse.length];
      const [cosines, sines] = [this.#room(4 * T * half), this.#room(4 * T * half)];
      this.#kernels.rotaryAngles(this.#words(positions), T, this.#put(inverse), half, cosines, sines);
      return { cosines: this.#floats(cosines, T * half), sines: this.#floats(sines, T * half) };
    });
  }

  /** @param x [T][stride] @returns the same, with these heads turned */
  rotateHeads(
    x: Float32Array,
    stride: number,
    headDim: number,
    { first, count }: Heads,
    cosines: Float32Array,
    sines: Float32Array,
  ): Float32Array {
    return this.#scratch(() => {
      const at = this.#put(x);
      const T = x.length / stride;
      const from = at + 4 * first * headDim;
      const half = cosines.length / T;
      this.#kernels.rotateHeads(from, stride, headDim, T, count, half, this.#put(cosines), this.#put(sines));
      return this.#floats(at, x.length);
    });
  }

  /** @param gate [T][stride] @param up [T][stride] @returns the gate */
  activateGate(kind: number, gate: Float32Array, up: Float32Array, stride: number, { from, to }: Range): Float32Array {
    return this.#scratch(() => {
      const at = this.#put(gate);
      this.#kernels.activateGate(kind, at, this.#put(up), stride, from, to, gate.length / stride);
      return this.#floats(at, gate.length);
    });
  }

  /** @param x [T][K] */
  quantizeActivations(x: Float32Array, K: number, maxInteger: number): { integers: Int16Array; scales: Float32Array } {
    return this.#scratch(() => {
      const T = x.length / K;
      const integers = this.#room(2 * x.length);
      const scales = this.#room(4 * T);
      this.#kernels.quantizeActivations(this.#put(x), K, T, maxInteger, integers, scales);
      const buffer = this.#bytes(integers, 2 * x.length).buffer;
      return { integers: new Int16Array(buffer), scales: this.#floats(scales, T) };
    });
  }

  /** @param x [T][stride] @returns the same, activated in these columns */
  activate(kind: number, x: Float32Array, stride: number, { from, to }: Range): Float32Array {
    return this.#scratch(() => {
      const at = this.#put(x);
      this.#kernels.activate(kind, at, stride, from, to, x.length / stride);
      return this.#floats(at, x.length);
    });
  }

  /**
   * Stores the keys and values of some heads side by side, and attends.
   * @param qkv [T][width + 2 · width / group]: queries, keys and values of all heads
   * @param heads of queries; those of keys and values that they share are stored
   * @param mixed [T][mixedStride]: what it holds before
   */
  attend(
    qkv: Float32Array,
    width: number,
    { first, count }: Heads,
    over: Blocks,
    { scale, group = 1, window = 0 }: Attending,
    mixed: Float32Array,
    mixedStride: number,
  ): { mixed: Float32Array; blocks: Float32Array[] } {
    return this.#scratch(() => {
      const { blocks, tables, positions } = this.#putBlocks(over);
      const { P, headDim, keys, values } = over;
      const longest = Math.max(...over.positions) + 1;
      const scores = this.#room(4 * (2 * longest + 16));
      const target = this.#put(mixed);
      const at = this.#put(qkv);
      const T = over.positions.length;
      const stride = width + (2 * width) / group;
      const [kvFirst, kvCount] = [first / group, count / group];
      for (const [part, offset] of [keys, values].entries()) {
        const source = at + 4 * (width + (part * width) / group + kvFirst * headDim);
        const place = offset + 4 * kvFirst * P * headDim;
        this.#kernels.storeHeads(source, stride, headDim, T, tables, positions, place, P, headDim, kvCount);
      }
      this.#kernels.attendHeads(
        at,
        stride,
        headDim,
        T,
        tables,
        positions,
        keys,
        values,
        P,
        headDim,
        first,
        first + count,
        group,
        scale,
        window,
        scores,
        target,
        mixedStride,
        0,
        0,
      );
      return {
        mixed: this.#floats(target, mixed.length),
        blocks: blocks.map((at, i) => this.#floats(at, over.blocks[i]?.length ?? 0)),
      };
    });
  }

  /** @returns [T][C] */
  embedInt8(ids: readonly number[], positions: readonly number[], wte: Int8Matrix, wpe: Float32Array): Float32Array {
    return this.#scratch(() => {
      const C = wte.columns;
      const x = this.#room(4 * ids.length * C);
      const rows = this.#put(laid(wte, GROUP.int8));
      const [idWords, positionWords] = [this.#words(ids), this.#words(positions)];
      const T = ids.length;
      this.#kernels.embedInt8(idWords, positionWords, T, rows, this.#put(wte.scales), this.#put(wpe), C, x);
      return this.#floats(x, T * C);
    });
  }

  /** @returns [T][C] */
  embedFloat32(
    ids: readonly number[],
    positions: readonly number[],
    wte: Plain<Float32Array>,
    wpe: Float32Array,
  ): Float32Array {
    return this.#scratch(() => {
      const C = wte.columns;
      const x = this.#room(4 * ids.length * C);
      const rows = this.#put(laid(wte, GROUP.float32));
      const [idWords, positionWords] = [this.#words(ids), this.#words(positions)];
      this.#kernels.embedFloat32(idWords, positionWords, ids.length, rows, this.#put(wpe), C, x);
      return this.#floats(x, ids.length * C);
    });
  }

  /** @param source [N][K] */
  layRowsInt8({ rows: N, columns: K, values }: Plain<Float32Array>): Int8Matrix {
    return this.#scratch(() => {
      const w = this.#room(N * K);
      const scales = this.#room(4 * N);
      this.#kernels.layRowsInt8(this.#put(values), N, K, w, scales);
      const bytes = new Int8Array(this.#bytes(w, N * K).buffer);
      return { rows: N, columns: K, values: unlaid(bytes, K, GROUP.int8), scales: this.#floats(scales, N) };
    });
  }

  /**
   * @param source [K][N]
   * @param held what the matrix holds before
   */
  layColumnsInt8({ rows: K, columns: N, values }: Plain<Float32Array>, range: Range, held: Int8Matrix): Int8Matrix {
    return this.#scratch(() => {
      const w = this.#put(laid(held, GROUP.int8));
      const scales = this.#put(held.scales);
      this.#kernels.layColumnsInt8(this.#put(values), N, K, range.from, range.to, w, scales);
      const bytes = new Int8Array(this.#bytes(w, N * K).buffer);
      return { rows: N, columns: K, values: unlaid(bytes, K, GROUP.int8), scales: this.#floats(scales, N) };
    });
  }

  /** @param source [N][K] */
  layRowsFloat32({ rows: N, columns: K, values }: Plain<Float32Array>): Plain<Float32Array> {
    return this.#scratch(() => {
      const w = this.#room(4 * N * K);
      this.#kernels.layRowsFloat32(this.#put(values), N, K, w);
      return { rows: N, columns: K, values: unlaid(this.#floats(w, N * K), K, GROUP.float32) };
    });
  }

  /**
   * @param source [K][N]
   * @param held what the matrix holds before
   */
  layColumnsFloat32(
    { rows: K, columns: N, values }: Plain<Float32Array>,
    range: Range,
    held: Plain<Float32Array>,
  ): Plain<Float32Array> {
    return this.#scratch(() => {
      const w = this.#put(laid(held, GROUP.float32));
      this.#kernels.layColumnsFloat32(this.#put(values), N, K, range.from, range.to, w);
      return { rows: N, columns: K, values: unlaid(this.#floats(w, N * K), K, GROUP.float32) };
    });
  }

  /** What is reserved inside is free again afterwards. */
  #scratch<R>(work: () => R): R {
    const mark = this.#memory.end;
    this.#ends = [];
    try {
      const result = work();
      if (this.#ends.some((end) => this.#memory.bytes(end, GAP).some((byte) => byte !== NAN))) {
        throw new Error('the kernel has written behind a room');
      }
      return result;
    } finally {
      this.#memory.release(mark);
    }
  }

  /** Bytes that are NaN as floats, and so is a gap behind them. */
  #room(bytes: number): Pointer {
    const at = this.#memory.reserve(bytes + GAP);
    this.#memory.bytes(at, bytes + GAP).fill(NAN);
    this.#ends.push(at + bytes);
    return at;
  }

  #put(values: Float32Array | Int8Array | Int16Array | Int32Array | Uint32Array): Pointer {
    const at = this.#room(values.byteLength);
    this.#memory.bytes(at, values.byteLength).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return at;
  }

  #words(values: readonly number[]): Pointer {
    return this.#put(Uint32Array.from(values));
  }

  #putBlocks({ blocks, tables, sequences, positions }: Blocks): {
    blocks: Pointer[];
    tables: Pointer;
    positions: Pointer;
  } {
    const addresses = blocks.map((block) => this.#put(block));
    const at = tables.map((table) => this.#words(table.map((i) => addresses[i] as number)));
    const ofTokens = this.#words(sequences.map((sequence) => at[sequence] as number));
    return { blocks: addresses, tables: ofTokens, positions: this.#words(positions) };
  }

  /** A copy. */
  #bytes(at: Pointer, length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#memory.bytes(at, length));
  }

  /** A copy. */
  #floats(at: Pointer, length: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.#bytes(at, 4 * length).buffer);
  }
}

/** The numbers in the order of the products: see kernels/products.ts. */
function laid<A extends Float32Array | Int8Array>({ rows, columns, values }: Plain<A>, group: number): A {
  const moved = values.slice() as A;
  for (let n = 0; n < rows; n++) {
    for (let k = 0; k < columns; k++) {
      moved[placeOf(n, k, columns, group)] = values[n * columns + k] as number;
    }
  }
  return moved;
}

/** The numbers row by row again. */
function unlaid<A extends Float32Array | Int8Array>(moved: A, columns: number, group: number): A {
  const values = moved.slice() as A;
  for (let i = 0; i < values.length; i++) {
    values[i] = moved[placeOf(Math.floor(i / columns), i % columns, columns, group)] as number;
  }
  return values;
}
