// Processes of the store alone on one folder, eight at a time, most of them killed at some moment: no look-up is ever
// wrong, and afterwards every file reads whole. 40 processes; 200 with KVGEN_STRESS=1 (`npm run stress`).

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { uniform } from '../../src/sampling/random.js';
import { readWhole, TEMPORARY } from '../../src/store/files.js';
import { type PartName, parseName } from '../../src/store/names.js';
import { decodePart } from '../../src/store/part.js';
import { tempDirs } from '../support/temp-dir.js';
import { SHAPE } from './computed.js';

const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));
const GROUPS = process.env.KVGEN_STRESS === '1' ? 25 : 5;
const newDir = tempDirs();

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stderr: string;
}

/** Two of eight end by themselves; the others are killed up to a quarter of a second after they have begun. */
async function runWorker(folder: string, seed: number): Promise<Ended> {
  const ends = seed % 4 === 0;
  const child = spawn(process.execPath, [WORKER, folder, String(seed + 1), ends ? '30' : '1000000']);
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const closed = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stderr }));
  });
  if (!ends) {
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await sleep(250 * uniform(5, seed));
    child.kill('SIGKILL');
  }
  return closed;
}

describe.each(Array.from({ length: GROUPS }, (_, group) => group))('group %i of eight processes', (group) => {
  it('is never wrong and leaves only whole files', async () => {
    const folder = newDir();
    const ended = await Promise.all(Array.from({ length: 8 }, (_, i) => runWorker(folder, 8 * group + i)));
    expect(ended.filter(({ code, signal }) => code !== 0 && signal !== 'SIGKILL')).toEqual([]);
    expect(ended.map(({ stderr }) => stderr).join('')).toBe('');
    const files = readdirSync(folder).filter((file) => parseName(file) !== undefined);
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      const expected = {
        name: parseName(file) as PartName,
        fingerprint: 'f'.repeat(64),
        dtype: 'float32' as const,
        shape: SHAPE,
      };
      expect(
        () => decodePart(readWhole(join(folder, file), 1e6) as Uint8Array<ArrayBuffer>, expected),
        file,
      ).not.toThrow();
    }
    const others = readdirSync(folder).filter((file) => parseName(file) === undefined && !file.endsWith('.uses'));
    expect(others.filter((file) => !TEMPORARY.test(file))).toEqual([]);
  });
});
