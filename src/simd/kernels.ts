// The compiled kernels: what they are called with, and how they are loaded. Their sources, with shapes and formulas, are in
// kernels/. Every pointer is in bytes from the beginning of the linear memory.

import { readFile } from 'node:fs/promises';

/** An address in linear memory, in bytes; 0: nothing. */
export type Pointer = number;

/** The exports of kernels/index.ts. */
export interface Kernels {
  // biome-ignore format: a line each
  productInt8(w: Pointer, scales: Pointer, bias: Pointer, x: Pointer, xScales: Pointer, y: Pointer, stride: number, from: number, to: number, K: number, T: number, add: 0 | 1): void;
  // biome-ignore format: a line each
  productFloat32(w: Pointer, bias: Pointer, x: Pointer, y: Pointer, stride: number, from: number, to: number, K: number, T: number, add: 0 | 1): void;
  // biome-ignore format: a line each
  layerNorm(x: Pointer, C: number, stride: number, T: number, weight: Pointer, bias: Pointer, epsilon: number, y: Pointer): void;
  // biome-ignore format: a line each
  quantizeActivations(x: Pointer, K: number, T: number, maxInteger: number, integers: Pointer, scales: Pointer): void;
  activate(kind: number, x: Pointer, stride: number, from: number, to: number, T: number): void;
  // biome-ignore format: a line each
  activateGate(kind: number, gate: Pointer, up: Pointer, stride: number, from: number, to: number, T: number): void;
  // biome-ignore format: a line each
  rmsNorm(x: Pointer, C: number, stride: number, T: number, weight: Pointer, epsilon: number, y: Pointer): void;
  // biome-ignore format: a line each
  rmsNormHeads(x: Pointer, stride: number, T: number, C: number, headDim: number, heads: number, weight: Pointer, epsilon: number): void;
  // biome-ignore format: a line each
  rotaryAngles(positions: Pointer, T: number, inverse: Pointer, half: number, cosines: Pointer, sines: Pointer): void;
  // biome-ignore format: a line each
  rotateHeads(x: Pointer, stride: number, step: number, T: number, heads: number, half: number, cosines: Pointer, sines: Pointer): void;
  // biome-ignore format: a line each
  storeHeads(source: Pointer, stride: number, step: number, T: number, tables: Pointer, positions: Pointer, offset: number, P: number, headDim: number, heads: number): void;
  // biome-ignore format: a line each
  attendHeads(queries: Pointer, stride: number, step: number, T: number, tables: Pointer, positions: Pointer, keys: number, values: number, P: number, headDim: number, from: number, to: number, group: number, scale: number, window: number, scores: Pointer, mixed: Pointer, mixedStride: number, weights: Pointer, columns: number): void;
  // biome-ignore format: a line each
  embedInt8(ids: Pointer, positions: Pointer, T: number, wte: Pointer, scales: Pointer, wpe: Pointer, C: number, x: Pointer): void;
  // biome-ignore format: a line each
  embedFloat32(ids: Pointer, positions: Pointer, T: number, wte: Pointer, wpe: Pointer, C: number, x: Pointer): void;
  layRowsInt8(source: Pointer, N: number, K: number, w: Pointer, scales: Pointer): void;
  // biome-ignore format: a line each
  layColumnsInt8(source: Pointer, N: number, K: number, from: number, to: number, w: Pointer, scales: Pointer): void;
  layRowsFloat32(source: Pointer, N: number, K: number, w: Pointer): void;
  layColumnsFloat32(source: Pointer, N: number, K: number, from: number, to: number, w: Pointer): void;
  /** @returns 0 when a thread has failed */
  barrier(at: Pointer, threads: number): number;
  set(at: Pointer, word: Pointer, value: number): void;
  waitForChange(at: Pointer, word: Pointer, value: number, spins: number): void;
}

/** Compiles the module, which threads may share. The same relative path holds in src/ and in dist/. */
export async function compileKernels(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await readFile(new URL('../../dist/simd/kernels.wasm', import.meta.url)));
}

export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as Kernels;
}
