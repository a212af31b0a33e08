// Things that end in any order, given out in the order in which they began.

export class InOrder<T> {
  /** Begun and not given out, oldest first. */
  readonly #pending: T[] = [];
  readonly #ended = new Set<T>();

  /** The oldest item not yet released. */
  get turn(): T | undefined {
    return this.#pending[0];
  }

  /** How many are begun and not given out. */
  get size(): number {
    return this.#pending.length;
  }

  begin(item: T): void {
    this.#pending.push(item);
  }

  /** Those that are begun and not given out. */
  rest(): readonly T[] {
    return this.#pending;
  }

  /** Notes that `item` has ended. @yields those that may be given out now */
  *end(item: T): Generator<T, void> {
    this.#ended.add(item);
    for (let oldest = this.turn; oldest !== undefined && this.#ended.delete(oldest); oldest = this.turn) {
      this.#pending.shift();
      yield oldest;
    }
  }
}
