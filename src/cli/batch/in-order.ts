// Things that end in any order, given out in the order in which they began.

export class InOrder<T> {
  /** Items that have begun and are not given out yet, oldest first. */
  readonly #pending: T[] = [];
  readonly #ended = new Set<T>();

  /** How many items have begun and are not given out yet. */
  get size(): number {
    return this.#pending.length;
  }

  begin(item: T): void {
    this.#pending.push(item);
  }

  /** The items that have begun and are not given out yet, oldest first. */
  rest(): readonly T[] {
    return this.#pending;
  }

  /** Ends an item. @yields the items that may be given out now */
  *end(item: T): Generator<T, void> {
    this.#ended.add(item);
    for (let [oldest] = this.#pending; oldest !== undefined && this.#ended.delete(oldest); [oldest] = this.#pending) {
      this.#pending.shift();
      yield oldest;
    }
  }
}
