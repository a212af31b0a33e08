// Who can put something else at a path: the folders above it, links on the way, sticky folders.

import { chmodSync, chownSync, lchownSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { KvgenError } from '../../src/errors.js';
import { checkAbove, checkPrivate } from '../../src/files/private-folder.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();
const isRoot = process.geteuid?.() === 0;
const STRANGER = 65534;
let base: string;

beforeEach(() => {
  base = realpathSync(tempDir());
  mkdirSync(join(base, 'a', 'b'), { recursive: true, mode: 0o755 });
});

const above = (path: string) => () => checkAbove(join(base, path), 'go elsewhere');

function set(path: string, mode: number): void {
  chmodSync(join(base, path), mode);
}

describe('the folders above', () => {
  it('may be read by all, and may be missing', () => {
    expect(above('a/b/c')).not.toThrow();
    expect(above('a/b/c/d/e')).not.toThrow();
  });

  it.each([
    ['a', 0o777],
    ['a', 0o757],
    ['', 0o702],
  ])('must not be writable by others: %s with mode %o', (path, mode) => {
    set(path, mode);
    const dir = join(base, path);
    const message = `${dir}: can be written to by others, and ${base}/a/b lies in it; chmod go-w it, or go elsewhere`;
    expect(above('a/b')).toThrow(new KvgenError(message.replace('//', '/')));
  });

  it('may be sticky, as /tmp is, where what lies in them is ours', () => {
    set('a', 0o1777);
    expect(above('a/b/c')).not.toThrow();
    expect(above('a/new')).not.toThrow();
  });

  it.skipIf(!isRoot)('must not belong to another user, even in a sticky folder', () => {
    chownSync(join(base, 'a'), STRANGER, STRANGER);
    expect(above('a/b')).toThrow(`${base}/a: belongs to user ${STRANGER}, and ${base}/a/b lies in it; go elsewhere`);
    set('', 0o1777);
    expect(above('a/b')).toThrow(`${base}/a/b: the way there, in ${base}, belongs to user ${STRANGER}; go elsewhere`);
  });

  it.skipIf(!isRoot)('may be writable by the group of a user that nobody else is in, but not by that of root', () => {
    set('a', 0o775);
    expect(above('a/b')).toThrow('can be written to by others');
    chownSync(base, STRANGER, STRANGER);
    chownSync(join(base, 'a'), STRANGER, STRANGER);
    const { seteuid, setegid } = process as Required<typeof process>;
    try {
      setegid(STRANGER);
      seteuid(STRANGER);
      expect(above('a/b')).not.toThrow();
    } finally {
      seteuid(0);
      setegid(0);
    }
  });

  it('are not looked at behind a file: the system says what is wrong', () => {
    writeFileSync(join(base, 'file'), '');
    expect(above('file/b/c')).not.toThrow();
  });
});

describe('a link on the way', () => {
  it.each(['{}/a', 'a', './x/../a', 'x/back/a'])(
    'to %s is followed, and what lies above its target is looked at',
    (to) => {
      mkdirSync(join(base, 'x'));
      symlinkSync('..', join(base, 'x', 'back'));
      symlinkSync(to.replace('{}', base), join(base, 'link'));
      expect(above('link/b')).not.toThrow();
      set('a', 0o777);
      expect(above('link/b')).toThrow(`${base}/a: can be written to by others, and ${base}/link/b lies in it`);
    },
  );

  it('can be changed by whoever can write where it lies', () => {
    mkdirSync(join(base, 'open'));
    symlinkSync(join(base, 'a'), join(base, 'open', 'link'));
    set('open', 0o777);
    expect(above('open/link/b')).toThrow(`${base}/open: can be written to by others`);
  });

  it.skipIf(!isRoot)('of another user, in a sticky folder, is refused', () => {
    set('', 0o1777);
    symlinkSync(join(base, 'a'), join(base, 'link'));
    expect(above('link/b')).not.toThrow();
    lchownSync(join(base, 'link'), STRANGER, STRANGER);
    expect(above('link/b')).toThrow(`${base}/link/b: the way there, in ${base}, belongs to user ${STRANGER}`);
  });

  it('to itself comes to an end', () => {
    symlinkSync('loop', join(base, 'loop'));
    expect(above('loop/b')).not.toThrow();
  });
});

describe('the folder itself', () => {
  const check = (others: 'read' | 'write') => () => checkPrivate(join(base, 'a'), others, 'go elsewhere');

  it('may be read where only writing is forbidden', () => {
    expect(check('write')).not.toThrow();
    expect(check('read')).toThrow(`${base}/a: can be read by others; chmod 700 it, or go elsewhere`);
    set('a', 0o720);
    expect(check('write')).toThrow(`${base}/a: can be written to by others; chmod 700 it, or go elsewhere`);
  });

  it('is no link', () => {
    symlinkSync('a', join(base, 'link'));
    const message = `${base}/link: expected a directory, found a link; remove it, or go elsewhere`;
    expect(() => checkPrivate(join(base, 'link'), 'write', 'go elsewhere')).toThrow(message);
  });

  it.skipIf(!isRoot)('belongs to this user', () => {
    chownSync(join(base, 'a'), STRANGER, STRANGER);
    expect(check('write')).toThrow(`${base}/a: belongs to user ${STRANGER}, expected 0; go elsewhere`);
  });
});
