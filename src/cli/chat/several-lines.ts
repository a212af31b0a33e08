// A message of several lines: between `"""` and `"""`, or with `\` at the end of each line but the last. Knows nothing of
// where lines come from.

const QUOTES = '"""';

/** Lines until a message is whole. */
export class SeveralLines {
  readonly #lines: string[] = [];
  #isQuoted = false;

  /** Has a message begun that is not whole? */
  get isOpen(): boolean {
    return this.#lines.length > 0;
  }

  /** @returns the message; undefined: it goes on */
  add(line: string): string | undefined {
    if (!this.isOpen && line.trimStart().startsWith(QUOTES)) {
      this.#isQuoted = true;
      return this.#addQuoted(line.trimStart().slice(QUOTES.length));
    }
    if (this.#isQuoted) {
      return this.#addQuoted(line);
    }
    const goesOn = line.endsWith('\\');
    this.#lines.push(goesOn ? line.slice(0, -1) : line);
    return goesOn ? undefined : this.#take();
  }

  /** Forgets what was begun. */
  clear(): void {
    this.#lines.length = 0;
    this.#isQuoted = false;
  }

  #addQuoted(line: string): string | undefined {
    const isLast = line.trimEnd().endsWith(QUOTES);
    this.#lines.push(isLast ? line.trimEnd().slice(0, -QUOTES.length) : line);
    return isLast ? this.#take().replace(/^\n|\n$/g, '') : undefined; // the quotes may have lines of their own
  }

  #take(): string {
    const text = this.#lines.join('\n');
    this.clear();
    return text;
  }
}
