// What a batch writes: the results of its lines in the order of the input, whichever of them is done first. Knows nothing of
// how they are made.

import { errorMessage } from '../../errors.js';
import { jsonText } from '../shell/escape.js';
import type { Terminal } from '../shell/terminal.js';
import type { BatchProgress } from './batch-progress.js';
import { InOrder } from './in-order.js';

/** A line that was read and is not written yet. */
export interface LineEntry {
  readonly id: unknown;
  /** Bytes of the input up to the end of the line. */
  readonly bytes: number;
  /** How many of its samples are not done. */
  left: number;
  /** The JSON to write for each sample, in the order of the samples. */
  readonly results: string[];
  /** The JSON to write instead of them. */
  error: string | null;
}

export class BatchOutput {
  /** Was a line refused, or did one fail? */
  failed = false;
  /** Characters that are done and wait for those before them. */
  held = 0;
  readonly #terminal: Terminal;
  readonly #progress: BatchProgress;
  readonly #entries = new InOrder<LineEntry>();
  #wake = () => {};

  constructor(terminal: Terminal, progress: BatchProgress) {
    this.#terminal = terminal;
    this.#progress = progress;
  }

  /** Lines are written in the order in which they begin. */
  begin(entry: LineEntry): void {
    this.#entries.begin(entry);
  }

  /** One sample of a line is done. @param sample its number, from 0 */
  async done(entry: LineEntry, sample: number, result: object): Promise<void> {
    let line: string;
    try {
      line = `${jsonText(result)}\n`;
    } catch (error) {
      return this.fail(entry, { id: entry.id, error: errorMessage(error) }); // more than one text can hold
    }
    entry.results[sample] = line;
    this.held += line.length;
    await this.#end(entry);
  }

  /** One sample of a line has failed, or a line cannot be run. */
  async fail(entry: LineEntry, error: object): Promise<void> {
    entry.error = `${jsonText(error)}\n`;
    this.failed = true;
    await this.#end(entry);
  }

  /** Resolves when fewer than `count` lines wait, or when `signal` aborts. */
  async room(count: number, signal: AbortSignal): Promise<void> {
    const wake = () => this.#wake();
    signal.addEventListener('abort', wake);
    while (this.#entries.size >= count && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    signal.removeEventListener('abort', wake);
  }

  /** After an interrupt: writes what there is of the lines that wait. */
  async writeRest(): Promise<void> {
    for (const { error, results } of this.#entries.rest()) {
      await this.#terminal.write(error ?? results.filter((line) => line !== undefined).join(''));
    }
  }

  /** Writes what may be written now. */
  async #end(entry: LineEntry): Promise<void> {
    if (--entry.left > 0) {
      return;
    }
    for (const { results, error, bytes } of this.#entries.end(entry)) {
      const text = results.join('');
      this.held -= text.length;
      this.#terminal.progressDone();
      await this.#terminal.write(error ?? text); // in one call: other writes may follow
      this.#progress.line(bytes, error === null);
      this.#wake();
    }
  }
}
