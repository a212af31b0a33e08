// One folder of stored things, such as saved prompts: lists, reads, writes and removes them by their names, through the
// vault that says which file holds each. Knows nothing of what is stored.

import type { Stats } from 'node:fs';
import { join } from 'node:path';
import {
  appendLine,
  isOther,
  listFiles,
  readStart,
  readWhole,
  removeFile,
  statFile,
  touch,
  writeWhole,
} from './files.js';
import { PLAIN, SEALED, type Vault } from './vault.js';

/** Of which the start is wanted: what is sealed can only be read as a whole. No part of a prompt has so many. */
const MAX_BYTES = 1 << 28;
/** Enough to tell files apart, in characters. */
const SHORT_NAME = 52;
/** Lines of a sealed file are padded to a multiple of this, since their lengths would tell something. */
const LINE_BYTES = 16;

/** A file as the folder has it. */
export interface StoredFile {
  readonly file: string;
  /** What is stored in it; undefined: it is sealed, and this folder's vault cannot tell. */
  readonly name: string | undefined;
  readonly isSealed: boolean;
  readonly bytes: number;
  /** When it was written or used last, in milliseconds since 1970. */
  readonly usedMs: number;
}

export class StoreFolder {
  readonly path: string;
  readonly #vault: Vault;

  /** @param path an existing folder */
  constructor(path: string, vault: Vault = PLAIN) {
    this.path = path;
    this.#vault = vault;
  }

  /** Are its names and contents secret? */
  get isSealed(): boolean {
    return this.#vault.isSealed;
  }

  /** The names of all that is stored here. @throws the system's error */
  names(): string[] {
    return listFiles(this.path).flatMap((file) => this.#vault.nameOf(file) ?? []);
  }

  /** All regular files of the folder, of whatever vault. @throws the system's error */
  files(): StoredFile[] {
    return listFiles(this.path).flatMap((file) => {
      const stats = statFile(join(this.path, file));
      if (stats === undefined) {
        return [];
      }
      const isSealed = SEALED.test(file);
      const name = (isSealed ? this.#vault : PLAIN).nameOf(file);
      return [{ file, name, isSealed, bytes: stats.size, usedMs: stats.mtimeMs }];
    });
  }

  /** @returns the bytes that this freed */
  removeFile({ file }: StoredFile): number {
    return removeFile(join(this.path, file));
  }

  /** Where it lies. */
  pathOf(name: string): string {
    return join(this.path, this.#vault.fileOf(name));
  }

  /** The same for a message, which must not be filled by one name. */
  shortPathOf(name: string): string {
    const file = this.#vault.fileOf(name);
    return join(this.path, file.length > SHORT_NAME ? `${file.slice(0, SHORT_NAME)}…` : file);
  }

  /**
   * What is stored under a name; undefined where nothing is that can be read.
   * @param atMost bytes that it can have
   * @param allocate returns memory for that many bytes, which the result may use
   * @throws an error for what is longer, or was not written under this name
   */
  read(name: string, atMost: number, allocate?: (size: number) => Uint8Array<ArrayBuffer>) {
    const bytes = readWhole(this.pathOf(name), atMost + this.#vault.overhead, allocate);
    return bytes === undefined ? undefined : this.#vault.open(name, bytes);
  }

  /** The first bytes of what is stored; undefined where nothing is that can be read. @throws as `read` does */
  readStart(name: string, bytes: number): Uint8Array<ArrayBuffer> | undefined {
    return this.isSealed ? this.read(name, MAX_BYTES)?.subarray(0, bytes) : readStart(this.pathOf(name), bytes);
  }

  /** @throws the system's error, and leaves nothing behind */
  write(name: string, bytes: Uint8Array<ArrayBuffer>): void {
    writeWhole(this.path, this.#vault.fileOf(name), this.#vault.seal(name, bytes));
  }

  /** Adds a short line. Several processes may do so at the same time. @throws the system's error */
  append(name: string, line: string): void {
    appendLine(this.pathOf(name), this.#lineOf(name, line));
  }

  /** The lines that were added, as far as they are whole. @param atMost bytes that are read */
  lines(name: string, atMost: number): string[] {
    const text = Buffer.from(readStart(this.pathOf(name), atMost) ?? []).toString();
    const lines = text.split('\n').filter((line) => line !== '');
    return this.isSealed ? lines.flatMap((line) => this.#openLine(name, line) ?? []) : lines;
  }

  /** As it stands in the file: each line of a sealed one is sealed alone. */
  #lineOf(name: string, line: string): string {
    if (!this.isSealed) {
      return line;
    }
    const bytes = Buffer.from(line);
    const padded = new Uint8Array(Math.ceil(bytes.length / LINE_BYTES) * LINE_BYTES).fill(0x20);
    padded.set(bytes);
    return Buffer.from(this.#vault.seal(name, padded)).toString('base64');
  }

  #openLine(name: string, line: string): string | undefined {
    try {
      const opened = this.#vault.open(name, new Uint8Array(Buffer.from(line, 'base64')));
      return Buffer.from(opened).toString().trimEnd();
    } catch {
      return undefined;
    }
  }

  /** Puts lines in the place of those that were added. @throws the system's error, and leaves nothing behind */
  replaceLines(name: string, lines: readonly string[]): void {
    const text = lines.map((line) => `${this.#lineOf(name, line)}\n`).join('');
    writeWhole(this.path, this.#vault.fileOf(name), Buffer.from(text));
  }

  /** Says so, and returns true, where something that is no regular file has the name of what would be stored. */
  sayObstacle(name: string, onNote: (line: string) => void): boolean {
    const isThere = isOther(this.pathOf(name));
    if (isThere) {
      onNote(`${this.shortPathOf(name)}: no regular file; ignored`);
    }
    return isThere;
  }

  stat(name: string): Stats | undefined {
    return statFile(this.pathOf(name));
  }

  /** Marks it as used. @param at milliseconds since 1970 */
  touch(name: string, at = Date.now()): void {
    touch(this.pathOf(name), at);
  }

  /** @returns the bytes that this freed */
  remove(name: string): number {
    return removeFile(this.pathOf(name));
  }
}
