// The one linear memory of an engine, which all its threads see: weights, buffers, keys and values. It grows with use, and ends
// at the 4 GB that WebAssembly can address. Knows nothing of what is in it.

import { errorMessage, KvgenError } from '../errors.js';
import type { Pointer } from './kernels.js';

const PAGE = 65536;
/** All that 32-bit addresses reach. */
export const MAX_BYTES = 2 ** 32;
const MAX_PAGES = MAX_BYTES / PAGE;
/** Of a cache line, so that no two things share one. */
const ALIGNMENT = 64;

export class LinearMemory {
  readonly memory: WebAssembly.Memory;
  #end: Pointer;

  /**
   * @param bytes what is reserved from the beginning
   * @throws KvgenError where the system refuses it
   */
  constructor(bytes: number) {
    this.#end = aligned(bytes);
    try {
      this.memory = new WebAssembly.Memory({ initial: pages(this.#end), maximum: MAX_PAGES, shared: true });
    } catch (error) {
      throw new KvgenError(
        `the simd engine: ${gigabytes(bytes)} GB of memory, growing to ${gigabytes(MAX_BYTES)}, could not be had ` +
          `(${errorMessage(error)}); see \`ulimit -v\`, or use --backend node`,
      );
    }
  }

  /** Where the next reservation begins. */
  get end(): Pointer {
    return this.#end;
  }

  /**
   * Reserves bytes that are zero, unless they were released before.
   * @throws KvgenError where the memory ends
   */
  reserve(bytes: number): Pointer {
    const at = this.#end;
    const end = aligned(at + bytes);
    const more = pages(end) - this.memory.buffer.byteLength / PAGE;
    if (end > MAX_BYTES || (more > 0 && !this.#grows(more))) {
      throw new KvgenError(
        `the simd engine's memory is full (${gigabytes(at)} of at most ${gigabytes(MAX_BYTES)} GB): ` +
          'run fewer or shorter sequences at a time, or use --weights int8',
      );
    }
    this.#end = end;
    return at;
  }

  /** Gives back everything from `at` on. */
  release(at: Pointer): void {
    this.#end = at;
  }

  floats(at: Pointer, length: number): Float32Array<SharedArrayBuffer> {
    return new Float32Array(this.memory.buffer, at, length);
  }

  /** All of it, in place of many small views. */
  allFloats(): Float32Array<SharedArrayBuffer> {
    return new Float32Array(this.memory.buffer);
  }

  bytes(at: Pointer, length: number): Uint8Array<SharedArrayBuffer> {
    return new Uint8Array(this.memory.buffer, at, length);
  }

  words(at: Pointer, length: number): Uint32Array<SharedArrayBuffer> {
    return new Uint32Array(this.memory.buffer, at, length);
  }

  #grows(more: number): boolean {
    try {
      this.memory.grow(more);
      return true;
    } catch {
      return false;
    }
  }
}

/** Adds up sizes, and says where each piece would lie: a plan of memory that does not exist yet. */
export class MemoryPlan {
  #end = PAGE; // address 0 means nothing, and nothing lies near it

  get end(): number {
    return this.#end;
  }

  reserve(bytes: number): Pointer {
    const at = this.#end;
    this.#end = aligned(at + bytes);
    return at;
  }
}

export function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function pages(bytes: number): number {
  return Math.ceil(bytes / PAGE);
}
