// How far a batch is: a bar, lines, tokens a second and the time left while it runs, and one line at its end. How much
// is left is known by the bytes of the file; of a pipe nobody knows.

import type { Terminal } from '../shell/terminal.js';

const WIDTH = 20;
/** Milliseconds between two looks of the bar. */
const INTERVAL = 100;

export class BatchProgress {
  readonly #terminal: Terminal;
  readonly #size: number | null;
  readonly #start = performance.now();
  #shown = 0;
  #lines = 0;
  #failed = 0;
  #tokens = 0;
  #bytes = 0;

  /** @param size bytes of the input; null: a pipe */
  constructor(terminal: Terminal, size: number | null) {
    this.#terminal = terminal;
    this.#size = size;
  }

  /** So many more tokens. */
  tokens(count: number): void {
    this.#tokens += count;
    const now = performance.now();
    if (now - this.#shown >= INTERVAL) {
      this.#shown = now;
      this.#terminal.progress([...this.#bar(), ...this.#counts(), ...this.#left()].join(' · '));
    }
  }

  /** One more line is written, which ended at this byte of the input. */
  line(bytes: number, isGood: boolean): void {
    this.#lines++;
    this.#failed += isGood ? 0 : 1;
    this.#bytes = bytes;
  }

  end(): void {
    this.#terminal.progressDone();
    this.#terminal.statistics([...this.#counts(), `${this.#seconds.toFixed(1)} s`].join(' · '));
  }

  get #seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  get #share(): number {
    return this.#size === null || this.#size === 0 ? 0 : this.#bytes / this.#size;
  }

  #bar(): string[] {
    const full = Math.round(WIDTH * this.#share);
    return this.#size === null ? [] : [`${'█'.repeat(full)}${'░'.repeat(WIDTH - full)}`];
  }

  #counts(): string[] {
    const lines = `${this.#lines} row${this.#lines === 1 ? '' : 's'}`;
    const failed = this.#failed === 0 ? '' : ` (${this.#failed} failed)`;
    return [`${lines}${failed}`, `${this.#tokens} tokens`, `${(this.#tokens / this.#seconds).toFixed(0)} tok/s`];
  }

  #left(): string[] {
    const share = this.#share;
    return share === 0 ? [] : [`${((this.#seconds / share) * (1 - share)).toFixed(0)} s left`];
  }
}
