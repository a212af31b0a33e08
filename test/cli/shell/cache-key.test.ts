// Where the key comes from, and what is said where it cannot be had: never the key, nor what a command prints.

import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cacheKey } from '../../../src/cli/shell/cache-key.js';
import { KvgenError, UsageError } from '../../../src/errors.js';
import { tempDirs } from '../../support/temp-dir.js';

const newDir = tempDirs();
const HEX = '0123456789abcdef'.repeat(4);
const never = new AbortController().signal;

async function keyFrom(env: NodeJS.ProcessEnv, signal = never): Promise<string | undefined> {
  const key = await cacheKey({ ...process.env, ...env }, signal);
  return key === undefined ? undefined : Buffer.from(key).toString('hex');
}

function keyFile(text: string, mode = 0o600): string {
  const path = join(newDir(), 'key');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

async function messageOf(failing: Promise<unknown>): Promise<string> {
  const error = await failing.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(KvgenError);
  return (error as Error).message;
}

describe('the key', () => {
  it('comes from a file, or from what a command prints; without either there is none', async () => {
    expect(await keyFrom({ KVGEN_CACHE_KEY_FILE: keyFile(`${HEX}\n`) })).toBe(HEX);
    expect(await keyFrom({ KVGEN_CACHE_KEY_FILE: keyFile(HEX, 0o400) })).toBe(HEX);
    expect(await keyFrom({ KVGEN_CACHE_KEY_COMMAND: `echo ${HEX}; echo told >&2` })).toBe(HEX);
    expect(await keyFrom({ KVGEN_CACHE_KEY_FILE: '', KVGEN_CACHE_KEY_COMMAND: '' })).toBeUndefined();
  });

  it('comes from one of the two only', async () => {
    const both = keyFrom({ KVGEN_CACHE_KEY_FILE: 'a', KVGEN_CACHE_KEY_COMMAND: 'b' });
    await expect(both).rejects.toThrow(new UsageError('KVGEN_CACHE_KEY_FILE cannot go with KVGEN_CACHE_KEY_COMMAND'));
  });

  it.each([
    ['others could read', 0o640],
    ['others could write', 0o602],
  ])('is refused from a file that %s', async (_, mode) => {
    const path = keyFile(HEX, mode);
    expect(await messageOf(keyFrom({ KVGEN_CACHE_KEY_FILE: path }))).toBe(
      `${path}: KVGEN_CACHE_KEY_FILE can be read or written to by others; chmod 600 it`,
    );
  });

  it('is refused where it is too short, and not shown', async () => {
    const what =
      'the key is too short: expected 32 bytes, as they are, in hexadecimal or base64, or a longer passphrase';
    expect(await messageOf(keyFrom({ KVGEN_CACHE_KEY_FILE: keyFile('hunter2\n') }))).toBe(
      `KVGEN_CACHE_KEY_FILE: ${what}, found 8 bytes`,
    );
    expect(await messageOf(keyFrom({ KVGEN_CACHE_KEY_COMMAND: 'true' }))).toBe(
      `KVGEN_CACHE_KEY_COMMAND: ${what}, found 0 bytes`,
    );
  });

  it('is refused from what is no file', async () => {
    const dir = newDir();
    const [folder, loop, pipe] = ['folder', 'loop', 'pipe'].map((name) => join(dir, name)) as [string, string, string];
    mkdirSync(folder);
    symlinkSync(loop, loop);
    spawnSync('mkfifo', ['-m', '600', pipe]);
    for (const [path, why] of [
      [folder, 'it is a folder'],
      [loop, 'it is a link that leads in a circle'],
      [pipe, 'it is a named pipe'],
      ['/dev/zero', 'it is a device'],
      [join(dir, 'none'), 'there is no such file'],
    ] as const) {
      expect(await messageOf(keyFrom({ KVGEN_CACHE_KEY_FILE: path }))).toContain(
        `${path}: the key cannot be read (${why})`,
      );
    }
    expect(await messageOf(keyFrom({ KVGEN_CACHE_KEY_FILE: keyFile('x'.repeat(70_000)) }))).toContain(
      'may have at most',
    );
  });
});

describe('a command', () => {
  it.each([
    ['fails', 'echo a-secret; echo a-secret >&2; exit 3', 'failed (exit 3)'],
    ['is none', 'no-such-command-of-anybody', 'failed (exit 127)'],
    ['prints without an end', 'yes a-secret', 'printed more than 65536 bytes'],
  ])('that %s: one line without what it printed', async (_, command, how) => {
    expect(await messageOf(keyFrom({ KVGEN_CACHE_KEY_COMMAND: command }))).toBe(
      `KVGEN_CACHE_KEY_COMMAND: the command ${how}; run it by itself to see what it prints`,
    );
  });

  it('that hangs is ended with all that it started when the signal comes', async () => {
    const [pid, later] = [join(newDir(), 'pid'), new AbortController()];
    const waiting = keyFrom({ KVGEN_CACHE_KEY_COMMAND: `sleep 1000 & echo $! > ${pid}; wait` }, later.signal);
    while (!existsSync(pid)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    later.abort(new Error('stopped'));
    await expect(waiting).rejects.toThrow('stopped');
    const isRunning = () => spawnSync('sh', ['-c', `kill -0 $(cat ${pid})`]).status === 0;
    while (isRunning()) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });

  it('that takes too long is ended, whatever it has started', async () => {
    const endless = cacheKey({ ...process.env, KVGEN_CACHE_KEY_COMMAND: 'sleep 1000 | cat' }, never, 0.2);
    expect(await messageOf(endless)).toBe(
      'KVGEN_CACHE_KEY_COMMAND: the command took longer than 0.2 s; run it by itself to see what it prints',
    );
  });

  it('gets no input', async () => {
    expect(await keyFrom({ KVGEN_CACHE_KEY_COMMAND: `cat; echo ${HEX}` })).toBe(HEX);
  });
});
