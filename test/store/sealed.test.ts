// A store under a key: found with it, and nothing without it; no name and no byte tells anything.

import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AnswerStore, type StoredAnswer } from '../../src/store/answers.js';
import { bytesIn, clear, evict } from '../../src/store/eviction.js';
import { Ledger, readLedgers } from '../../src/store/ledger.js';
import { listAnswers, listPrompts, removeEntry } from '../../src/store/list.js';
import { answerName, parseName, partNames } from '../../src/store/names.js';
import { PromptStore } from '../../src/store/prompts.js';
import { sealedVault } from '../../src/store/sealed-vault.js';
import { StoreFolder } from '../../src/store/store-folder.js';
import { readUses, recordUse, usesFile } from '../../src/store/uses.js';
import { PLAIN, SEALED } from '../../src/store/vault.js';
import { tempDirs } from '../support/temp-dir.js';
import { computed, SHAPE, wrongWith } from './computed.js';

const newDir = tempDirs();
const range = (length: number, from = 0) => Array.from({ length }, (_, i) => from + i);
const [ONE, OTHER] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const OF = { fingerprint: 'a'.repeat(64), dtype: 'float32' } as const;
const LIMITS = { maxBytes: 1e9, maxAgeMs: 1e12 };
const DAY = 24 * 60 * 60 * 1000;

/** @param key null: without one */
function at(path: string, key: Buffer | null, kind = 'prompts'): StoreFolder {
  return new StoreFolder(path, key === null ? PLAIN : sealedVault(key, kind));
}

function open(path: string, key: Buffer | null = ONE, write = true) {
  const notes: string[] = [];
  const onNote = (line: string) => notes.push(line);
  const folder = at(path, key);
  return { store: new PromptStore({ folder, write, limits: LIMITS, ...OF, shape: SHAPE, model: 'm', onNote }), notes };
}

