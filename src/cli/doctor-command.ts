// `kvgen doctor`: shows what runs on this machine and tests it with ten tokens. A check that fails says what to do.

import type { Engine } from '../engine/engine.js';
import { EXIT, errorMessage } from '../errors.js';
import { generate } from '../generation/generate.js';
import { folderSource, openModel } from '../library/model.js';
import { describeEngine, status } from '../native/status.js';
import { argmax } from '../sampling/scan.js';
import { loadBackend, tensorflowVersion } from '../tf/backend.js';
import { findModel, listModels, weightBytes } from '../weights/find.js';
import type { Invocation } from './shell/command.js';
import { DOCTOR } from './shell/command-settings.js';
import { printable } from './shell/terminal.js';

const TEST_PROMPT = [1, 2, 3];
const TEST_TOKENS = 10;

/** One line of the report: a name, and what was found. */
interface Check {
  readonly name: string;
  run(): Promise<string>;
}

export async function doctorCommand({ settings, terminal }: Invocation): Promise<number> {
  const { model, color } = settings(DOCTOR);
  await terminal.configure({ color, quiet: false, verbose: false });
  let failed = false;
  for (const { name, run } of checks(model)) {
    try {
      await terminal.print(`${terminal.chalk.green('ok')}    ${name}: ${printable(await run())}`);
    } catch (error) {
      failed = true;
      await terminal.print(`${terminal.chalk.red('FAIL')}  ${name}: ${printable(errorMessage(error))}`);
    }
  }
  return failed ? EXIT.failure : EXIT.ok;
}

function checks(model: string): Check[] {
  let engine: 'eager' | 'graph' = 'eager';
  return [
    { name: 'node', run: async () => `${process.version} on ${process.platform} ${process.arch}` },
    { name: 'engine', run: async () => describeEngine(status()) },
    {
      name: 'backend',
      run: async () => {
        const modelBytes = weightBytes(findModel(model).dir);
        const backend = await loadBackend({ choice: 'auto', modelBytes, graph: true });
        engine = backend.name === 'node' ? 'graph' : 'eager';
        return `${backend.name}, ${backend.threads} thread${backend.threads === 1 ? '' : 's'}${backend.note === undefined ? '' : ` (${backend.note})`}`;
      },
    },
    { name: 'tensorflow', run: async () => tensorflowVersion() ?? 'not used by this backend' },
    {
      name: 'models',
      run: async () =>
        listModels()
          .map(({ name, dir }) => `${name} (${dir})`)
          .join(', '),
    },
    { name: 'self-test', run: () => selfTest(model, engine) },
  ];
}

/** Cached and uncached greedy decoding must give the same ten ids. */
async function selfTest(name: string, engine: 'eager' | 'graph'): Promise<string> {
  const model = await openModel(await folderSource(findModel(name)), { engine });
  try {
    const cached = await greedy(model.engine, true);
    const uncached = await greedy(model.engine, false);
    if (cached.ids.join() !== uncached.ids.join()) {
      throw new Error(
        `cached gives ${cached.ids}, uncached ${uncached.ids}; run \`kvgen setup\`, else please report it`,
      );
    }
    return `${name}: ${TEST_TOKENS} tokens, cached equals uncached, first token after ${cached.firstTokenMs?.toFixed(0)} ms`;
  } finally {
    model.dispose();
  }
}

async function greedy(engine: Engine, cache: boolean) {
  const { nPositions: nCtx } = engine.config;
  const options = { maxTokens: TEST_TOKENS, nCtx, stopIds: [], cache, onFull: 'stop' as const };
  const ids: number[] = [];
  let firstTokenMs: number | null = null;
  for await (const { id, stats } of generate(engine, argmax, TEST_PROMPT, options)) {
    ids.push(id);
    ({ firstTokenMs } = stats);
  }
  return { ids, firstTokenMs };
}
