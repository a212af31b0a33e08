// Lines that a person types on a terminal, with what node:readline offers: keys, history, completion. Knows nothing of what
// they mean.

import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { TypedInput } from './typed-input.js';

const PASTE_MARKS = { on: '\u001b[?2004h', off: '\u001b[?2004l' } as const;
/** Stands for a newline in a line that is edited again. */
const NEWLINE_SIGN = '␤';
const HISTORY_SIZE = 1000;

export interface EditorStreams {
  readonly input: Readable & { readonly isRaw?: boolean; setRawMode?(mode: boolean): unknown };
  readonly output: Writable;
}

export interface EditorOptions {
  /** Can the terminal mark what is pasted? */
  readonly marksPastes: boolean;
  /** The oldest first. */
  readonly history: readonly string[];
  /** What a line may go on with. */
  readonly complete: (line: string) => readonly string[];
  /** Called with each line that a person may want back. */
  readonly remember: (line: string) => void;
}

type Listener = (...args: unknown[]) => void;

/** A line; or Ctrl-C, which has emptied the line; or the end. */
export type Typed = { readonly line: string } | { readonly interrupt: 'empty' | 'line' } | { readonly end: true };

export class LineEditor {
  readonly #input: TypedInput;
  readonly #streams: EditorStreams;
  readonly #options: EditorOptions;
  readonly #readline: Interface & { history?: string[]; line: string };
  /** Draw the line again when the terminal changes its size. */
  readonly #redraws: readonly Listener[];
  #answer: ((typed: Typed) => void) | undefined;
  #onInterrupt: () => void = () => {};
  #isClosed = false;

  constructor(streams: EditorStreams, options: EditorOptions) {
    this.#streams = streams;
    this.#options = options;
    this.#input = new TypedInput(streams.input, () => this.#onInterrupt());
    this.#mark(PASTE_MARKS.on);
    const others = streams.output.listeners('resize');
    this.#readline = createInterface({
      input: streams.input.pipe(this.#input),
      output: streams.output,
      terminal: true,
      history: options.history.toReversed(),
      historySize: HISTORY_SIZE,
      removeHistoryDuplicates: true,
      completer: (line: string) => [[...options.complete(line)], line],
    });
    this.#redraws = streams.output.listeners('resize').filter((one) => !others.includes(one)) as Listener[];
    this.#readline.on('line', (line) => this.#give({ line }));
    this.#readline.on('SIGINT', () => this.#interrupt());
    this.#readline.on('close', () => {
      this.#isClosed = true;
      this.#give({ end: true });
    });
  }

  /** @param text what the line begins with @param signal ends waiting */
  async line(prompt: string, text = '', signal?: AbortSignal): Promise<Typed> {
    if (this.#isClosed || signal?.aborted) {
      return { end: true };
    }
    const typed = new Promise<Typed>((resolve) => {
      this.#answer = resolve;
    });
    const onAbort = () => this.#give({ end: true });
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#readline.setPrompt(prompt);
    this.#readline.prompt();
    this.#readline.write(text.replaceAll('\n', NEWLINE_SIGN));
    this.#input.prompt();
    const found = await typed;
    signal?.removeEventListener('abort', onAbort);
    return 'line' in found ? { line: this.#whole(found.line, text) } : found;
  }

  /** Runs while a model speaks: Ctrl-C is for it, and other keys wait. */
  async speaking<T>(onInterrupt: () => void, work: () => Promise<T>): Promise<T> {
    this.#onInterrupt = onInterrupt;
    this.#input.speak();
    for (const redraw of this.#redraws) {
      this.#streams.output.off('resize', redraw); // it would write a prompt over the answer
    }
    try {
      return await work();
    } finally {
      for (const redraw of this.#redraws) {
        this.#streams.output.on('resize', redraw);
      }
    }
  }

  close(): void {
    this.#mark(PASTE_MARKS.off);
    this.#readline.close();
    this.#streams.input.unpipe(this.#input);
    this.#streams.input.pause();
  }

  #mark(marks: string): void {
    if (this.#options.marksPastes) {
      this.#streams.output.write(marks);
    }
  }

  /** What the line stands for. */
  #whole(line: string, text: string): string {
    const whole = this.#input.expand(line);
    if (whole === line && line.trim() !== '') {
      this.#options.remember(line);
    }
    return text.includes('\n') ? whole.replaceAll(NEWLINE_SIGN, '\n') : whole;
  }

  #interrupt(): void {
    const isEmpty = this.#readline.line === '';
    this.#readline.write(null, { ctrl: true, name: 'e' });
    this.#readline.write(null, { ctrl: true, name: 'u' });
    this.#streams.output.write('\n');
    this.#give({ interrupt: isEmpty ? 'empty' : 'line' });
  }

  #give(typed: Typed): void {
    const answer = this.#answer;
    this.#answer = undefined;
    answer?.(typed);
  }
}
