// `kvgen [generate]`: a prompt in, text out.

import { randomInt } from 'node:crypto';
import { type Backend, loadBackend } from '../backend/backend.js';
import type { Invocation } from '../commands.js';
import { type CompletionToken, complete } from '../complete.js';
import { EXIT, KvgenError, UsageError } from '../errors.js';
import { type FinishReason, type GenerateStats, newStats } from '../generate.js';
import { type FoundModel, findModel, weightBytes } from '../model/find.js';
import { checkIds, type Model, openModel } from '../model/model.js';
import { checkGenerateArgs, type GenerateArgs } from '../options.js';
import { encodePrompt, fitPrompt, readPrompt } from '../prompt.js';
import { makeSampler } from '../sampling/sampler.js';
import { Detokenizer } from '../text/detokenizer.js';
import { hasTokenizer, loadTokenizer, type Tokenizer } from '../text/tokenizer.js';
import { reportJson, statisticsLine } from './report.js';

const MAX_RANDOM_SEED = 2 ** 32;

/** All that a run was made of, for the statistics and the JSON form. */
export interface GenerateRun {
  readonly model: string;
  readonly backend: Backend;
  /** Known at the end: a graph engine is eager until it has captured. */
  engine: string;
  readonly prompt: string;
  readonly promptIds: readonly number[];
  readonly seed: number;
  readonly cache: boolean;
  readonly stats: GenerateStats;
  readonly tokens: CompletionToken[];
  finishReason: FinishReason;
}

export async function generateCommand(invocation: Invocation): Promise<number> {
  const { words, literal, options, terminal, signal, usage } = invocation;
  const args = options as GenerateArgs;
  const [argument] = words;
  checkGenerateArgs(args, argument);
  await terminal.configure(args);
  const fromStdin = argument === undefined && args.file === undefined && args.promptIds === undefined;
  if (fromStdin && terminal.stdinIsTerminal) {
    terminal.log(usage());
    throw new UsageError('no prompt');
  }
  const found = findModel(args.model);
  const text =
    args.promptIds === undefined
      ? await readPrompt({ argument, literal, file: args.file, readStdin: () => terminal.readStdin(signal) })
      : undefined;
  terminal.progress('loading TensorFlow');
  const backend = await loadBackend({
    choice: args.backend,
    threads: args.threads,
    modelBytes: weightBytes(found.dir),
    graph: args.cache && args.engine !== 'eager',
  });
  if (backend.note !== undefined) {
    terminal.note(backend.note);
  }
  const [tokenizer, model] = await Promise.all([
    openTokenizer(found.dir, args),
    openModel(found.dir, backend, {
      signal,
      engine: args.cache ? args.engine : 'eager',
      onNote: (line) => (args.verbose ? terminal.note(line) : undefined),
      onProgress: (done, total) => terminal.progress(`loading ${found.name} ${done}/${total}`),
    }),
  ]);
  try {
    return await runModel({ args, found, backend, tokenizer, model, text, terminal, signal });
  } finally {
    model.dispose();
  }
}

interface Opened extends Pick<Invocation, 'terminal' | 'signal'> {
  readonly args: GenerateArgs;
  readonly found: FoundModel;
  readonly backend: Backend;
  readonly tokenizer: Tokenizer | null;
  readonly model: Model;
  /** undefined: --prompt-ids */
  readonly text: string | undefined;
}

async function runModel(opened: Opened): Promise<number> {
  const { args, found, backend, tokenizer, model, text, terminal } = opened;
  const ids = args.promptIds ?? encodePrompt(text ?? '', tokenizer as Tokenizer, found.dir);
  const nCtx = contextSize(args, model);
  const fitted = fitPrompt(ids, nCtx, maxTokens(args), args.truncatePrompt);
  if (fitted.dropped > 0) {
    terminal.note(
      `the prompt is too long: dropped ${fitted.dropped} tokens of its ${args.truncatePrompt}, kept ${fitted.ids.length}`,
    );
  }
  checkIds(fitted.ids, model.engine);
  checkBias(args, model);
  const run: GenerateRun = {
    model: found.name,
    backend,
    engine: model.engine.name,
    prompt: text ?? decode(tokenizer, ids),
    promptIds: fitted.ids,
    seed: args.seed ?? randomInt(MAX_RANDOM_SEED),
    cache: args.cache,
    stats: newStats(),
    tokens: [],
    finishReason: 'abort',
  };
  await write(opened, run, nCtx);
  return EXIT.ok;
}

