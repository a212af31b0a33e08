// Input that nobody would give on purpose, to the command itself: it ends in one line, or when it is told to.

import { execFile, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hasPipes, putPipe } from '../../support/hostile.js';
import { tempDirs } from '../../support/temp-dir.js';
import { BIN, hasProc, kvgen, start, untilIdle } from '../run.js';

const tempDir = tempDirs();

/** With a descriptor as stdin. */
function withStdin(
  args: readonly string[],
  fd: number,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [BIN, ...args], { stdio: [fd, 'pipe', 'pipe'] });
  const [stdout, stderr]: [string[], string[]] = [[], []];
  child.stdout?.on('data', (chunk) => stdout.push(String(chunk)));
  child.stderr?.on('data', (chunk) => stderr.push(String(chunk)));
  return new Promise((resolve) =>
    child.on('close', (code) => resolve({ code, stdout: stdout.join(''), stderr: stderr.join('') })),
  );
}

describe.runIf(hasProc)('a pipe that nobody writes to is left by', () => {
  it.each([
    ['SIGINT', 130, ['tokenize', '-f']],
    ['SIGTERM', 143, ['score', '--choices', 'a|b', '-f']],
  ] as const)('%s', async (signal, code, args) => {
    const pipe = join(tempDir(), 'pipe');
    putPipe(pipe);
    const running = start([...args, pipe]);
    const ended = running.end();
    await untilIdle(running.pid);
    running.child.kill(signal);
    expect(await ended).toMatchObject({ code, stdout: '', stderr: '' });
  });
});

describe.runIf(hasPipes)('stdin that is', () => {
  it.each([
    ['a folder', '/', 'it is a folder'],
    ['a device without end', '/dev/zero', 'it is a device'],
  ])('%s', async (_, path, words) => {
    const fd = openSync(path, 'r');
    try {
      const line = (what: string) => `kvgen: stdin: ${what} cannot be read (${words}); name a file or a pipe\n`;
      expect(await withStdin(['tokenize'], fd)).toEqual({ code: 1, stdout: '', stderr: line('the prompt') });
      expect(await withStdin(['batch'], fd)).toEqual({ code: 1, stdout: '', stderr: line('the rows') });
    } finally {
      closeSync(fd);
    }
  });

  it('a pipe without end', async () => {
    const env = { ...process.env, NODE_OPTIONS: '--max-old-space-size=64' }; // a smaller memory takes less text
    const command = `yes | '${process.execPath}' '${BIN}' tokenize`;
    const stderr = await new Promise((resolve) =>
      execFile('sh', ['-c', command], { env }, (...[, , all]) => resolve(all)),
    );
    expect(stderr).toMatch(
      /^kvgen: stdin: the prompt may have at most \d MB, found more; give a part of it, [^\n]*\n$/,
    );
  });
});

it.runIf(hasPipes)('a model that cannot be read is passed over by kvgen models, with a note', async () => {
  const data = tempDir();
  const models = join(data, 'kvgen', 'models');
  mkdirSync(join(models, 'pipe'), { recursive: true });
  putPipe(join(models, 'pipe', 'config.json'));
  symlinkSync('loop', join(models, 'loop'));
  mkdirSync(join(models, 'huge'));
  writeFileSync(join(models, 'huge', 'config.json'), '"'.padEnd(8e6 + 1));
  const { code, stdout, stderr } = await kvgen(['models'], { env: { XDG_DATA_HOME: data, HF_HUB_CACHE: models } });
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^stories .*\nhuge .*not usable: .*the configuration may have at most 8 MB, found 8\.0 MB.*\n$/m,
  );
  expect(stderr).toBe(
    `kvgen: passed over: ${models}/loop: it is a link that leads in a circle\n` +
      `kvgen: passed over: ${models}/pipe/config.json: it is a named pipe\n`,
  );
});
