// Room in linear memory that a pass needs and that grows with the longest sequence: tables of blocks, and scores for each thread.
// A model may have 128k positions, of which most runs use few. Knows nothing of passes.

import { MAX_TOKENS } from './control.js';
import type { Pointer } from './kernels.js';
import type { LinearMemory } from './linear-memory.js';
import { bytesOfScores } from './simd-model.js';

/** Positions that there is room for at first; it doubles until it suffices. */
const FIRST_POSITIONS = 1024;

export class PassRoom {
  readonly #memory: LinearMemory;
  readonly #threads: number;
  readonly #blockPositions: number;
  #positions = 0;
  /** A table for each sequence of a piece, the first here. */
  tables: Pointer = 0;
  scores: Pointer = 0;

  constructor(memory: LinearMemory, threads: number, blockPositions: number) {
    this.#memory = memory;
    this.#threads = threads;
    this.#blockPositions = blockPositions;
  }

  get tableBytes(): number {
    return 4 * Math.ceil(this.#positions / this.#blockPositions);
  }

  /** For each thread. */
  get scoresBytes(): number {
    return bytesOfScores(this.#positions);
  }

  /** Makes room for sequences of so many positions. @throws KvgenError when the memory is full */
  grow(positions: number): void {
    if (positions <= this.#positions) {
      return;
    }
    let enough = FIRST_POSITIONS;
    while (enough < positions) {
      enough *= 2;
    }
    const tables = this.#memory.reserve(MAX_TOKENS * 4 * Math.ceil(enough / this.#blockPositions));
    this.scores = this.#memory.reserve(this.#threads * bytesOfScores(enough));
    this.tables = tables;
    this.#positions = enough;
  }
}
