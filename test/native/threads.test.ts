// The threads that are reported are those that TensorFlow has: what the environment said when its library loaded.

import { availableParallelism } from 'node:os';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { ThreadChoice } from '../../src/native/status.js';

const LARGE = { modelBytes: 500e6, graph: true };
const SMALL = { modelBytes: 7e6, graph: true };
const CORES = availableParallelism();
const NAMES = ['TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS', 'OMP_NUM_THREADS'];
let native: typeof import('../../src/native/status.js');

beforeEach(async () => {
  for (const name of NAMES) {
    vi.stubEnv(name, undefined);
  }
  vi.resetModules(); // a process that has loaded nothing yet
  native = await import('../../src/native/status.js');
  return () => vi.unstubAllEnvs();
});

describe('before TensorFlow loads', () => {
  it.each<[string, ThreadChoice, Record<string, string>, number]>([
    ['all cores for a large model', LARGE, {}, CORES],
    ['one for a small model', SMALL, {}, 1],
    ['what was asked for', { ...LARGE, threads: 3 }, {}, 3],
    ['what was asked for, op by op', { ...LARGE, threads: 3, graph: false }, {}, 3],
    ['a graph on a pool of one', { ...LARGE, threads: 3 }, { TF_NUM_INTEROP_THREADS: '1' }, 1],
    ['a graph on a pool of five', LARGE, { TF_NUM_INTEROP_THREADS: '5' }, 5],
    ['ops on a pool of four', SMALL, { TF_NUM_INTRAOP_THREADS: '4' }, 4],
    ['0 is all cores', SMALL, { TF_NUM_INTEROP_THREADS: '0' }, CORES],
    ['no number is all cores', SMALL, { TF_NUM_INTEROP_THREADS: 'many' }, CORES],
  ])('%s', (_, choice, env, expected) => {
    for (const [name, value] of Object.entries(env)) {
      vi.stubEnv(name, value);
    }
    expect(native.tensorflowThreads(choice)).toBe(expected);
    expect(native.settleThreads(choice)).toBe(expected);
  });
});

describe('once it is loaded', () => {
  it('a model of another size, or another wish, changes nothing', () => {
    expect(native.settleThreads({ ...LARGE, threads: 2 })).toBe(2);
    expect(native.tensorflowThreads(SMALL)).toBe(2);
    expect(native.settleThreads({ ...SMALL, threads: 7 })).toBe(2);
    expect(process.env.TF_NUM_INTEROP_THREADS).toBe('2');
  });

  it('what the user had set is left as it was', () => {
    vi.stubEnv('TF_NUM_INTEROP_THREADS', '1');
    vi.stubEnv('OMP_NUM_THREADS', '6');
    native.settleThreads({ ...LARGE, threads: 2, graph: false });
    expect(NAMES.map((name) => process.env[name])).toEqual(['2', '1', '6']);
  });
});
