// `kvgen doctor`: shows what runs on this machine and tests it with ten tokens. A check that fails says what to do.

import type { Engine } from '../engine/engine.js';
import { EXIT, errorMessage } from '../errors.js';
import { generate } from '../generation/generate.js';
import { type Machine, machineFor, machineWords } from '../library/machine.js';
import { folderSource, type ModelSource, openModel } from '../library/model.js';
import { describeEngine, status } from '../native/status.js';
import { checkLogits } from '../sampling/finite.js';
import { argmax } from '../sampling/scan.js';
import { keySource } from '../settings.js';
import { findModel, listModels } from '../weights/find.js';
import { cacheKey } from './shell/cache-key.js';
import type { Invocation } from './shell/command.js';
import { DOCTOR, type DoctorArgs } from './shell/command-settings.js';

const TEST_PROMPT = [1, 2, 3];
const TEST_TOKENS = 10;

/** One line of the report: a name, and what was found. */
interface Check {
  readonly name: string;
  run(): Promise<string>;
}

export async function doctorCommand({ settings, terminal, signal }: Invocation): Promise<number> {
  const args = settings(DOCTOR);
  await terminal.configure({ color: args.color, quiet: false, verbose: false });
  if (args.bits) {
    const { printBits } = await import('./doctor-bits.js');
    await printBits(terminal, args);
    return EXIT.ok;
  }
  let failed = false;
  for (const { name, run } of checks(args, signal)) {
    try {
      const found = await run();
      await terminal.write(`${terminal.chalk.green('ok')}    `);
      await terminal.print(`${name}: ${found}`);
    } catch (error) {
      failed = true;
      await terminal.write(`${terminal.chalk.red('FAIL')}  `);
      await terminal.print(`${name}: ${errorMessage(error)}`);
    }
  }
  return failed ? EXIT.failure : EXIT.ok;
}

function checks(args: DoctorArgs, signal: AbortSignal): Check[] {
  let machine: Machine | undefined;
  let tensorflow: string | undefined;
  return [
    { name: 'node', run: async () => `${process.version} on ${process.platform} ${process.arch}` },
    { name: 'engine', run: async () => describeEngine(status()) },
    {
      name: 'backend',
      run: async () => {
        const source = await folderSource(findModel(args.model));
        machine = await machineFor(source, args);
        tensorflow = await loadTensorflow(machine, source, args);
        return machineWords(machine);
      },
    },
    { name: 'tensorflow', run: async () => tensorflow ?? 'not used by this backend' },
    {
      name: 'models',
      run: async () => {
        const { models, problems } = listModels();
        const found = models.map(({ name, dir }) => `${name} (${dir})`);
        return [...found, ...problems.map((problem) => `passed over: ${problem}`)].join(', ');
      },
    },
    { name: 'cache key', run: () => keyWords(signal) },
    { name: 'self-test', run: () => selfTest(args, machine) },
  ];
}

async function keyWords(signal: AbortSignal): Promise<string> {
  const source = keySource(process.env);
  await cacheKey(process.env, signal);
  return source === undefined ? 'none: saved prompts and answers are not sealed' : `from ${source.name}`;
}

/** The version of TensorFlow's native library; undefined on a backend that has none. */
async function loadTensorflow(
  { backend }: Machine,
  { bytes }: ModelSource,
  { threads }: DoctorArgs,
): Promise<string | undefined> {
  if (backend !== 'node') {
    return undefined;
  }
  const { loadBackend, tensorflowVersion } = await import('../tf/backend.js');
  await loadBackend(backend, { threads, modelBytes: bytes, graph: true });
  return tensorflowVersion();
}

/** Cached and uncached greedy decoding must give the same ten ids. */
async function selfTest(args: DoctorArgs, machine: Machine | undefined): Promise<string> {
  const engine = machine?.backend === 'node' ? 'graph' : 'auto';
  const model = await openModel(await folderSource(findModel(args.model)), { ...args, engine });
  try {
    const cached = await greedy(model.engine, true);
    const uncached = await greedy(model.engine, false);
    if (cached.ids.join() !== uncached.ids.join()) {
      throw new Error(
        `cached gives ${cached.ids}, uncached ${uncached.ids}; run \`kvgen setup\`, else please report it`,
      );
    }
    return `${model.name}: ${TEST_TOKENS} tokens, cached equals uncached, first token after ${cached.firstTokenMs?.toFixed(0)} ms`;
  } finally {
    model.dispose();
  }
}

async function greedy(engine: Engine, cache: boolean) {
  const sampler = (logits: Float32Array) => {
    checkLogits(logits);
    return argmax(logits);
  };
  const { nPositions: nCtx } = engine.config;
  const options = { maxTokens: TEST_TOKENS, nCtx, stopIds: [], cache, onFull: 'stop' as const };
  const ids: number[] = [];
  let firstTokenMs: number | null = null;
  for await (const { id, stats } of generate(engine, sampler, TEST_PROMPT, options)) {
    ids.push(id);
    ({ firstTokenMs } = stats);
  }
  return { ids, firstTokenMs };
}
