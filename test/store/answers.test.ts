// Saved answers: found for exactly their question, damaged ones never.

import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { crcDigits } from '../../src/files/crc32.js';
import { readLimits } from '../../src/settings.js';
import { AnswerStore, type StoredAnswer } from '../../src/store/answers.js';
import { listAnswers } from '../../src/store/list.js';
import { StoreFolder } from '../../src/store/store-folder.js';
import { tempDirs } from '../support/temp-dir.js';

const newDir = tempDirs();
const meta = { model: 'm', created: '2026-01-01T00:00:00.000Z', words: 'Once', tokens: 5, ms: 12.5 };
const stored = (question: string): StoredAnswer => ({
  question,
  answer: { text: `to ${question}`, ids: [1, 2] },
  meta,
});

const isAny = (found: unknown): found is unknown => found !== undefined;

function open(path: string, write = true) {
  const folder = new StoreFolder(path);
  const notes: string[] = [];
  const onNote = (line: string) => notes.push(line);
  return { store: new AnswerStore({ folder, write, limits: readLimits({}), onNote }), notes };
}

describe('answers', () => {
  it('are found for their question alone, and the use is counted', () => {
    const folder = newDir();
    const { store } = open(folder);
    store.keep(stored('why?'));
    expect(store.find('why?', isAny)).toEqual({ text: 'to why?', ids: [1, 2] });
    expect(store.find('why ?', isAny)).toBeUndefined();
    expect(statSync(join(folder, readdirSync(folder)[0] as string)).mode & 0o777).toBe(0o600);
    expect(listAnswers(new StoreFolder(folder))).toMatchObject([
      { kind: 'answer', words: 'Once', tokens: 5, hits: 1, savedMs: 12.5 },
    ]);
  });

  it('each byte flipped and each truncation: none, one line, and removed', () => {
    const folder = newDir();
    open(folder).store.keep(stored('q'));
    const path = join(folder, readdirSync(folder)[0] as string);
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
      for (const broken of [flipped, bytes.subarray(0, at)]) {
        writeFileSync(path, broken);
        const { store, notes } = open(folder);
        expect(store.find('q', isAny), `byte ${at}`).toBeUndefined();
        expect([notes.length, existsSync(path)]).toEqual([1, false]);
      }
    }
  });

  it('of another question under the same name: none', () => {
    const folder = newDir();
    const { store } = open(folder);
    store.keep(stored('one'));
    const [one] = readdirSync(folder) as [string];
    store.keep(stored('two'));
    const two = readdirSync(folder).find((file) => file !== one) as string;
    writeFileSync(join(folder, one), readFileSync(join(folder, two)));
    expect(store.find('one', isAny)).toBeUndefined();
  });

  it.each([
    ['no object', () => null],
    ['without what is told of it', ({ question, answer }: StoredAnswer) => ({ question, answer })],
    ['with words that are no text', (one: StoredAnswer) => ({ ...one, meta: { ...meta, words: 5 } })],
    ['without an answer', ({ question, meta }: StoredAnswer) => ({ question, meta })],
  ])('whole, but %s: none, one line, removed, and not listed', (_, change) => {
    const folder = newDir();
    open(folder).store.keep(stored('q'));
    const path = join(folder, readdirSync(folder)[0] as string);
    const json = Buffer.from(JSON.stringify(change(stored('q'))));
    writeFileSync(path, Buffer.concat([Buffer.from(crcDigits(json)), json]));
    const listed = listAnswers(new StoreFolder(folder));
    expect(listed.length).toBe(_ === 'without an answer' ? 1 : 0);
    const { store, notes } = open(folder);
    expect(store.find('q', isAny)).toBeUndefined();
    expect([notes.length, existsSync(path)]).toEqual([1, false]);
  });

  it('under the name of another: not listed', () => {
    const folder = newDir();
    open(folder).store.keep(stored('q'));
    const [file] = readdirSync(folder) as [string];
    renameSync(join(folder, file), join(folder, `${'0'.repeat(32)}.json`));
    expect(listAnswers(new StoreFolder(folder))).toEqual([]);
  });

  it('write: false writes and removes nothing', () => {
    const folder = newDir();
    open(folder).store.keep(stored('q'));
    const [file] = readdirSync(folder) as [string];
    const { store } = open(folder, false);
    expect(store.find('q', isAny)).toBeDefined();
    store.keep(stored('new'));
    writeFileSync(join(folder, file), 'x');
    expect(store.find('q', isAny)).toBeUndefined();
    expect(readdirSync(folder)).toEqual([file]);
  });
});