describe('prompts under a key', () => {
  it('are found as without one: whole, continued, cut, and where they part', () => {
    const path = newDir();
    const { store, notes } = open(path);
    store.keep(computed(range(70)));
    store.keep(computed([...range(20), 7, 7, 7]));
    for (const [ids, reused] of [
      [range(70), 70],
      [range(90), 70],
      [range(40), 39],
      [[...range(50), 999], 50],
      [[...range(20), 7, 7, 9], 22],
    ] as const) {
      const found = open(path).store.find(ids);
      expect([wrongWith(ids, found), found.reused]).toEqual([undefined, reused]);
    }
    expect(open(path).store.find([...range(50), 999]).firstDifference).toEqual({ index: 50, stored: 50, new: 999 });
    expect(notes).toEqual([]);
  });

  it('leave no name and no byte in the clear, and no two prompts with a beginning in common', () => {
    const path = newDir();
    const { store } = open(path);
    store.keep({ ...computed(range(70)), words: 'a secret beginning' });
    store.keep({ ...computed([...range(64), 9]), words: 'a secret beginning' });
    store.used(store.find(range(70)), 70, 5);
    const files = readdirSync(path);
    expect(files).toHaveLength(5);
    expect(files.every((file) => SEALED.test(file) && file.length === files[0]?.length)).toBe(true);
    const guess = partNames(OF, range(70));
    const bytes = files.map((file) => readFileSync(join(path, file)));
    const clear = ['secret', 'kvgen', 'h.0.k', OF.fingerprint, ...guess.map(({ hash }) => hash)];
    for (const word of clear) {
      expect(bytes.some((one) => one.includes(word)) || files.some((file) => file.includes(word)), word).toBe(false);
    }
    const raw = Buffer.from(Int32Array.from(range(32)).buffer);
    expect(bytes.some((one) => one.includes(raw))).toBe(false);
    const beginnings = new Set(files.map((file) => file.slice(0, 14)));
    expect(beginnings.size).toBe(5);
  });

  it('are a miss with another key or none, which removes nothing', () => {
    const path = newDir();
    open(path).store.keep(computed(range(70)));
    const files = readdirSync(path);
    for (const key of [OTHER, null]) {
      const { store, notes } = open(path, key);
      expect(store.find(range(70))).toMatchObject({ reused: 0, missReason: 'nothing is stored yet', last: null });
      expect(notes).toEqual([]);
      expect(listPrompts(at(path, key))).toEqual([]);
      expect(readdirSync(path)).toEqual(files);
    }
  });

  it('stand beside those of another key and of none; each finds its own, sealed or not', () => {
    const path = newDir();
    for (const key of [ONE, OTHER, null]) {
      open(path, key).store.keep(computed(range(70)));
    }
    expect(readdirSync(path)).toHaveLength(9);
    for (const key of [ONE, OTHER, null]) {
      rmSync(at(path, key).pathOf(partNames(OF, range(70))[2]?.file as string));
      expect(open(path, key).store.find(range(70)).reused).toBe(64);
    }
  });

  it('any byte changed, cut or added: a miss with one line, and removed', () => {
    const path = newDir();
    const ids = [3, 1, 4];
    open(path).store.keep(computed(ids));
    const file = join(path, readdirSync(path)[0] as string);
    const bytes = readFileSync(file);
    const at = range(bytes.length).filter((i) => i < 64 || i >= bytes.length - 32 || i % 13 === 0);
    const flipped = (i: number) => Buffer.from(bytes.map((byte, j) => (j === i ? byte ^ 1 : byte)));
    const broken = [
      ...at.map(flipped),
      ...range(60).map((length) => bytes.subarray(0, length)),
      bytes.subarray(0, -1),
      Buffer.concat([bytes, Buffer.of(0)]),
    ];
    for (const [i, one] of broken.entries()) {
      writeFileSync(file, one);
      const { store, notes } = open(path);
      expect(store.find(ids), String(i)).toMatchObject({ reused: 0, logits: null });
      expect([notes.length, existsSync(file)], String(i)).toEqual([1, false]);
      expect(notes[0]?.length).toBeLessThan(path.length + 140);
    }
  });

  it('any two files swapped: never a wrong look-up', () => {
    const path = newDir();
    const prompts = [range(70), [...range(32, 500), ...range(38, 32)], range(64), range(5)];
    for (const ids of prompts) {
      open(path).store.keep(computed(ids));
      open(path, OTHER).store.keep(computed(ids));
    }
    recordUse(at(path, ONE), 'c'.repeat(32), 1);
    const files = readdirSync(path).map((file) => join(path, file));
    const aside = join(newDir(), 'aside');
    const { store } = open(path, ONE, false);
    const swap = (a: string, b: string) => {
      renameSync(a, aside);
      renameSync(b, a);
      renameSync(aside, b);
    };
    for (const [i, a] of files.entries()) {
      for (const b of files.slice(0, i)) {
        swap(a, b);
        for (const ids of prompts) {
          expect(wrongWith(ids, store.find(ids))).toBeUndefined();
        }
        swap(a, b);
      }
    }
    expect(open(path).store.find(range(70)).reused).toBe(70);
  });

  it('written in the plain under a sealed name, or sealed under a plain one: a miss', () => {
    const path = newDir();
    const ids = range(5);
    for (const key of [ONE, null]) {
      open(path, key).store.keep(computed(ids));
    }
    const name = partNames(OF, ids)[0]?.file as string;
    const [sealed, plain] = [at(path, ONE).pathOf(name), join(path, name)];
    const [inside, outside] = [readFileSync(sealed), readFileSync(plain)];
    writeFileSync(sealed, outside);
    writeFileSync(plain, inside);
    expect(open(path, ONE).store.find(ids).reused).toBe(0);
    expect(open(path, null).store.find(ids).reused).toBe(0);
  });

  it('a sealed file of ten gigabytes is not read', () => {
    const path = newDir();
    open(path).store.keep(computed(range(5)));
    const file = join(path, readdirSync(path)[0] as string);
    truncateSync(file, 1e10);
    const before = process.memoryUsage().arrayBuffers;
    expect(listPrompts(at(path, ONE))).toEqual([]);
    expect(open(path).store.find(range(5)).reused).toBe(0);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e6);
  });
});