/** Runs the generation and writes it in the form that was asked for. */
async function write(
  { args, tokenizer, model, terminal, signal }: Opened,
  run: GenerateRun,
  nCtx: number,
): Promise<void> {
  const streaming = args.stream && !args.json;
  const stop = AbortSignal.any([signal, terminal.closed]);
  const tokens = complete(
    model.engine,
    sampler(args, run.seed, tokenizer, model),
    tokenizer,
    run.promptIds,
    args.stop,
    {
      maxTokens: maxTokens(args),
      nCtx,
      stopIds: args.ignoreEos ? [] : model.engine.config.eosTokenIds,
      cache: args.cache,
      onFull: args.onFull,
      signal: stop,
      onPrefill: (done, total) => terminal.progress(`prefill ${done}/${total}`),
    },
    run.stats,
  );
  if (args.echo && !args.json) {
    terminal.progressDone();
    await terminal.write(run.prompt);
  }
  for (let next = await tokens.next(); ; next = await tokens.next()) {
    terminal.progressDone();
    if (next.done === true) {
      run.finishReason = next.value;
      run.engine = model.engine.name;
      break;
    }
    run.tokens.push(next.value);
    await (streaming ? terminal.write(next.value.text) : undefined);
  }
  const begun = run.finishReason !== 'abort' || run.tokens.length > 0 || args.echo;
  if (args.json || begun) {
    await terminal.write(`${args.json ? reportJson(run) : streaming ? '' : joined(run)}\n`);
  }
  terminal.statistics(statisticsLine(run));
}

function sampler(args: GenerateArgs, seed: number, tokenizer: Tokenizer | null, model: Model) {
  const ids = Array.from({ length: model.engine.config.vocabSize }, (_, id) => id);
  return makeSampler(args, seed, tokenizer === null ? [] : ids.filter((id) => !tokenizer.has(id)));
}

/** null: a folder without one, which --prompt-ids can do without. */
async function openTokenizer(dir: string, args: GenerateArgs): Promise<Tokenizer | null> {
  if (args.promptIds === undefined || hasTokenizer(dir)) {
    return loadTokenizer(dir);
  }
  if (args.stop.length > 0) {
    throw new KvgenError(`${dir}: --stop needs a tokenizer: expected tokenizer.json, or vocab.json and merges.txt`);
  }
  return null;
}

function contextSize({ ctxSize }: GenerateArgs, { engine }: Model): number {
  const { nPositions } = engine.config;
  if (ctxSize !== undefined && ctxSize > nPositions) {
    throw new KvgenError(`--ctx-size ${ctxSize}: the model has ${nPositions} positions; give ${nPositions} or less`);
  }
  return ctxSize ?? nPositions;
}

function maxTokens(args: GenerateArgs): number {
  return args.maxTokens === -1 ? Number.POSITIVE_INFINITY : args.maxTokens;
}

function checkBias({ logitBias }: GenerateArgs, { engine }: Model): void {
  const bad = [...logitBias.keys()].find((id) => id >= engine.config.vocabSize);
  if (bad !== undefined) {
    throw new KvgenError(`--logit-bias ${bad}: the model's token ids end at ${engine.config.vocabSize - 1}`);
  }
}

function decode(tokenizer: Tokenizer | null, ids: readonly number[]): string {
  if (tokenizer === null) {
    return '';
  }
  const detokenizer = new Detokenizer(tokenizer);
  return ids.map((id) => detokenizer.add(id)).join('') + detokenizer.finish();
}

function joined(run: GenerateRun): string {
  return run.tokens.map(({ text }) => text).join('');
}
