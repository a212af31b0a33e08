// Input that a person names: pipes are waited for, but never longer than the signal wants; what has no end is refused.

import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { PROMPT, ROWS } from '../../src/files/file-kinds.js';
import { checkInput, openInput, readInput, StreamInput } from '../../src/files/named-input.js';
import { expectFailure } from '../support/errors.js';
import { HOSTILE, hasPipes, putPipe, putSparse } from '../support/hostile.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();

const textOf = async (path: string, signal?: AbortSignal) =>
  (await readInput(await openInput(path, PROMPT), signal)).toString();

it('a file, with its size', async () => {
  const path = join(tempDir(), 'text');
  writeFileSync(path, 'hello');
  expect(await textOf(path)).toBe('hello');
  const input = await openInput(path, PROMPT);
  expect(input.size).toBe(5);
  await input.close();
});

it.runIf(hasPipes)('the null device is empty', async () => {
  expect(await textOf('/dev/null')).toBe('');
});

describe.runIf(hasPipes)('a pipe', () => {
  it('is read to its end, by whatever pieces it is written in', async () => {
    const path = join(tempDir(), 'pipe');
    putPipe(path);
    const input = await openInput(path, PROMPT);
    expect(input.size).toBe(null);
    const reading = readInput(input);
    const writer = openSync(path, 'w');
    writeSync(writer, 'hel');
    await new Promise((resolve) => setTimeout(resolve, 20));
    writeSync(writer, 'lo');
    closeSync(writer);
    expect((await reading).toString()).toBe('hello');
  });

  it('that nobody writes to is left when the signal aborts', async () => {
    const path = join(tempDir(), 'pipe');
    putPipe(path);
    const controller = new AbortController();
    const reading = textOf(path, controller.signal);
    controller.abort(new Error('stopped'));
    await expect(reading).rejects.toThrow('stopped');
  });

  it('that is never read can be closed', async () => {
    const path = join(tempDir(), 'pipe');
    putPipe(path);
    await (await openInput(path, ROWS)).close();
  });
});

describe('is refused in one line', () => {
  it.runIf(hasPipes).each(HOSTILE.filter(({ name }) => !name.includes('pipe')))('$name', async ({ put, words }) => {
    const path = join(tempDir(), 'x');
    await put(path);
    await expectFailure(() => openInput(path, PROMPT), `${path}: the prompt cannot be read (`, words);
  });

  it('a file that is too large, unless it is read line by line', async () => {
    const path = join(tempDir(), 'large');
    putSparse(path, 3e9);
    await expectFailure(() => openInput(path, PROMPT), `${path}: the prompt may have at most `, 'found 3000.0 MB');
    const rows = await openInput(path, ROWS);
    expect(rows.size).toBe(3e9);
    await rows.close();
  });

  it('a stream that brings more than a text may have', async () => {
    let sent = 0;
    const endless = Readable.from(
      (function* () {
        for (; ; sent++) {
          yield Buffer.alloc(1000);
        }
      })(),
      { highWaterMark: 1 },
    );
    const input = new StreamInput('stdin', { ...PROMPT, maxBytes: 10_000 }, endless);
    const { message } = await expectFailure(() => readInput(input));
    expect(message).toMatch(
      /^stdin: the prompt may have at most 0 MB, found more; give a part of it, or more memory with [^\n]*$/,
    );
    expect(sent).toBeLessThan(20);
    expect(endless.destroyed).toBe(true);
  });

  it('a stream that fails', async () => {
    const failing = new Readable({ read: () => failing.destroy(new Error('broken')) });
    const input = new StreamInput('stdin', PROMPT, failing);
    await expectFailure(() => readInput(input), 'stdin: the prompt cannot be read (broken)');
  });

  it.runIf(hasPipes)('stdin that is a folder or a device', async () => {
    for (const [path, words] of [
      ['/', 'it is a folder'],
      ['/dev/zero', 'it is a device'],
    ] as const) {
      const fd = openSync(path, 'r');
      await expectFailure(() => checkInput('stdin', PROMPT, fd), `stdin: the prompt cannot be read (${words})`);
      closeSync(fd);
    }
  });
});
