// The saved prompts of one folder: which engines share their keys and values, and which must not.

import { beforeAll, describe, expect, it } from 'vitest';
import { openSaved, type Saved } from '../../../src/cli/generate/saved.js';
import type { Terminal } from '../../../src/cli/shell/terminal.js';
import type { KvRows } from '../../../src/engine/kv-rows.js';
import { CONFIG } from '../../../src/files/file-kinds.js';
import { ModelFolder } from '../../../src/files/model-folder.js';
import type { Prefilled } from '../../../src/generation/sequence.js';
import type { Machine } from '../../../src/library/machine.js';
import type { Model } from '../../../src/library/model.js';
import { writeModel } from '../../support/model-folder.js';
import { tempDirs } from '../../support/temp-dir.js';

const newDir = tempDirs();
const IDS = [1, 2, 3];
let saved: Saved;

const on = (backend: Machine['backend'], weights: Machine['weights'] = 'float32') => ({ backend, weights });
const MACHINES = {
  node: on('node'),
  cpu: on('cpu'),
  'simd float32': on('simd'),
  'simd int8': on('simd', 'int8'),
};
type Name = keyof typeof MACHINES;

beforeAll(async () => {
  const dir = writeModel(newDir());
  const store = { cache: true, promptCache: true, answerCache: false, cacheDir: newDir(), writeCache: true };
  const terminal = { note: () => {}, progress: () => {} } as unknown as Terminal;
  const { signal } = new AbortController();
  saved = await openSaved({ ...store, verbose: false }, { name: 'toy', dir, source: 'path' }, { terminal, signal });
  const folder = new ModelFolder(dir);
  await folder.readText('config.json', CONFIG);
  await saved.identify(folder);
});

/** Keys and values of the ids, all of one number. */
function rows(value: number, length = IDS.length): KvRows {
  const all = () => new Float32Array(length).fill(value);
  return { length, nKvHead: 1, headDim: 1, layers: [{ k: all(), v: all() }] };
}

function promptsOf(name: Name) {
  const found: number[] = [];
  const engine = { newCache: (kept: KvRows) => void found.push(kept.layers[0]?.k[0] as number) };
  const config = { nLayer: 1, nKvHead: 1, headDim: 1, vocabSize: 1 };
  const prompts = saved.prompts({ engine, config, ...MACHINES[name] } as unknown as Model, 'words');
  return { prompts, found };
}

function keep(name: Name, value: number): void {
  const cache = { export: (from: number, to: number) => rows(value, to - from) };
  const prefilled = { promptIds: IDS, cache, logits: new Float32Array([value]), reused: 0, computeMs: 1 };
  promptsOf(name).prompts?.keep(prefilled as unknown as Prefilled);
}

/** The number that was kept; undefined: nothing is found. */
function restore(name: Name): number | undefined {
  const { prompts, found } = promptsOf(name);
  prompts?.restore(IDS);
  return found[0];
}

describe('keys and values', () => {
  it.each<[kept: Name, value: number, others: Partial<Record<Name, number>>]>([
    ['node', 7, { node: 7, cpu: 7 }],
    ['simd int8', 8, { node: 7, cpu: 7, 'simd int8': 8 }],
    ['simd float32', 9, { node: 7, cpu: 7, 'simd int8': 8, 'simd float32': 9 }],
  ])('of %s are found by those that round alike, and by no other', (name, value, expected) => {
    keep(name, value);
    const names = Object.keys(MACHINES) as Name[];
    expect(Object.fromEntries(names.map((other) => [other, restore(other)]))).toEqual({
      ...Object.fromEntries(names.map((other) => [other, undefined])),
      ...expected,
    });
  });
});
