// One folder of stored things, such as saved prompts: lists, reads, writes and removes them by their names, through the
// vault that says which file holds each. Knows nothing of what is stored.

import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { appendLine, listFiles, readWhole, removeFile, statFile, touch, writeWhole } from './files.js';
import { PLAIN, type Vault } from './vault.js';

/** A file as the folder has it. */
export interface StoredFile {
  readonly file: string;
  /** What is stored in it. */
  readonly name: string;
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

  /** The names of all that is stored here. @throws the system's error */
  names(): string[] {
    return listFiles(this.path).flatMap((file) => this.#vault.nameOf(file) ?? []);
  }

  /** All regular files of the folder. @throws the system's error */
  files(): StoredFile[] {
    return listFiles(this.path).flatMap((file) => {
      const stats = statFile(join(this.path, file));
      return stats === undefined ? [] : [{ file, name: file, bytes: stats.size, usedMs: stats.mtimeMs }];
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

  /**
   * What is stored under a name; undefined where nothing is that can be read.
   * @param atMost what is longer is cut, and is no whole thing any more
   * @param allocate returns memory for that many bytes, which the result may use
   * @throws an error for what was not written under this name
   */
  read(name: string, atMost: number, allocate?: (size: number) => Uint8Array<ArrayBuffer>) {
    const bytes = readWhole(this.pathOf(name), atMost + this.#vault.overhead, allocate);
    return bytes === undefined ? undefined : this.#vault.open(name, bytes);
  }

  /** The first bytes of what is stored; undefined where nothing is that can be read. */
  readStart(name: string, bytes: number): Uint8Array<ArrayBuffer> | undefined {
    return readWhole(this.pathOf(name), bytes);
  }

  /** @throws the system's error, and leaves nothing behind */
  write(name: string, bytes: Uint8Array<ArrayBuffer>): void {
    writeWhole(this.path, this.#vault.fileOf(name), this.#vault.seal(name, bytes));
  }

  /** Adds a short line. Several processes may do so at the same time. @throws the system's error */
  append(name: string, line: string): void {
    appendLine(this.pathOf(name), line);
  }

  /** The lines that were added, as far as they are whole. @param atMost bytes that are read */
  lines(name: string, atMost: number): string[] {
    const text = Buffer.from(readWhole(this.pathOf(name), atMost) ?? []).toString();
    return text.split('\n').filter((line) => line !== '');
  }

  /** Puts lines in the place of those that were added. @throws the system's error, and leaves nothing behind */
  replaceLines(name: string, lines: readonly string[]): void {
    writeWhole(this.path, this.#vault.fileOf(name), Buffer.from(lines.map((line) => `${line}\n`).join('')));
  }

  stat(name: string): Stats | undefined {
    return statFile(this.pathOf(name));
  }

  touch(name: string): void {
    touch(this.pathOf(name));
  }

  /** @returns the bytes that this freed */
  remove(name: string): number {
    return removeFile(this.pathOf(name));
  }
}
