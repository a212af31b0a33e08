// The opener of files: what is no regular file ends in one line and is never waited for.

import { appendFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONFIG, WEIGHTS } from '../../src/files/file-kinds.js';
import { openFile, readAll, readSmallFile } from '../../src/files/open-file.js';
import { expectFailure } from '../support/errors.js';
import { HOSTILE, hasPipes, putSparse } from '../support/hostile.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();
const MB = 1 << 20;

function fileOf(bytes: Uint8Array | string): string {
  const path = join(tempDir(), 'file');
  writeFileSync(path, bytes);
  return path;
}

/** Bytes that repeat at no power of two. */
const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => i % 251);

describe('a file', () => {
  it.each([0, 1, 4095, 4096, MB - 1, MB, MB + 1, 3 * MB + 5])('of %i bytes is read as a whole', async (length) => {
    const bytes = pattern(length);
    const path = fileOf(bytes);
    const file = await openFile(path, CONFIG);
    expect(file.size).toBe(length);
    expect(Buffer.compare(await readAll(file), bytes)).toBe(0);
    expect(Buffer.compare(readSmallFile(path, CONFIG), bytes)).toBe(0);
  });

  it('is read from any byte on, as far as it goes', async () => {
    const file = await openFile(fileOf('0123456789'), WEIGHTS);
    const into = new Uint8Array(4);
    expect(await file.read(into, 3)).toBe(4);
    expect(Buffer.from(into).toString()).toBe('3456');
    expect(await file.read(into, 8)).toBe(2);
    expect(Buffer.from(into).toString()).toBe('8956');
    await file.close();
  });

  it('that changes while it is open is read as it is then', async () => {
    const path = fileOf('0123456789');
    const [longer, shorter] = [await openFile(path, CONFIG), await openFile(path, CONFIG)];
    appendFileSync(path, 'x'.repeat(5000));
    expect((await readAll(longer)).length).toBe(5010);
    truncateSync(path, 3);
    expect((await readAll(shorter)).toString()).toBe('012');
  });

  it.runIf(process.platform === 'linux')('of /proc, which says that it is empty, is read too', async () => {
    const file = await openFile('/proc/self/status', CONFIG);
    expect(file.size).toBe(0);
    expect((await readAll(file)).toString()).toMatch(/^Name:\t/);
    expect(readSmallFile('/proc/self/status', CONFIG).toString()).toMatch(/^Name:\t/);
  });
});

describe('a state', () => {
  it('is that of the file as it is opened, and another once it changes', async () => {
    const path = fileOf('a');
    const stateOf = async () => {
      const file = await openFile(path, CONFIG);
      await file.close();
      return file.state;
    };
    const before = await stateOf();
    expect(await stateOf()).toEqual(before);
    expect(Math.abs(before.changedMs - Date.now())).toBeLessThan(600_000);
    appendFileSync(path, 'b');
    expect((await stateOf()).text).not.toBe(before.text);
  });
});

describe('is refused in one line', () => {
  it('what is not there', async () => {
    const path = join(tempDir(), 'none');
    const line = `${path}: the configuration cannot be read (there is no such file)`;
    expect((await expectFailure(() => openFile(path, CONFIG))).message).toBe(line);
    expect((await expectFailure(() => readSmallFile(path, CONFIG))).message).toBe(line);
    await expectFailure(() => openFile(join(fileOf(''), 'x'), CONFIG), '(a part of its path is no folder)');
    await expectFailure(() => openFile('x'.repeat(5000), CONFIG), '(its name is too long)');
  });

  it.runIf(hasPipes).each(HOSTILE)('$name', async ({ put, words }) => {
    const path = join(tempDir(), 'x');
    await put(path);
    for (const open of [openFile, readSmallFile]) {
      const { message } = await expectFailure(() => open(path, CONFIG), words);
      expect(message.startsWith(`${path}: the configuration cannot be read (`)).toBe(true);
    }
  });

  it('what is larger than its kind may be, before a byte is read', async () => {
    const path = join(tempDir(), 'large');
    putSparse(path, 3e9);
    const line = `${path}: the configuration may have at most 8 MB, found 3000.0 MB`;
    expect((await expectFailure(() => openFile(path, CONFIG))).message).toBe(line);
    expect((await expectFailure(() => readSmallFile(path, CONFIG))).message).toBe(line);
    await (await openFile(path, WEIGHTS)).close();
  });

  it('what becomes larger while it is read', async () => {
    const path = fileOf('1');
    const file = await openFile(path, { ...CONFIG, maxBytes: 5000 });
    appendFileSync(path, 'x'.repeat(5000));
    await expectFailure(() => readAll(file), 'the configuration may have at most 0 MB, found more');
  });
});

it('reading ends where the signal aborts', async () => {
  const path = fileOf('x');
  const controller = new AbortController();
  const file = await openFile(path, CONFIG, controller.signal);
  controller.abort(new Error('stopped'));
  await expect(readAll(file)).rejects.toThrow('stopped');
  await expect(openFile(path, CONFIG, controller.signal)).rejects.toThrow('stopped');
});
