// Blocks of linear memory for keys and values: each holds some positions of one sequence in all layers. Sequences that
// begin alike share blocks, so a block is counted, and free when nobody holds it. Knows nothing of sequences or passes.

import { bytesPerPosition, type ModelConfig } from '../model/config.js';
import type { Pointer } from './kernels.js';
import type { LinearMemory } from './linear-memory.js';

/** Positions in a block: a multiple of 4. Few enough that a short sequence wastes little, enough to be read as one stream. */
const BLOCK_POSITIONS = 64;

/** What a block is made of, by kernels/attention.ts: [nLayer][keys or values][nKvHead][positions][headDim] float32. */
export interface BlockShape {
  readonly positions: number;
  readonly nLayer: number;
  readonly nKvHead: number;
  /** Filled up to a multiple of 4. */
  readonly headDim: number;
}

export function blockShape({ nLayer, nKvHead, headDim }: ModelConfig): BlockShape {
  return { positions: BLOCK_POSITIONS, nLayer, nKvHead, headDim: filledHead(headDim) };
}

/** The numbers that a head takes in memory. */
export function filledHead(headDim: number): number {
  return Math.ceil(headDim / 4) * 4;
}

/** Bytes from the beginning of a block to the keys and the values of a head in a layer. */
export function offsets(
  { positions, nKvHead, headDim }: BlockShape,
  layer: number,
  head: number,
): { keys: number; values: number } {
  const headBytes = 4 * positions * headDim;
  const keys = (2 * layer * nKvHead + head) * headBytes;
  return { keys, values: keys + nKvHead * headBytes };
}

export function blockBytes(shape: BlockShape): number {
  return shape.positions * bytesPerPosition(shape);
}

/** One block, and how many sequences hold it. */
export interface KvBlock {
  readonly at: Pointer;
  holders: number;
}

export class BlockPool {
  readonly shape: BlockShape;
  readonly memory: LinearMemory;
  readonly #free: Pointer[] = [];
  #used = 0;

  constructor(shape: BlockShape, memory: LinearMemory) {
    this.shape = shape;
    this.memory = memory;
  }

  /** Blocks that somebody holds. */
  get used(): number {
    return this.#used;
  }

  /** A block with one holder; what it holds is undefined. @throws KvgenError when the memory is full */
  take(): KvBlock {
    const at = this.#free.pop() ?? this.memory.reserve(blockBytes(this.shape));
    this.#used++;
    return { at, holders: 1 };
  }

  release(block: KvBlock): void {
    block.holders--;
    if (block.holders === 0) {
      this.#free.push(block.at);
      this.#used--;
    }
  }

  /** A block with the same content that nobody else holds: this one, or a copy in its place. */
  own(block: KvBlock): KvBlock {
    if (block.holders === 1) {
      return block;
    }
    const copy = this.take();
    const bytes = blockBytes(this.shape);
    this.memory.bytes(copy.at, bytes).set(this.memory.bytes(block.at, bytes));
    this.release(block);
    return copy;
  }
}
