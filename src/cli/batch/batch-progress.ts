// The progress of a batch: a bar, lines, tokens per second and the time left while it runs, and a line of statistics at
// the end. The share that is done is that of the file's bytes, so a pipe has no bar and no time left.

import type { DraftCounts } from '../../generation/drafts.js';
import type { SequenceStats } from '../../generation/sequence.js';
import { draftsOf, draftWords } from '../generate/report.js';
import type { Terminal } from '../shell/terminal.js';

const WIDTH = 20;
/** Milliseconds between two changes of the bar. */
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
  /** Of all texts; null: for none of them was there a draft. */
  #drafts: DraftCounts | null = null;

  /** @param size bytes of the input; null: a pipe */
  constructor(terminal: Terminal, size: number | null) {
    this.#terminal = terminal;
    this.#size = size;
  }

  /** Adds tokens that were generated. */
  tokens(count: number): void {
    this.#tokens += count;
    const now = performance.now();
    if (now - this.#shown >= INTERVAL) {
      this.#shown = now;
      this.#terminal.progress([...this.#bar(), ...this.#counts(), ...this.#left()].join(' · '));
    }
  }

  /** Adds what was measured of a text that has ended. */
  text(stats: SequenceStats): void {
    this.#drafts = stats.drafts === null ? this.#drafts : draftsOf([{ drafts: this.#drafts }, stats]);
  }

  /** Adds a line that was written. @param bytes of the input, up to the end of the line */
  line(bytes: number, isGood: boolean): void {
    this.#lines++;
    this.#failed += isGood ? 0 : 1;
    this.#bytes = bytes;
  }

  end(): void {
    this.#terminal.progressDone();
    const drafts = this.#drafts === null ? [] : [draftWords(this.#drafts)];
    this.#terminal.statistics([...this.#counts(), ...drafts, `${this.#seconds.toFixed(1)} s`].join(' · '));
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
