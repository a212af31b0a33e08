// The terminal: what goes to stdout and stderr, and how. The only file that touches ora, chalk and process.std*.
// stdout carries results, byte for byte the same on a terminal and in a pipe; decoration goes to stderr.

import { once } from 'node:events';
import { Chalk, type ChalkInstance } from 'chalk';
import ora, { type Ora } from 'ora';
import { errorCode } from './errors.js';

export interface TerminalOptions {
  color: 'auto' | 'always' | 'never';
  quiet: boolean;
  verbose: boolean;
}

export class Terminal {
  readonly stdinIsTerminal = process.stdin.isTTY === true;
  readonly stderrIsTerminal = process.stderr.isTTY === true;
  /** Aborted when nobody reads stdout any more. */
  readonly closed: AbortSignal;
  #options: TerminalOptions = { color: 'auto', quiet: false, verbose: false };
  #spinner: Ora | null = null;

  constructor() {
    const closed = new AbortController();
    this.closed = closed.signal;
    process.stdout.on('error', (error) => {
      if (errorCode(error) !== 'EPIPE') {
        throw error;
      }
      closed.abort();
    });
    process.stderr.on('error', () => {}); // nobody is there to be told
  }

  configure(options: TerminalOptions): void {
    this.#options = options;
  }

  /** For stderr and tables. chalk and ora ignore NO_COLOR, so the level is set here. */
  get chalk(): ChalkInstance {
    return new Chalk({ level: this.#colorful() ? 1 : 0 });
  }

  /** Writes to stdout and waits until the reader has kept up; gives up quietly when it is gone. */
  async write(text: string): Promise<void> {
    if (text === '' || this.closed.aborted || process.stdout.write(text)) {
      return;
    }
    const settled = new AbortController();
    const signal = AbortSignal.any([this.closed, settled.signal]);
    await Promise.race([once(process.stdout, 'drain', { signal }), once(process.stdout, 'close', { signal })]).catch(
      () => {},
    );
    settled.abort();
  }

  /** A line of a result, on stdout. */
  async print(line: string): Promise<void> {
    await this.write(`${line}\n`);
  }

  /** A line of progress that is not a decoration: where it is all that a command says. */
  log(line: string): void {
    this.#stderr(printable(line));
  }

  /** Something that the person should know; silent with --quiet. */
  note(line: string): void {
    if (!this.#options.quiet) {
      this.#stderr(`kvgen: ${printable(line)}`);
    }
  }

  error(line: string): void {
    this.#stderr(`kvgen: ${printable(line)}`);
  }

  /** Shown on a terminal or with --verbose, unless --quiet. */
  statistics(line: string): void {
    if (!this.#options.quiet && (this.stderrIsTerminal || this.#options.verbose)) {
      this.#stderr(this.chalk.dim(line));
    }
  }

  /** The line with the spinner, on a terminal only; each call moves it on, since native calls stop its clock. */
  progress(text: string): void {
    if (!this.stderrIsTerminal || this.#options.quiet) {
      return;
    }
    this.#spinner ??= ora({
      discardStdin: false,
      stream: process.stderr,
      color: this.#colorful() ? 'cyan' : false,
    }).start();
    this.#spinner.text = text;
    this.#spinner.render();
  }

  /** Removes the spinner. */
  progressDone(): void {
    this.#spinner?.stop();
    this.#spinner = null;
  }

  /** All of stdin. @throws when `signal` aborts first */
  async readStdin(signal: AbortSignal): Promise<Buffer> {
    const chunks: Buffer[] = [];
    const stop = () => process.stdin.destroy();
    signal.addEventListener('abort', stop);
    try {
      for await (const chunk of process.stdin) {
        chunks.push(chunk as Buffer);
      }
    } catch (error) {
      if (!signal.aborted) {
        throw error;
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
    signal.throwIfAborted();
    return Buffer.concat(chunks);
  }

  #stderr(line: string): void {
    this.progressDone();
    process.stderr.write(`${line}\n`);
  }

  #colorful(): boolean {
    if (this.#options.color !== 'auto') {
      return this.#options.color === 'always';
    }
    return this.stderrIsTerminal && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
  }
}

/** Control characters escaped: text from a model or a prompt must not drive the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (char) =>
    JSON.stringify(char)
      .slice(1, -1)
      .replace(/^[\u007f-\u009f]$/, escapeHigh),
  );
}

/** JSON leaves DEL and the C1 controls as they are. */
function escapeHigh(char: string): string {
  return `\\u00${char.charCodeAt(0).toString(16)}`;
}
