// The threads of the WebAssembly engine: the same bits as one, one error when one of them fails, an end when they are
// not needed any more, and no time of a processor while there is nothing to do.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { KvgenError, UsageError } from '../../src/errors.js';
import { ModelFolder } from '../../src/files/model-folder.js';
import type { ModelConfig } from '../../src/model/config.js';
import type { Gpt2Config } from '../../src/model/gpt2-config.js';
import type { WeightKind } from '../../src/simd/matrix.js';
import { openSimd } from '../../src/simd/open.js';
import { loadShape, parseConfig, readTensors } from '../../src/weights/folder.js';
import type { NamedTensor } from '../../src/weights/weight-file.js';
import { expectFailure } from '../support/errors.js';
import { randomize, TINY, writeModel } from '../support/model-folder.js';
import { tempDirs } from '../support/temp-dir.js';

const DIST = new URL('../../dist', import.meta.url).href;
const FAILING = fileURLToPath(new URL('failing-team.mjs', import.meta.url));
const CORES = availableParallelism();
const several = describe.skipIf(CORES < 2);
/** Three heads, so that two threads have unequal shares; no width is a multiple of four. */
const ODD = { ...TINY, n_embd: 18, n_head: 3, n_positions: 160, vocab_size: 37 };

const tempDir = tempDirs();
let dir: string;
/** All that were started since the test began. */
let workers: Worker[] = [];
const remember = (worker: Worker) => workers.push(worker);

beforeAll(() => {
  process.on('worker', remember);
  dir = writeModel(tempDir(), { config: ODD, tensors: randomize(ODD) });
});
afterAll(() => {
  process.off('worker', remember);
});
beforeEach(() => {
  workers = [];
});

interface Opening {
  threads?: number;
  weights?: WeightKind;
  change?: (config: Gpt2Config) => Gpt2Config;
}

async function open({ threads = 2, weights = 'float32', change = (config) => config }: Opening = {}): Promise<Engine> {
  const shape = await loadShape(new ModelFolder(dir));
  return openSimd(change(shape.config as Gpt2Config), readTensors(new ModelFolder(dir), shape), { threads, weights });
}

/** Resolves when no worker is left; one that has ended before has no thread id any more. */
async function ended(): Promise<void> {
  await new Promise(setImmediate); // a process hears of a worker a tick after it was made
  await Promise.all(workers.map((worker) => (worker.threadId === -1 ? undefined : once(worker, 'exit'))));
}

/** The logits behind each id of two sequences. */
function logitsOf(engine: Engine): number[][] {
  const ids = [7, 11].map((factor) => Array.from({ length: 40 }, (_, i) => (i * factor + 3) % 37));
  const cache = engine.newCache();
  const wanted = Array.from({ length: 80 }, (_, i) => i);
  const found = engine.forward({ ids, wanted }, cache).map((logits) => [...logits]);
  found.push(...engine.forward({ ids: [[1], [2]], wanted: [1, 0] }, cache).map((logits) => [...logits]));
  cache.dispose();
  return found;
}

/** Runs Node in a process of its own, which must end by itself. */
async function runNode(args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, args, { timeout: 30_000, killSignal: 'SIGKILL' });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}

/** Runs a program after a first pass on two threads; nobody disposes the engine. */
function runProgram(program: string) {
  const head = `
    import { setTimeout as sleep } from 'node:timers/promises';
    const { openSimd } = await import('${DIST}/simd/open.js');
    const { loadShape, readTensors } = await import('${DIST}/weights/folder.js');
    const { ModelFolder } = await import('${DIST}/files/model-folder.js');
    const folder = new ModelFolder('${dir}');
    const shape = await loadShape(folder);
    const engine = await openSimd(shape.config, readTensors(folder, shape), { threads: 2, weights: 'float32' });
    const pass = () => engine.forward({ ids: [[1, 2, 3]], wanted: [2] }, null);
    pass();`;
  return runNode(['--input-type=module', '-e', head + program]);
}

several('a team that is not there any more', () => {
  it('after dispose refuses a pass, instead of waiting for its threads', async () => {
    const engine = await open();
    engine.dispose();
    expectThrow(() => logitsOf(engine), 'the simd engine has been disposed: open the model again');
    await ended();
  });

  it('after a thread was ended from outside fails at the next pass, in one line', async () => {
    const engine = await open();
    logitsOf(engine);
    await Promise.all(workers.map((worker) => worker.terminate()));
    expectThrow(
      () => logitsOf(engine),
      'the simd engine failed: another thread has failed; try --threads 1, or another --backend',
    );
    engine.dispose();
  });
});

function expectThrow(work: () => void, message: string): void {
  expect(work).toThrow(KvgenError);
  expect(work).toThrow(message);
}

several('two threads', () => {
  it.each(['float32', 'int8'] as const)('have the bits of one, in %s', async (weights) => {
    const engines = await Promise.all([1, 2].map((threads) => open({ threads, weights })));
    expect(workers.length).toBe(1);
    const [one, two] = engines.map(logitsOf);
    expect(one?.flat().every(Number.isFinite)).toBe(true);
    expect(two).toEqual(one);
    for (const engine of engines) {
      engine.dispose();
    }
    await ended();
  });

  it('more than there are heads have them too', async () => {
    const change = (config: Gpt2Config): Gpt2Config => ({ ...config, nHead: 1, nKvHead: 1, headDim: 18 });
    const engines = await Promise.all([1, 2].map((threads) => open({ threads, change })));
    const [one, two] = engines.map(logitsOf);
    expect(two).toEqual(one);
    for (const engine of engines) {
      engine.dispose();
    }
  });
});

