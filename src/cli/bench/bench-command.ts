// `kvgen bench`: how fast a model runs here, with and without the cache. Loads or makes the model, captures before
// the clock starts, and prints what was measured.

import { EXIT, UsageError } from '../../errors.js';
import { type Model, makeModel, openModel } from '../../library/model.js';
import type { Gpt2Config } from '../../model/gpt2-config.js';
import { makeSampler } from '../../sampling/sampler.js';
import { GENERATE, settingsOf } from '../../settings.js';
import { Detokenizer } from '../../text/detokenizer.js';
import { hasTokenizer, loadTokenizer } from '../../text/tokenizer.js';
import { type Backend, loadBackend } from '../../tf/backend.js';
import { findModel, weightBytes } from '../../weights/find.js';
import { loadConfig } from '../../weights/folder.js';
import { randomBytes, randomConfig, randomWeights } from '../../weights/random-model.js';
import { BENCH, type BenchArgs } from '../command-settings.js';
import type { Invocation } from '../shell/command.js';
import { formatResults, jsonLine, type Subject } from './format.js';
import { type MeasureOptions, measure, type Result } from './measure.js';
import { benchPoints, type Point } from './points.js';
import type { ProfileWork } from './profile.js';
import { versions } from './versions.js';

/** A model that is not loaded yet. */
interface Source {
  readonly name: string;
  readonly bytes: number;
  readonly config: Gpt2Config;
  /** undefined: random weights. */
  readonly dir?: string;
}

/** All that a run needs. */
interface Bench extends Invocation {
  readonly args: BenchArgs;
  readonly source: Source;
  readonly points: readonly Point[];
  readonly backend: Backend;
}

export async function benchCommand(invocation: Invocation): Promise<number> {
  const args = invocation.settings(BENCH);
  if (args.quiet && args.verbose) {
    throw new UsageError('--quiet cannot go with --verbose');
  }
  await invocation.terminal.configure(args);
  const source = await findSource(args.model);
  const points = benchPoints(args, source.config.nPositions); // before the weights: it may be refused
  invocation.terminal.progress('loading TensorFlow');
  const backend = await loadBackend({
    choice: args.backend,
    threads: args.threads,
    modelBytes: source.bytes,
    graph: args.engine !== 'eager',
  });
  if (backend.note !== undefined) {
    invocation.terminal.note(backend.note);
  }
  const bench = { ...invocation, args, source, points, backend };
  const model = await open(bench);
  try {
    await run(bench, model);
  } finally {
    model.dispose();
  }
  return EXIT.ok;
}

async function findSource(model: string): Promise<Source> {
  const config = randomConfig(model);
  if (config !== undefined) {
    return { name: model, bytes: randomBytes(config), config };
  }
  const { name, dir } = findModel(model);
  return { name, bytes: weightBytes(dir), config: await loadConfig(dir), dir };
}

async function open({ args, source, backend, terminal, signal }: Bench): Promise<Model> {
  const options = {
    signal,
    engine: args.engine === 'auto' && backend.name === 'node' ? 'graph' : args.engine,
    onNote: (line: string) => terminal.note(line),
    onProgress: (done: number, total: number) => terminal.progress(`loading ${source.name} ${done}/${total}`),
  } as const;
  const { name, dir, config } = source;
  return dir === undefined
    ? makeModel(config, randomWeights(name, config, args.seed), backend, options)
    : openModel(dir, backend, options);
}

async function run(bench: Bench, model: Model): Promise<void> {
  const { args, terminal, signal, points } = bench;
  capture(bench, model);
  const about = subject(bench, model);
  const options: MeasureOptions = {
    ...args,
    profile: args.profile ? await profileWork(bench) : undefined,
    signal,
    onProgress: (line) => terminal.progress(line),
  };
  const results: Result[] = [];
  for await (const result of measure(model.engine, points, options)) {
    results.push(result);
    if (args.format === 'jsonl') {
      terminal.progressDone();
      await terminal.print(jsonLine(about, result));
    }
  }
  terminal.progressDone();
  if (args.format !== 'jsonl') {
    await terminal.print(formatResults(args.format, about, results));
  }
}

/** Before anything is timed. */
function capture({ terminal }: Bench, { engine }: Model): void {
  terminal.progress('capturing the graph');
  const start = performance.now();
  engine.prepare?.('decode', engine.config.nPositions);
  if (engine.name === 'graph') {
    terminal.statistics(`graph captured and checked in ${(performance.now() - start).toFixed(0)} ms`);
  }
}

function subject({ source, backend }: Bench, { engine, parameters }: Model): Subject {
  return {
    model: source.name,
    parameters,
    backend: backend.name,
    engine: engine.name,
    threads: backend.threads,
    versions: versions(),
  };
}

/** What generation does after the model, with its defaults. */
async function profileWork({ args, source }: Bench): Promise<ProfileWork> {
  const { dir } = source;
  const sampler = makeSampler(settingsOf(GENERATE, {}), args.seed, []);
  const tokenizer = dir !== undefined && hasTokenizer(dir) ? await loadTokenizer(dir) : null;
  const detokenizer = tokenizer === null ? null : new Detokenizer(tokenizer);
  return {
    sample: (logits) => sampler(logits, []),
    text: detokenizer === null ? null : (id) => detokenizer.add(id),
  };
}
