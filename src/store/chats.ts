// What is kept of chats: saved sessions, each a file that is written anew as a whole, and the lines that were typed. Plain or
// sealed, in a folder of this user alone. Knows nothing of what is in a session.

import { errorCode, errorMessage, KvgenError } from '../errors.js';
import { openStore, stateRoot } from './location.js';
import type { StoreFolder } from './store-folder.js';

const SUFFIX = '.json';
const HISTORY = 'history';
/** Far more than any context holds. */
const MAX_SESSION_BYTES = 2 ** 28;
const MAX_HISTORY_BYTES = 2 ** 22;
const MAX_LINES = 1000;

export class Chats {
  readonly #folder: StoreFolder;

  constructor(folder: StoreFolder) {
    this.#folder = folder;
  }

  /**
   * @param key what is kept is sealed with it; undefined: it is plain
   * @returns undefined: there is nothing yet, or it cannot be made
   * @throws KvgenError where the folder is not private
   */
  static async open(
    make: boolean,
    key: Uint8Array | undefined,
    onNote: (line: string) => void,
  ): Promise<Chats | undefined> {
    const folder = openStore(await stateRoot(), 'chats', make, onNote, key);
    return folder === undefined ? undefined : new Chats(folder);
  }

  /** The names of all sessions. */
  names(): string[] {
    try {
      const names = this.#folder.names().filter((name) => name.endsWith(SUFFIX));
      return names.map((name) => name.slice(0, -SUFFIX.length)).sort();
    } catch {
      return [];
    }
  }

  /** Where a session is, for messages. */
  pathOf(name: string): string {
    return this.#folder.shortPathOf(name + SUFFIX);
  }

  /** @returns undefined: there is none @throws KvgenError for what cannot be read */
  read(name: string): string | undefined {
    try {
      const bytes = this.#folder.read(name + SUFFIX, MAX_SESSION_BYTES);
      return bytes === undefined ? undefined : new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch (error) {
      throw new KvgenError(`${this.pathOf(name)}: ${errorMessage(error)}; remove it, or take another name`);
    }
  }

  /** Whoever reads it meanwhile, or after a crash, finds it whole: as it was, or as it is. @throws KvgenError */
  write(name: string, text: string): void {
    try {
      this.#folder.write(name + SUFFIX, new TextEncoder().encode(text));
    } catch (error) {
      throw new KvgenError(`${this.pathOf(name)}: cannot be written (${errorCode(error) ?? errorMessage(error)})`);
    }
  }

  /** The lines that were typed, the oldest first. */
  history(): string[] {
    const lines = this.#folder.lines(HISTORY, MAX_HISTORY_BYTES);
    const latest = lines.slice(-MAX_LINES);
    if (lines.length > 2 * MAX_LINES) {
      this.#replaceHistory(latest);
    }
    return latest;
  }

  /** Adds a line without a newline in it. Never fails: it is not worth an answer. */
  remember(line: string): void {
    try {
      this.#folder.append(HISTORY, line);
    } catch {
      // The folder is full or gone.
    }
  }

  #replaceHistory(lines: readonly string[]): void {
    try {
      this.#folder.replaceLines(HISTORY, lines);
    } catch {
      // It stays as long as it is.
    }
  }
}
