// Logits as the contract of `Engine.forward` allows them at the strictest: all passes share one piece of memory, which
// each pass overwrites, and which other threads may see.

import type { Engine } from '../../src/engine/engine.js';
import { withForward } from '../../src/engine/with-forward.js';

export class BorrowedLogits {
  #memory = new Float32Array(new SharedArrayBuffer(0));

  /** Overwrites what was lent before. */
  lend(rows: readonly ArrayLike<number>[]): Float32Array[] {
    const size = rows.reduce((sum, { length }) => sum + length, 0);
    const own = rows.map((row) => Float32Array.from(row)); // they may lie in the memory that is overwritten now
    this.#memory.fill(Number.NaN);
    if (this.#memory.length < size) {
      this.#memory = new Float32Array(new SharedArrayBuffer(4 * size));
    }
    let end = 0;
    return own.map((row) => {
      const lent = this.#memory.subarray(end, end + row.length);
      lent.set(row);
      end += row.length;
      return lent;
    });
  }
}

/** The engine with borrowed logits. */
export function lending(engine: Engine): Engine {
  const borrowed = new BorrowedLogits();
  return withForward(engine, (pass, cache, onPart) => borrowed.lend(engine.forward(pass, cache, onPart)));
}