describe('what is beside them', () => {
  it('uses are counted, a line of another file or key is not', () => {
    const path = newDir();
    const [one, two] = ['1'.repeat(32), '2'.repeat(32)];
    const folder = at(path, ONE);
    recordUse(folder, one, 12.5);
    recordUse(folder, one, 1234567.8);
    recordUse(folder, two, 3);
    const [length] = readFileSync(folder.pathOf(usesFile(one)), 'utf8')
      .split('\n')
      .map((line) => line.length);
    expect(readFileSync(folder.pathOf(usesFile(one)), 'utf8')).toMatch(new RegExp(`^(.{${length}}\\n){2}$`));
    expect(readUses(folder, one)).toEqual({ hits: 2, savedMs: 1234580.3 });
    appendFileSync(folder.pathOf(usesFile(one)), readFileSync(folder.pathOf(usesFile(two))));
    appendFileSync(folder.pathOf(usesFile(one)), '7.0\nnonsense\n');
    expect(readUses(folder, one)).toEqual({ hits: 2, savedMs: 1234580.3 });
    expect(readUses(at(path, OTHER), one)).toEqual({ hits: 0, savedMs: 0 });
  });

  it('counts by day are added up, and say nothing to others', () => {
    const path = newDir();
    const folder = at(path, ONE);
    for (let i = 0; i < 80; i++) {
      const ledger = new Ledger(folder);
      ledger.add({ hits: 1, reasons: { 'nothing is stored yet': 1 } });
      ledger.flush();
    }
    const [today] = readLedgers([folder, at(path, OTHER), at(path, null)]);
    expect(today?.counts).toMatchObject({ hits: 80, reasons: { 'nothing is stored yet': 80 } });
    const file = folder.pathOf(`${today?.day}.counts`);
    const [many] = [statSync(file).size];
    evict(folder, LIMITS, Date.now() + 2 * DAY);
    expect(statSync(file).size).toBeLessThan(many / 10);
    expect(readLedgers([folder])).toEqual([today]);
    expect(readFileSync(file, 'utf8')).toMatch(/^[\w+/]+=*\n$/);
    expect(readLedgers([at(path, OTHER), at(path, null)])).toEqual([]);
  });

  it('answers are found with their key alone, and not under the name that a guess would have', () => {
    const path = newDir();
    const meta = { model: 'm', created: '2026-01-01T00:00:00.000Z', words: 'Once', tokens: 5, ms: 12.5 };
    const stored: StoredAnswer = { question: 'why?', answer: 'so', meta };
    const answers = (key: Buffer | null) =>
      new AnswerStore({ folder: at(path, key, 'answers'), write: true, limits: LIMITS, onNote: () => {} });
    const isText = (found: unknown): found is string => typeof found === 'string';
    answers(ONE).keep(stored);
    expect([ONE, OTHER, null].map((key) => answers(key).find('why?', isText))).toEqual(['so', undefined, undefined]);
    expect(existsSync(join(path, answerName('why?')))).toBe(false);
    expect(listAnswers(at(path, ONE, 'answers'))).toMatchObject([{ words: 'Once', hits: 1 }]);
    expect(at(path, ONE, 'prompts').names()).toEqual([]); // another kind has other keys
  });
});

describe('making room', () => {
  function filled() {
    const path = newDir();
    open(path).store.keep(computed(range(100)));
    open(path, null).store.keep(computed(range(100)));
    recordUse(at(path, ONE), partNames(OF, range(100))[3]?.hash as string, 1);
    return path;
  }

  it('counts sealed and plain files, whoever has the key', () => {
    const path = filled();
    const size = readdirSync(path).reduce((sum, file) => sum + statSync(join(path, file)).size, 0);
    expect([ONE, OTHER, null].map((key) => bytesIn(at(path, key)))).toEqual([size, size, size]);
  });

  it.each([
    ['with the key', ONE],
    ['with another', OTHER],
    ['without one', null],
  ])('%s: bound, age and clear take sealed files too, and no prompt has a gap', (_, key) => {
    const path = filled();
    const bound = Math.floor(bytesIn(at(path, null)) / 2);
    evict(at(path, key), { maxBytes: bound, maxAgeMs: 1e12 });
    expect(bytesIn(at(path, null))).toBeLessThanOrEqual(bound);
    for (const mine of [ONE, null]) {
      const left = at(path, mine)
        .names()
        .flatMap((name) => parseName(name)?.index ?? []);
      expect(left.sort()).toEqual(range(left.length));
      expect(open(path, mine).store.find(range(100)).reused).toBe(Math.min(32 * left.length, 100));
    }
    evict(at(path, key), { maxBytes: 1e9, maxAgeMs: DAY }, Date.now() + 2 * DAY);
    expect(readdirSync(path)).toEqual([]);
    const again = filled();
    clear(at(again, key));
    expect(readdirSync(again)).toEqual([]);
  });

  it.each([
    ['another key', OTHER],
    ['no key', null],
  ])('with %s takes the end of a sealed prompt first, by times alone', (_, key) => {
    const path = newDir();
    const [long, other] = [range(200), [...range(64), ...range(100, 900)]];
    for (const ids of [long, other, long]) {
      const { store } = open(path);
      store.keep(computed(ids));
      expect(store.find(ids).reused).toBe(ids.length);
    }
    for (let bound = bytesIn(at(path, null)); bound > 0; bound -= 1000) {
      evict(at(path, key), { maxBytes: bound, maxAgeMs: 1e12 });
      const left = at(path, ONE)
        .names()
        .flatMap((name) => parseName(name) ?? []);
      const hashes = new Set(left.map(({ hash }) => hash));
      expect(left.filter(({ index, parent }) => index > 0 && !hashes.has(parent))).toEqual([]);
    }
  });

  it('removes one prompt with its uses', () => {
    const path = filled();
    const folder = at(path, ONE);
    removeEntry(folder, listPrompts(folder)[0] as never);
    expect(folder.names()).toEqual([]);
    expect(readdirSync(path)).toHaveLength(4); // the plain ones
  });
});
