// `kvgen bench`: measures how fast a model runs on this machine, with and without the cache, on one backend or on several
// in turns. Opens the model, brings its engine to its steady state before the clock starts, and prints what was measured.

import type { BackendChoice } from '../../backends.js';
import { EXIT } from '../../errors.js';
import { lastOf } from '../../generation/prefill.js';
import {
  folderSource,
  type Model,
  type ModelSource,
  type OpenOptions,
  openModel,
  randomSource,
} from '../../library/model.js';
import { kvgenVersion } from '../../native/status.js';
import { makeSampler } from '../../sampling/sampler.js';
import { GENERATE, settingsOf, throwFirst } from '../../settings.js';
import { Detokenizer } from '../../text/detokenizer.js';
import { findModel } from '../../weights/find.js';
import type { Invocation } from '../shell/command.js';
import { BENCH, type BenchArgs } from '../shell/command-settings.js';
import { withColors } from './chart.js';
import { combinations, machineName } from './combinations.js';
import { type BenchMachine, type BenchRun, formatResults, jsonLine, type Subject } from './format.js';
import { measure, type Result } from './measure.js';
import { benchPoints, type Point } from './points.js';
import type { ProfileWork } from './profile.js';
import { settle } from './settle.js';

interface Bench extends Invocation {
  readonly args: BenchArgs;
  readonly points: readonly Point[];
}

export async function benchCommand(invocation: Invocation): Promise<number> {
  const { terminal, signal } = invocation;
  const args = invocation.settings(BENCH);
  throwFirst([[args.quiet && args.verbose, '--quiet cannot go with --verbose']]);
  await terminal.configure(args);
  const source = randomSource(args.model, args.seed) ?? (await folderSource(findModel(args.model), signal));
  const points = benchPoints(args, source.shape.config.nPositions); // before the weights are loaded: it may refuse
  const choices = await combinations(args, source, (line) => terminal.note(line));
  const models = await openAll(source, choices, {
    signal,
    onProgress: (line) => terminal.progress(line),
    onNote: (line) => terminal.note(line), // shows in any case why an engine stays eager
  });
  try {
    await run({ ...invocation, args, points }, models);
  } finally {
    disposeAll(models);
  }
  return EXIT.ok;
}

/** Opens the model once on each machine. */
async function openAll(source: ModelSource, choices: readonly BackendChoice[], opening: OpenOptions): Promise<Model[]> {
  const models: Model[] = [];
  try {
    for (const choice of choices) {
      models.push(await openModel(source, { ...opening, ...choice }));
    }
  } catch (error) {
    disposeAll(models);
    throw error;
  }
  return models;
}

function disposeAll(models: readonly Model[]): void {
  for (const model of models) {
    model.dispose();
  }
}

async function run(bench: Bench, models: readonly Model[]): Promise<void> {
  const { args, terminal, signal, points } = bench;
  for (const model of models) {
    capture(bench, model);
    await settle(model.engine, signal);
  }
  const about = await subject(models);
  const results = models.map((): Result[] => []);
  const options = { ...args, signal, onProgress: (line: string) => terminal.progress(line) };
  const engines = models.map((model) => ({
    engine: model.engine,
    label: models.length > 1 ? machineName(model) : undefined,
    profile: args.profile ? profileWork(bench, model) : undefined,
  }));
  for await (const { place, result } of measure(engines, points, options)) {
    results[place]?.push(result);
    if (args.format === 'jsonl') {
      terminal.progressDone();
      await terminal.print(jsonLine(about, machineOf(models[place] as Model), result));
    }
  }
  terminal.progressDone();
  if (args.format !== 'jsonl') {
    const runs = models.map((model, i): BenchRun => ({ ...machineOf(model), results: results[i] ?? [] }));
    const isTable = args.format === 'table';
    await terminal.print(formatResults(args.format, about, runs), (lines) =>
      isTable ? withColors(lines, terminal.chalk) : lines,
    );
  }
}

/** Makes the engine capture its graph, which it does at the first decode step of a sequence expected to be long. */
function capture({ terminal }: Bench, { engine }: Model): void {
  terminal.progress('capturing the graph');
  const start = performance.now();
  const cache = engine.newCache();
  cache.expected = Number.POSITIVE_INFINITY;
  for (const id of [0, 0]) {
    engine.forward(lastOf([id]), cache);
  }
  cache.dispose();
  if (engine.name === 'graph') {
    terminal.statistics(`graph captured and checked in ${(performance.now() - start).toFixed(0)} ms`);
  }
}

function machineOf({ backend, engine, threads, weights }: Model): BenchMachine {
  return { backend, engine: engine.name, threads, weights };
}

async function subject(models: readonly Model[]): Promise<Subject> {
  const [{ name, parameters }] = models as [Model];
  const usesTensorflow = models.some(({ backend }) => backend !== 'simd');
  const tensorflow = usesTensorflow ? await tensorflowVersions() : {};
  const versions = { kvgen: kvgenVersion(), node: process.versions.node, ...tensorflow };
  return { model: name, parameters, versions };
}

async function tensorflowVersions(): Promise<Record<string, string>> {
  const { tensorflowVersion, tfjsVersion } = await import('../../tf/backend.js');
  const tensorflow = tensorflowVersion();
  return { tfjs: tfjsVersion(), ...(tensorflow === undefined ? {} : { tensorflow }) };
}

/** What generation does after the forward pass, with default settings. */
function profileWork({ args }: Bench, { tokenizer }: Model): ProfileWork {
  const sampler = makeSampler(settingsOf(GENERATE, {}), args.seed, []);
  const detokenizer = tokenizer === null ? null : new Detokenizer(tokenizer);
  return {
    sample: (logits) => sampler(logits, []),
    text: detokenizer === null ? null : (id) => detokenizer.add(id),
  };
}
