// What heads look at, from the linear memory to plain numbers for each sequence. The threads write a piece of a pass there, for all
// layers; after the piece it is read and handed on. Only where a pass asks for it. Knows nothing of how it was computed.

import type { LayerAttention, Pass } from '../engine/engine.js';
import type { ModelConfig } from '../model/config.js';
import { MAX_TOKENS } from './control.js';
import type { AttentionRoom } from './jobs.js';
import type { Pointer } from './kernels.js';
import type { LinearMemory } from './linear-memory.js';

/** Of a piece: a long sequence runs in smaller ones, which changes no bit. */
const MOST_BYTES = 2 ** 24;

/** Tokens of a piece that follow each other in one sequence. */
interface Stretch {
  readonly sequence: number;
  /** Its first token in the piece, and the position of that. */
  readonly first: number;
  readonly from: number;
  count: number;
}

export class AttentionReader {
  /** The most tokens of a piece. */
  readonly tokens: number;
  readonly #memory: LinearMemory;
  readonly #config: ModelConfig;
  readonly #columns: number;
  readonly #onAttention: NonNullable<Pass['onAttention']>;
  readonly #at: Pointer;
  #stretches: Stretch[] = [];
  /** Tokens of the piece so far. */
  #count = 0;

  /**
   * Nothing may be reserved in the memory until it is disposed.
   * @param columns positions of the longest sequence at the end of the pass
   * @throws KvgenError when the memory is full
   */
  constructor(
    memory: LinearMemory,
    config: ModelConfig,
    columns: number,
    onAttention: NonNullable<Pass['onAttention']>,
  ) {
    const bytes = 4 * config.nLayer * config.nHead * columns; // of a token
    this.tokens = Math.min(MAX_TOKENS, Math.max(1, Math.floor(MOST_BYTES / bytes)));
    this.#memory = memory;
    this.#config = config;
    this.#columns = columns;
    this.#onAttention = onAttention;
    this.#at = memory.reserve(this.tokens * bytes);
  }

  get room(): AttentionRoom {
    return { attention: this.#at, columns: this.#columns };
  }

  /** A new piece begins. Positions that a window hides are not written: they are 0. */
  begin(): void {
    const { nLayer, nHead } = this.#config;
    this.#memory.floats(this.#at, this.tokens * nLayer * nHead * this.#columns).fill(0);
    this.#stretches = [];
    this.#count = 0;
  }

  /** The next token of the piece. */
  expect(sequence: number, position: number): void {
    const last = this.#stretches.at(-1);
    if (last?.sequence === sequence) {
      last.count++;
    } else {
      this.#stretches.push({ sequence, first: this.#count, from: position, count: 1 });
    }
    this.#count++;
  }

  /** The piece has run. */
  read(): void {
    for (let layer = 0; layer < this.#config.nLayer; layer++) {
      for (const stretch of this.#stretches) {
        this.#onAttention(this.#attention(layer, stretch));
      }
    }
  }

  dispose(): void {
    this.#memory.release(this.#at);
  }

  #attention(layer: number, { sequence, first, from, count }: Stretch): LayerAttention {
    const { nHead } = this.#config;
    const width = from + count;
    const weights = new Float32Array(nHead * count * width);
    for (let head = 0; head < nHead; head++) {
      for (let t = 0; t < count; t++) {
        const row = (layer * nHead + head) * this.#count + first + t;
        const seen = this.#memory.floats(this.#at + 4 * row * this.#columns, from + t + 1);
        weights.set(seen, (head * count + t) * width);
      }
    }
    return { layer, sequence, from, tokens: count, weights };
  }
}
