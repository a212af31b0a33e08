// The terminal: what goes to stdout and stderr, and how. The only file that touches ora, chalk and process.std*.
// stdout carries results, byte for byte the same on a terminal and in a pipe; decoration goes to stderr.

import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import { Chalk, type ChalkInstance } from 'chalk';
import type { Ora } from 'ora';
import { EXIT, errorCode, errorMessage, KvgenError } from '../../errors.js';
import { chunksOf } from './chunks.js';

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
  /** Could something not be written, other than for want of a reader? Then it has been reported. */
  failed = false;
  #options: TerminalOptions = { color: 'auto', quiet: false, verbose: false };
  #spinner: Ora | null = null;
  /** Is the cursor behind a text on stdout? A spinner would erase it. */
  #isMidLine = false;
  #ora: typeof import('ora').default | null = null;

  constructor() {
    const closed = new AbortController();
    this.closed = closed.signal;
    process.stdout.on('error', (error) => {
      closed.abort();
      if (errorCode(error) !== 'EPIPE' && !this.failed) {
        this.failed = true;
        this.error(`stdout: ${errorMessage(error)}`);
        process.exitCode = EXIT.failure; // it may come after everything else is done
      }
    });
    process.stderr.on('error', () => {}); // nobody is there to be told
  }

  /** Loads the spinner where it can be seen: elsewhere its 50 ms would only delay the text. */
  async configure(options: TerminalOptions): Promise<void> {
    this.#options = options;
    this.#ora = options.quiet || !canSpin() ? null : (await import('ora')).default;
  }

  /** For tables, on stdout. */
  get chalk(): ChalkInstance {
    return this.#chalk(process.stdout);
  }

  /** Writes to stdout and waits until the reader has kept up; gives up quietly when it is gone. */
  async write(text: string): Promise<void> {
    this.#isMidLine = text === '' ? this.#isMidLine : process.stdout.isTTY && !text.endsWith('\n');
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

  /** Lines on stderr that are not a decoration: progress where it is all that a command says, usage, a stack. */
  log(lines: string): void {
    this.#stderr(lines.split('\n').map(printable).join('\n'));
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

  /** Shown on a terminal or with --verbose, unless --quiet or nobody reads the text. */
  statistics(line: string): void {
    if (!this.#options.quiet && !this.closed.aborted && (this.stderrIsTerminal || this.#options.verbose)) {
      this.#stderr(this.#chalk(process.stderr).dim(line));
    }
  }

  /** The line with the spinner, on a terminal only; each call moves it on, since native calls stop its clock. */
  progress(text: string): void {
    if (this.#ora === null || this.#isMidLine) {
      return;
    }
    this.#spinner ??= this.#ora({
      discardStdin: false,
      isEnabled: true,
      stream: process.stderr,
      color: this.#colorful(process.stderr) ? 'cyan' : false,
    }).start();
    this.#spinner.text = printable(text);
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
    try {
      for await (const chunk of this.stdinChunks(signal)) {
        chunks.push(chunk);
      }
    } catch (error) {
      throw new KvgenError(`stdin: the prompt cannot be read (${errorMessage(error)})`);
    }
    signal.throwIfAborted();
    return Buffer.concat(chunks);
  }

  /** Bytes of the file behind stdin; null: a pipe or a terminal. */
  get stdinSize(): number | null {
    const stats = fstatSync(process.stdin.fd);
    return stats.isFile() ? stats.size : null;
  }

  /** stdin as it arrives; ends when `signal` aborts. */
  stdinChunks(signal: AbortSignal): AsyncGenerator<Buffer, void> {
    return chunksOf(process.stdin, signal);
  }

  #stderr(line: string): void {
    this.progressDone();
    process.stderr.write(`${line}\n`);
  }

  #chalk(stream: NodeJS.WriteStream): ChalkInstance {
    return new Chalk({ level: this.#colorful(stream) ? 1 : 0 });
  }

  /** chalk and ora ignore NO_COLOR, so it is decided here. */
  #colorful(stream: NodeJS.WriteStream): boolean {
    if (this.#options.color !== 'auto') {
      return this.#options.color === 'always';
    }
    return stream.isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
  }
}

/** A spinner erases what it wrote, by lines of a known width: ora does not end where the terminal has none. */
function canSpin(): boolean {
  const { isTTY, columns } = process.stderr;
  return isTTY && columns > 0 && process.env.TERM !== 'dumb' && !process.env.CI;
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
