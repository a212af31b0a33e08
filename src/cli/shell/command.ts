// What a command is: a row of the table of commands, and what it is called with.

import type { SettingsOf, Table } from '../../settings.js';
import type { Terminal } from './terminal.js';

export interface Invocation {
  /** What is no option. */
  readonly words: readonly string[];
  /** The word came after `--`: it is text, whatever it looks like. */
  readonly literal: boolean;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** What was asked for, by the command's table. */
  settings<T extends Table>(table: T): SettingsOf<T>;
  usage(): string;
}

/** Returns the exit code. */
export type RunCommand = (invocation: Invocation) => Promise<number>;

export interface CommandRow {
  readonly name: string;
  readonly description: string;
  /** Words of which it takes one first. */
  readonly actions?: readonly string[];
  readonly usage: string;
  readonly maxWords: number;
  /** Are its words files? */
  readonly takesFiles?: boolean;
  readonly settings: Table;
  readonly examples: readonly string[];
  readonly notes: string;
  readonly load: () => Promise<RunCommand>;
}
