// Whether a folder is private: only this user and root can change what lies in it, or what lies at its path. Engines that are
// loaded and prompts that are saved lie in such folders. Knows nothing of what is in them, and changes nothing.

import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, join, parse, resolve, sep } from 'node:path';
import { KvgenError } from '../errors.js';

/** What others must not be able to do in the folder itself, and the permission bits that would let them. */
const FORBIDDEN = { write: [0o022, 'written to'], read: [0o077, 'read'] } as const;
const OTHERS_WRITE = 0o022;
const GROUP_WRITES = 0o020;
const STICKY = 0o1000;
/** As many as Linux follows in one path. */
const MAX_LINKS = 40;

/**
 * The folder itself. Those above it: `checkAbove`.
 * @param elsewhere how another folder is chosen, for the message
 * @throws KvgenError for a link, and for a folder that others own or can write to or read; the system's error when there is none
 */
export function checkPrivate(dir: string, others: keyof typeof FORBIDDEN, elsewhere: string): void {
  const stats = lstatSync(dir);
  const user = process.geteuid?.();
  if (!stats.isDirectory()) {
    const found = stats.isSymbolicLink() ? 'a link' : 'a file';
    throw new KvgenError(`${dir}: expected a directory, found ${found}; remove it, or ${elsewhere}`);
  }
  if (user === undefined) {
    return; // On Windows a user's own directories are private by inheritance.
  }
  if (stats.uid !== user) {
    throw new KvgenError(`${dir}: belongs to user ${stats.uid}, expected ${user}; ${elsewhere}`);
  }
  const [bits, verb] = FORBIDDEN[others];
  if ((stats.mode & bits) !== 0) {
    throw new KvgenError(`${dir}: can be ${verb} by others; chmod 700 it, or ${elsewhere}`);
  }
}

/**
 * All folders above `path`, and those that links on the way lead through: whoever can write to one of them can put another folder
 * in the place of this one. What is not there yet is not looked at.
 * @throws KvgenError that names the folder; the system's error where it cannot be looked at
 */
export function checkAbove(path: string, elsewhere: string): void {
  const user = process.geteuid?.();
  if (user === undefined) {
    return;
  }
  const full = resolve(path);
  let here = parse(full).root;
  const names = namesOf(full);
  for (let links = 0; names.length > 0; ) {
    const name = names.shift() as string;
    const entry = name === '..' ? dirname(here) : join(here, name);
    const stats = lstatSync(entry, { throwIfNoEntry: false });
    checkHolder(here, lstatSync(here), { path, entry: stats, user, elsewhere });
    if (stats?.isSymbolicLink() && links++ < MAX_LINKS) {
      const target = resolveLink(here, readlinkSync(entry));
      names.unshift(...target.names);
      here = target.from;
    } else if (stats?.isDirectory()) {
      here = entry;
    } else {
      return; // Whoever opens the path is told by the system what is there instead.
    }
  }
}

function namesOf(path: string): string[] {
  return path
    .slice(parse(path).root.length)
    .split(sep)
    .filter((name) => name !== '' && name !== '.');
}

/** A link's target is not normalized: behind another link, `..` is the folder above where that one leads. */
function resolveLink(here: string, target: string) {
  const { root } = parse(target);
  return { from: root === '' ? here : root, names: namesOf(target) };
}

interface Visit {
  readonly path: string;
  /** What lies in the folder on the way to `path`; undefined: nothing yet. */
  readonly entry: Stats | undefined;
  readonly user: number;
  readonly elsewhere: string;
}

function checkHolder(dir: string, stats: Stats, { path, entry, user, elsewhere }: Visit): void {
  const isOurs = (uid: number) => uid === user || uid === 0;
  if (!isOurs(stats.uid)) {
    throw new KvgenError(`${dir}: belongs to user ${stats.uid}, and ${path} lies in it; ${elsewhere}`);
  }
  if ((stats.mode & OTHERS_WRITE) === 0 || isOwnGroup(stats, user)) {
    return;
  }
  if ((stats.mode & STICKY) === 0) {
    throw new KvgenError(`${dir}: can be written to by others, and ${path} lies in it; chmod go-w it, or ${elsewhere}`);
  }
  // As in /tmp: others can add to it, but not rename or remove what is not theirs.
  if (entry !== undefined && !isOurs(entry.uid)) {
    throw new KvgenError(`${path}: the way there, in ${dir}, belongs to user ${entry.uid}; ${elsewhere}`);
  }
}

/** Some systems give each user a group of the same number, and let it write by default. Nobody else is in it. */
function isOwnGroup({ mode, gid }: Stats, user: number): boolean {
  return (mode & OTHERS_WRITE) === GROUP_WRITES && user !== 0 && gid === user && process.getegid?.() === gid;
}
