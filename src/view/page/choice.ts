// The chosen token, by its position: all parts of the page show it, and any of them may choose another.

export class Choice {
  readonly count: number;
  #position: number;
  readonly #listeners: ((position: number) => void)[] = [];
  #waits = false;

  constructor(count: number) {
    this.count = count;
    this.#position = Math.max(0, count - 1);
  }

  get position(): number {
    return this.#position;
  }

  /** The nearest position that there is. */
  choose(position: number): void {
    const next = Math.max(0, Math.min(this.count - 1, position));
    if (next !== this.#position) {
      this.#position = next;
      this.#announce();
    }
  }

  /** Calls now and at each change, at most once a frame. */
  onChange(listener: (position: number) => void): void {
    this.#listeners.push(listener);
    listener(this.#position);
  }

  #announce(): void {
    if (!this.#waits) {
      this.#waits = true;
      requestAnimationFrame(() => {
        this.#waits = false;
        for (const listener of this.#listeners) {
          listener(this.#position);
        }
      });
    }
  }
}
