// What may lie in the place of a file: everything that reading it could wait for, run round in, or never come to an end of.

import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename } from 'node:path';
import { onTestFinished } from 'vitest';

interface Hostile {
  readonly name: string;
  /** Puts it at a path where there is nothing. */
  put(path: string): void | Promise<void>;
  /** What a message says of it. */
  readonly words: string;
}

export const hasPipes = process.platform !== 'win32';

/** Where pipes and links can be made. */
export const HOSTILE: readonly Hostile[] = [
  { name: 'a folder', put: (path) => mkdirSync(path), words: 'it is a folder' },
  { name: 'a pipe that nobody writes to', put: putPipe, words: 'it is a named pipe' },
  { name: '/dev/zero', put: (path) => symlinkSync('/dev/zero', path), words: 'it is a device' },
  { name: 'a link to itself', put: (path) => symlinkSync(basename(path), path), words: 'leads in a circle' },
  { name: 'a link to nothing', put: (path) => symlinkSync('nothing', path), words: 'it is a link that leads nowhere' },
  { name: 'a socket', put: putSocket, words: 'it is a socket' },
];

export function putPipe(path: string): void {
  execFileSync('mkfifo', [path]);
}

/** A file of so many bytes, which takes up no room on the disk. */
export function putSparse(path: string, bytes: number): void {
  writeFileSync(path, '');
  truncateSync(path, bytes);
}

async function putSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => void server.close());
}
