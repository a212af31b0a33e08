// The terminal: the only file that uses ora, chalk and process.std*. Results go to stdout, with the same bytes on a
// terminal and in a pipe; everything else goes to stderr.

import { once } from 'node:events';
import { Chalk, type ChalkInstance, supportsColor, supportsColorStderr } from 'chalk';
import type { Ora } from 'ora';
import { EXIT, errorCode, errorMessage, oneLine } from '../../errors.js';
import type { FileKind } from '../../files/file-kinds.js';
import { checkInput, type Input, StreamInput } from '../../files/named-input.js';
import { EventLoop } from '../../generation/event-loop.js';
import { jsonText, printable, printableLines } from './escape.js';

interface TerminalOptions {
  color: 'auto' | 'always' | 'never';
  quiet: boolean;
  verbose: boolean;
}

export class Terminal {
  readonly stdinIsTerminal = process.stdin.isTTY === true;
  readonly stdoutIsTerminal = process.stdout.isTTY === true;
  readonly stderrIsTerminal = process.stderr.isTTY === true;
  /** Aborted when nobody reads stdout any more. */
  readonly closed: AbortSignal;
  /** Did writing to stdout fail, for another reason than that nobody reads it? The error was then reported. */
  failed = false;
  #options: TerminalOptions = { color: 'auto', quiet: false, verbose: false };
  #spinner: Ora | null = null;
  /** Is the cursor after a text on stdout? A spinner would erase it. */
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
        process.exitCode = EXIT.failure; // the error may come after main has set the exit code
      }
    });
    process.stderr.on('error', () => {}); // there is no place left to report it
  }

  /** Has all output gone? A slow reader lets some of it wait. */
  get isWritten(): boolean {
    return process.stdout.writableLength === 0 && process.stderr.writableLength === 0;
  }

  /** Loads the spinner only where it can be seen, since that takes 50 ms. */
  async configure(options: TerminalOptions): Promise<void> {
    this.#options = options;
    this.#ora = options.quiet || !canSpin() ? null : (await import('ora')).default;
  }

  /** May the text on stdout be coloured? Never where it goes anywhere but to a terminal, whatever --color says. */
  get colorsText(): boolean {
    return this.stdoutIsTerminal && this.#colorful(process.stdout);
  }

  /** Colours for stdout. */
  get chalk(): ChalkInstance {
    return this.#chalk(process.stdout);
  }

  /** Writes to stdout as it is, and waits for a slow reader; writes nothing once the reader is gone. */
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

  /**
   * Writes lines of a result to stdout, control characters escaped.
   * @param paint colours them, when they are harmless
   */
  async print(lines: string, paint = (harmless: string) => harmless): Promise<void> {
    await this.write(`${paint(printableLines(lines))}\n`);
  }

  /** Writes values to stdout as lines of JSON, in one call. */
  async printJson(...values: readonly unknown[]): Promise<void> {
    await this.write(values.map((value) => `${jsonText(value)}\n`).join(''));
  }

  /** Prints a table: columns padded, the first row bold, control characters escaped. */
  async printTable(rows: readonly (readonly string[])[]): Promise<void> {
    const table = rows.map((row) => row.map(printable));
    const widest = (column: number) => table.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0);
    const widths = table[0]?.map((_, column) => widest(column)) ?? [];
    const loop = new EventLoop();
    for (const [index, row] of table.entries()) {
      const cells = row.map((cell, column) => cell.padEnd(widths[column] ?? 0));
      const line = cells.join('  ').trimEnd();
      await this.write(`${index === 0 ? this.chalk.bold(line) : line}\n`);
      if (loop.due) {
        await loop.run();
      }
    }
  }

  /** Writes lines to stderr, also with --quiet: a usage, a stack, what `kvgen setup` is doing. */
  log(lines: string): void {
    this.#stderr(printableLines(lines));
  }

  /** Writes something that a person should know to stderr, unless --quiet. */
  note(line: string): void {
    if (!this.#options.quiet) {
      this.#stderr(`kvgen: ${oneLine(printable(line))}`);
    }
  }

  error(line: string): void {
    this.#stderr(`kvgen: ${oneLine(printable(line))}`);
  }

  /** Writes a line of our own words that explains colours to stderr, in these colours, unless --quiet. */
  legend(words: (chalk: ChalkInstance) => string | undefined): void {
    const line = this.#options.quiet || this.closed.aborted ? undefined : words(this.#chalk(process.stderr));
    if (line !== undefined) {
      this.#stderr(line);
    }
  }

  /** Writes a line to stderr on a terminal or with --verbose, unless --quiet or the reader of stdout is gone. */
  statistics(line: string): void {
    if (!this.#options.quiet && !this.closed.aborted && (this.stderrIsTerminal || this.#options.verbose)) {
      this.#stderr(this.#chalk(process.stderr).dim(printableLines(line)));
    }
  }

  /** Shows a line with a spinner, only on a terminal. Each call turns it on, since native calls stop its timer. */
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

  /** @throws KvgenError for a folder, and for a device without end */
  stdin(kind: FileKind): Input {
    const { size } = checkInput('stdin', kind, process.stdin.fd);
    return new StreamInput('stdin', kind, process.stdin, size);
  }

  /** For a line editor: what is typed, and where it shows, which is never a stdout that is no terminal. */
  get editing() {
    return { input: process.stdin, output: this.stderrIsTerminal ? process.stderr : process.stdout };
  }

  #stderr(line: string): void {
    this.progressDone();
    process.stderr.write(`${line}\n`);
  }

  #chalk(stream: NodeJS.WriteStream): ChalkInstance {
    const found = stream === process.stderr ? supportsColorStderr : supportsColor;
    return new Chalk({ level: this.#colorful(stream) ? (found || { level: 1 as const }).level : 0 });
  }

  /** chalk and ora ignore NO_COLOR, so it is decided here. */
  #colorful(stream: NodeJS.WriteStream): boolean {
    if (this.#options.color !== 'auto') {
      return this.#options.color === 'always';
    }
    return stream.isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
  }
}

/** ora erases lines by the terminal's width, and hangs where the terminal has none. */
function canSpin(): boolean {
  const { isTTY, columns } = process.stderr;
  return isTTY && columns > 0 && process.env.TERM !== 'dumb' && !process.env.CI;
}
