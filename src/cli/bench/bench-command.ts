// `kvgen bench`: measures how fast a model runs on this machine, with and without the cache. Opens the model, captures
// the graph before the clock starts, and prints what was measured.

import type { BackendName } from '../../backends.js';
import { EXIT } from '../../errors.js';
import { lastOf } from '../../generation/prefill.js';
import { folderSource, type Model, openModel, randomSource } from '../../library/model.js';
import { kvgenVersion } from '../../native/status.js';
import { makeSampler } from '../../sampling/sampler.js';
import { GENERATE, settingsOf, throwFirst } from '../../settings.js';
import { Detokenizer } from '../../text/detokenizer.js';
import { findModel } from '../../weights/find.js';
import { onOpening } from '../generate/opening.js';
import type { Invocation } from '../shell/command.js';
import { BENCH, type BenchArgs } from '../shell/command-settings.js';
import { formatResults, jsonLine, type Subject } from './format.js';
import { type MeasureOptions, measure, type Result } from './measure.js';
import { benchPoints, type Point } from './points.js';
import type { ProfileWork } from './profile.js';

interface BenchRun extends Invocation {
  readonly args: BenchArgs;
  readonly points: readonly Point[];
}

export async function benchCommand(invocation: Invocation): Promise<number> {
  const { terminal, signal } = invocation;
  const args = invocation.settings(BENCH);
  throwFirst([[args.quiet && args.verbose, '--quiet cannot go with --verbose']]);
  await terminal.configure(args);
  const source = randomSource(args.model, args.seed) ?? (await folderSource(findModel(args.model)));
  const points = benchPoints(args, source.shape.config.nPositions); // before the weights are loaded: it may refuse
  const everyNote = { ...args, cache: true, verbose: true }; // shows in any case why an engine stays eager
  const opening = onOpening(everyNote, terminal, signal);
  const model = await openModel(source, opening);
  try {
    await run({ ...invocation, args, points }, model);
  } finally {
    model.dispose();
  }
  return EXIT.ok;
}

async function run(bench: BenchRun, model: Model): Promise<void> {
  const { args, terminal, signal, points } = bench;
  capture(bench, model);
  const about = await subject(model);
  const options: MeasureOptions = {
    ...args,
    profile: args.profile ? profileWork(bench, model) : undefined,
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

/** Makes the engine capture its graph, which it does at the first decode step of a sequence expected to be long. */
function capture({ terminal }: BenchRun, { engine }: Model): void {
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

async function subject({ name, parameters, backend, engine, threads, weights }: Model): Promise<Subject> {
  const versions = { kvgen: kvgenVersion(), node: process.versions.node, ...(await tensorflowVersions(backend)) };
  return { model: name, parameters, backend, engine: engine.name, threads, weights, versions };
}

async function tensorflowVersions(backend: BackendName): Promise<object> {
  if (backend === 'simd') {
    return {};
  }
  const { tensorflowVersion, tfjsVersion } = await import('../../tf/backend.js');
  const tensorflow = tensorflowVersion();
  return { tfjs: tfjsVersion(), ...(tensorflow === undefined ? {} : { tensorflow }) };
}

/** What generation does after the forward pass, with default settings. */
function profileWork({ args }: BenchRun, { tokenizer }: Model): ProfileWork {
  const sampler = makeSampler(settingsOf(GENERATE, {}), args.seed, []);
  const detokenizer = tokenizer === null ? null : new Detokenizer(tokenizer);
  return {
    sample: (logits) => sampler(logits, []),
    text: detokenizer === null ? null : (id) => detokenizer.add(id),
  };
}
