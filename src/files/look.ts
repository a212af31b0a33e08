// Looks at what lies at a path without opening it. Knows nothing of what it is looked at for.

import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs';
import { errorCode } from '../errors.js';
import { systemWords } from './file-errors.js';

/** Told of what is there and cannot be looked at, with the reason. */
export type OnProblem = (line: string) => void;

/** What a path leads to; undefined: nothing is there, or what is there cannot be looked at. */
export function look(path: string, onProblem: OnProblem): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    if (exists(path)) {
      onProblem(`${path}: ${systemWords(path, error)}`);
    }
    return undefined;
  }
}

export function isFolder(path: string, onProblem: OnProblem): boolean {
  return look(path, onProblem)?.isDirectory() ?? false;
}

/** In alphabetical order; none where there is no folder, or none that can be listed. */
export function namesIn(folder: string, onProblem: OnProblem): string[] {
  const stats = look(folder, onProblem);
  if (stats?.isDirectory() === false) {
    onProblem(`${folder}: it is no folder`);
  }
  try {
    return stats?.isDirectory() ? readdirSync(folder).sort() : [];
  } catch (error) {
    onProblem(`${folder}: ${systemWords(folder, error)}`);
    return [];
  }
}

/** A link is there even if it leads nowhere, and so is what may not be looked at. */
export function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    return errorCode(error) !== 'ENOTDIR';
  }
}