several('a thread that fails', () => {
  const fail = async (name: string) => {
    const { code, stdout, stderr } = await runNode([FAILING, name, dir]);
    expect([code, stderr]).toEqual([0, '']);
    return JSON.parse(stdout) as { messages: string[]; workers: number };
  };
  const message = (reason: string) =>
    `KvgenError: the simd engine failed: ${reason}; try --threads 1, or another --backend`;

  it('as all others do ends the pass with one error, and every later pass too', async () => {
    const { messages, workers } = await fail('all');
    expect(messages[0]).toBe(message('unreachable'));
    for (const later of messages.slice(1)) {
      expect(later).toMatch(/^KvgenError: the simd engine failed: .*; try --threads 1, or another --backend$/);
    }
    expect([messages.length, workers]).toEqual([3, 1]);
  });

  it('being the only one does so too', async () => {
    expect(await fail('alone')).toEqual({ messages: new Array(3).fill(message('unreachable')), workers: 0 });
  });

  it('while the main thread waits for it says why, and ends', async () => {
    const reason = message('memory access out of bounds');
    expect(await fail('worker')).toEqual({ messages: ['nothing failed', reason, reason], workers: 1 });
  });

  it('being the main one lets the others go, which end', async () => {
    const { messages, workers } = await fail('main');
    expect(messages.slice(0, 2)).toEqual(['nothing failed', message('memory access out of bounds')]);
    expect(messages[2]).toMatch(/^KvgenError: the simd engine failed: /);
    expect(workers).toBe(1);
  });
});

several('threads end', () => {
  it('with the engine, which may be disposed twice', async () => {
    const engine = await open();
    logitsOf(engine);
    expect(workers.map(({ threadId }) => threadId > 0)).toEqual([true]);
    engine.dispose();
    engine.dispose();
    await ended();
    expect(workers.map(({ threadId }) => threadId)).toEqual([-1]);
  });

  it('before the first pass', async () => {
    (await open()).dispose();
    await ended();
    expect(workers.length).toBe(1);
  });

  it('when the weights cannot be read', async () => {
    const config = (await loadShape(new ModelFolder(dir))).config;
    async function* broken(): AsyncGenerator<NamedTensor, void> {
      yield* [];
      throw new Error('the disk is gone');
    }
    await expect(openSimd(config, broken(), { threads: 2, weights: 'int8' })).rejects.toThrow('the disk is gone');
    await ended();
    expect(workers.length).toBe(1);
  });
});

several('a process', () => {
  it('ends by itself although nobody disposed the engine', async () => {
    expect(await runProgram("process.stdout.write('done');")).toEqual({ code: 0, stdout: 'done', stderr: '' });
  });

  it('uses no time of a processor while there is nothing to do', async () => {
    const program = `
      await sleep(200);
      const before = process.cpuUsage();
      await sleep(800);
      const { user, system } = process.cpuUsage(before);
      pass(); // they wake again
      process.stdout.write(String((user + system) / 1e6));`;
    const { code, stdout, stderr } = await runProgram(program);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^\d/);
    expect(Number(stdout)).toBeLessThan(0.2); // a thread that spins would take 0.8
  });
});

describe('what cannot be', () => {
  const none: NamedTensor[] = [];

  it('more threads than cores', async () => {
    const { config } = parseConfig(TINY, 'tiny');
    const error = await expectFailure(() => openSimd(config, none, { threads: CORES + 1, weights: 'float32' }));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toBe(
      `--threads must be from 1 to ${CORES}, the cores of this machine, on the simd backend, got ${CORES + 1}`,
    );
    expect(workers).toEqual([]);
  });

  it('a model_type without a forward pass', async () => {
    const config: ModelConfig = { ...parseConfig(TINY, 'tiny').config, modelType: 'other' };
    await expectFailure(() => openSimd(config, none, { weights: 'float32' }), 'model_type other');
  });

  /** Sizes of GPT-2 XL, which has 1,557,611,200 parameters, with so many layers. */
  const xl = (layers: number) =>
    parseConfig({ model_type: 'gpt2', n_embd: 1600, n_head: 25, n_layer: layers }, 'xl').config;

  it.each<[layers: number, weights: WeightKind, gigabytes: number, remedy: string]>([
    [48, 'float32', 6.2, '--weights int8 would fit'],
    [480, 'float32', 59.4, 'a smaller model would fit'],
    [480, 'int8', 14.8, 'a smaller model would fit'],
    [1_000_000_000, 'float32', 122_963_200, 'a smaller model would fit'], // more than any list of layers holds
  ])('%i layers in %s, %d GB: %s', async (layers, weights, gigabytes, remedy) => {
    const error = await expectFailure(() => openSimd(xl(layers), none, { threads: 1, weights }), remedy);
    const [, found] = /^in (?:float32|int8) the model needs (\d+\.\d) GB of memory, and WebAssembly has 4\.3 GB: /.exec(
      error.message,
    ) as RegExpExecArray;
    expect(error.message).toContain(`in ${weights} `);
    expect(Number(found)).toBeGreaterThanOrEqual(gigabytes); // the weights
    expect(Number(found)).toBeLessThan(gigabytes * 1.03 + 0.1); // and the buffers of a pass
    expect(workers).toEqual([]);
  });
});
