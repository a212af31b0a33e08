// The counts of a store by day: what is added comes back, whatever else is in the files, from however many processes.

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { addCounts, NOTHING_COUNTED, parseCounts } from '../../src/store/counts.js';
import { bytesIn, clear, evict } from '../../src/store/eviction.js';
import { Ledger, readLedgers } from '../../src/store/ledger.js';
import { StoreFolder } from '../../src/store/store-folder.js';
import { tempDirs } from '../support/temp-dir.js';

const DIST = fileURLToPath(new URL('../../dist/store', import.meta.url));
const newDir = tempDirs();
const NOON = Date.parse('2025-11-26T12:00:00Z');
const TODAY = '2025-11-26.counts';
const DAY_MS = 24 * 60 * 60 * 1000;
const UNBOUND = { maxBytes: 1e12, maxAgeMs: 1e12 };

beforeEach(() => {
  vi.useFakeTimers({ now: NOON, toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function counted(path: string, counts: Parameters<Ledger['add']>[0]): void {
  const ledger = new Ledger(new StoreFolder(path));
  ledger.add(counts);
  ledger.flush();
}

const days = (path: string) =>
  readLedgers([new StoreFolder(path)]).map(({ day, counts }) => [day, counts.hits, counts.read] as const);

describe('what was counted', () => {
  it('is added up by day, the latest first', () => {
    const path = newDir();
    counted(path, { hits: 1, read: 30, savedMs: -2.5, reasons: { a: 1 } });
    counted(path, { hits: 2, evicted: 4, savedMs: 1, reasons: { a: 1, b: 5 } });
    vi.setSystemTime(NOON + DAY_MS);
    counted(path, { partial: 1 });
    expect(readLedgers([new StoreFolder(path)])).toEqual([
      { day: '2025-11-27', counts: { ...NOTHING_COUNTED, partial: 1 } },
      {
        day: '2025-11-26',
        counts: { ...NOTHING_COUNTED, hits: 3, read: 30, evicted: 4, savedMs: -1.5, reasons: { a: 2, b: 5 } },
      },
    ]);
  });

  it('is one line of a process, and one more every ten seconds', () => {
    const path = newDir();
    const ledger = new Ledger(new StoreFolder(path));
    for (let second = 0; second < 25; second++) {
      vi.setSystemTime(NOON + 1000 * second);
      ledger.add({ hits: 1 });
    }
    ledger.flush();
    ledger.flush();
    expect(readFileSync(join(path, TODAY), 'utf8')).toBe('{"hits":11}\n{"hits":10}\n{"hits":4}\n');
  });

  it('is only what a line can say: anything else counts as nothing', () => {
    const path = newDir();
    counted(path, { hits: 1, reasons: { known: 1 } });
    const wrong = ['', 'x', '{"hits":', '[1]', 'null', '"hits"', '{"hits":-1}', '{"hits":"1"}', '{"hits":1e99}'];
    const reasons = [{ reasons: 3 }, { reasons: { ['x'.repeat(101)]: 1, no: -1, text: '1' } }, { reasons: ['a'] }];
    const many = { reasons: Object.fromEntries(Array.from({ length: 99 }, (_, i) => [`r${i}`, 1])) };
    writeFileSync(join(path, TODAY), [...wrong, ...[...reasons, many].map((one) => JSON.stringify(one))].join('\n'), {
      flag: 'a',
    });
    const [today] = readLedgers([new StoreFolder(path)]);
    expect(today?.counts).toMatchObject({ ...NOTHING_COUNTED, hits: 1, reasons: { known: 1, r0: 1 } });
    expect(Object.keys(today?.counts.reasons ?? {})).toHaveLength(32);
    expect(addCounts(NOTHING_COUNTED, parseCounts('{"__proto__":{"hits":1}}'))).toEqual(NOTHING_COUNTED);
  });

  it('by many processes at the same time is what each has counted', async () => {
    const path = newDir();
    const program = `
      const { Ledger } = await import(${JSON.stringify(join(DIST, 'ledger.js'))});
      const { StoreFolder } = await import(${JSON.stringify(join(DIST, 'store-folder.js'))});
      const ledger = new Ledger(new StoreFolder(${JSON.stringify(path)}));
      for (let i = 0; i < 200; i++) {
        ledger.add({ hits: 1, read: 7, reasons: { 'nothing is stored yet': 1 } });
        ledger.flush();
      }`;
    const ended = Array.from({ length: 4 }, () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
      return new Promise((resolve) => child.on('close', resolve));
    });
    expect(await Promise.all(ended)).toEqual([0, 0, 0, 0]);
    const sum = readLedgers([new StoreFolder(path)]).map(({ counts }) => counts);
    expect(sum.reduce(addCounts, NOTHING_COUNTED)).toEqual({
      ...NOTHING_COUNTED,
      hits: 800,
      read: 5600,
      reasons: { 'nothing is stored yet': 800 },
    });
  });
});

describe('the files', () => {
  it('are bounded: a full one takes no more, and when its day is over it becomes one line', () => {
    const path = newDir();
    const folder = new StoreFolder(path);
    for (let i = 0; i < 400; i++) {
      counted(path, { hits: 1, read: 2, reasons: { 'nothing is stored yet': 1 } });
    }
    const before = readLedgers([folder]);
    evict(folder, UNBOUND);
    expect(readFileSync(join(path, TODAY), 'utf8').split('\n')).toHaveLength(401);
    vi.setSystemTime(NOON + DAY_MS + 1000);
    evict(folder, UNBOUND);
    expect(readFileSync(join(path, TODAY), 'utf8')).toBe(
      '{"hits":400,"read":800,"reasons":{"nothing is stored yet":400}}\n',
    );
    expect(readLedgers([folder])).toEqual(before);
    counted(path, { hits: 1 });
    truncateSync(join(path, '2025-11-27.counts'), 1 << 22);
    counted(path, { hits: 1 });
    expect(days(path)).toEqual([
      ['2025-11-27', 1, 0],
      ['2025-11-26', 400, 800],
    ]);
  });

  it('are removed after 90 days, and by clear', () => {
    const path = newDir();
    const folder = new StoreFolder(path);
    counted(path, { hits: 1 });
    writeFileSync(join(path, '2025-99-99.counts'), '');
    writeFileSync(join(path, 'mine.counts'), '');
    vi.setSystemTime(NOON + 89 * DAY_MS);
    counted(path, { hits: 1 });
    evict(folder, { maxBytes: 0, maxAgeMs: 0 });
    expect(readdirSync(path).sort()).toEqual([TODAY, '2026-02-23.counts', 'mine.counts']);
    vi.setSystemTime(NOON + 91 * DAY_MS);
    expect(evict(folder, UNBOUND)).toMatchObject({ files: 0 });
    expect(readdirSync(path).sort()).toEqual(['2026-02-23.counts', 'mine.counts']);
    expect(bytesIn(folder)).toBe('{"hits":1}\n'.length);
    expect(clear(folder)).toEqual({ files: 1, bytes: 11 });
    expect(readdirSync(path)).toEqual(['mine.counts']);
  });

  it('that cannot be written are no failure', () => {
    counted('/nonexistent', { hits: 1 });
    const path = newDir();
    mkdirSync(join(path, TODAY));
    counted(path, { hits: 1 });
    expect(readdirSync(path)).toEqual([TODAY]);
  });

  it.skipIf(process.platform === 'win32')('no link is followed, and no pipe waited for', () => {
    const [path, other] = [newDir(), join(newDir(), 'other')];
    writeFileSync(other, '');
    symlinkSync(other, join(path, TODAY));
    counted(path, { hits: 1 });
    expect(readFileSync(other, 'utf8')).toBe('');
    const pipes = newDir();
    execFileSync('mkfifo', [join(pipes, TODAY)]);
    counted(pipes, { hits: 1 });
    expect([days(path), days(pipes)]).toEqual([[], []]);
  });
});
