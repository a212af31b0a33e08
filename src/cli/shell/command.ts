// What a command is, as a row of the table of commands, and what it is called with.

import type { SettingsOf, Table } from '../../settings.js';
import type { Terminal } from './terminal.js';

export interface Invocation {
  /** All arguments that are no options. */
  readonly words: readonly string[];
  /** The word came after `--`, so it is text even if it looks like a command or an option. */
  readonly literal: boolean;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** The values of the settings in `table`. */
  settings<T extends Table>(table: T): SettingsOf<T>;
  usage(): string;
}

/** Returns the exit code. */
export type RunCommand = (invocation: Invocation) => Promise<number>;

export interface CommandRow {
  readonly name: string;
  readonly description: string;
  /** If given, its first word must be one of these. */
  readonly actions?: readonly string[];
  readonly usage: string;
  readonly maxWords: number;
  /** What its words are. */
  readonly takes?: 'files' | 'models' | 'sessions';
  readonly settings: Table;
  /** The settings of all its actions except one, which takes all of `settings`. */
  readonly shared?: { readonly settings: Table; readonly except: string };
  /** It runs until a signal ends it, and SIGTERM is its usual end: exit code 0. */
  readonly endsBySigterm?: boolean;
  readonly examples: readonly string[];
  readonly notes: string;
  readonly load: () => Promise<RunCommand>;
}
