// Makes a directory and those above it. Node's own way (mkdir with `recursive`) tries for ever where a file system
// answers "no such file" for a directory whose parent exists, as /proc does. Knows nothing of what goes in.

import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode } from '../errors.js';

/** @throws the system's error */
export function makeDirectories(dir: string, mode: number): void {
  if (existsSync(dir)) {
    return;
  }
  makeDirectories(dirname(dir), mode);
  makeDirectory(dir, mode);
}

/** One that is there already is left as it is, whatever it is. @throws the system's error */
export function makeDirectory(dir: string, mode: number): void {
  try {
    mkdirSync(dir, { mode });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') {
      throw error;
    }
  }
}
