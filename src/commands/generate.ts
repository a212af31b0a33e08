// `kvgen [generate]`: a prompt in, text out.

import { randomInt } from 'node:crypto';
import { type Backend, loadBackend } from '../backend/backend.js';
import type { Invocation } from '../commands.js';
import { complete } from '../complete.js';
import type { Gpt2Config } from '../config.js';
import { EXIT, KvgenError, UsageError } from '../errors.js';
import { newStats } from '../generate.js';
import { type FoundModel, findModel, weightBytes } from '../model/find.js';
import { loadConfig } from '../model/load.js';
import { checkIds, type Model, openModel } from '../model/model.js';
import { checkGenerateArgs, type GenerateArgs } from '../options.js';
import { encodePrompt, fitPrompt, readPrompt } from '../prompt.js';
import { SavedPrompts } from '../prompt-cache.js';
import { makeSampler } from '../sampling/sampler.js';
import { Detokenizer } from '../text/detokenizer.js';
import { hasTokenizer, loadTokenizer, type Tokenizer } from '../text/tokenizer.js';
import { CacheVerifier, type VerifyReport } from '../verify.js';
import { type Answer, askQuestion, firstWords, keepAnswer, type Machine, machineFor, replay } from './answers.js';
import { emit } from './emit.js';
import { missLine, verifyLine } from './report-cache.js';
import type { GenerateRun } from './run.js';
import { checkCacheEnvironment, checkUnchanged, openSaved, type Saved } from './saved.js';

const MAX_RANDOM_SEED = 2 ** 32;

export async function generateCommand(invocation: Invocation): Promise<number> {
  const { words, literal, options, terminal, signal, usage } = invocation;
  const args = options as GenerateArgs;
  const [argument] = words;
  checkGenerateArgs(args, argument);
  checkCacheEnvironment(args);
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
  const saved = await openSaved(args, found, terminal);
  const asked = { args, found, text, saved, terminal, signal };
  const prompt = args.answerCache ? await preparePrompt(asked, await loadConfig(found.dir)) : null;
  const question = prompt === null ? null : ask(asked, prompt);
  const answer = question === null ? undefined : (saved?.answers?.find(question) as Answer | undefined);
  if (prompt !== null && answer !== undefined && !args.verifyCache) {
    await writeAnswer(asked, prompt, answer);
    return EXIT.ok;
  }
  return loadAndRun({ ...asked, prompt, question });
}

/** What a run was asked for. */
interface Asked extends Pick<Invocation, 'terminal' | 'signal'> {
  readonly args: GenerateArgs;
  readonly found: FoundModel;
  /** undefined: --prompt-ids */
  readonly text: string | undefined;
  /** null: neither cache was asked for. */
  readonly saved: Saved | null;
}

/** A prompt that fits the model. */
interface Prompt {
  readonly ids: readonly number[];
  /** All of it, also what did not fit. */
  readonly text: string;
  readonly nCtx: number;
  readonly tokenizer: Tokenizer | null;
}

interface Opened extends Asked {
  readonly prompt: Prompt;
  /** What the answer is kept under; null: nothing is. */
  readonly question: string | null;
  readonly backend: Backend;
  readonly model: Model;
}

async function loadAndRun(
  asked: Asked & { readonly prompt: Prompt | null; readonly question: string | null },
): Promise<number> {
  const { args, found, saved, terminal, signal } = asked;
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
    asked.prompt?.tokenizer ?? openTokenizer(found.dir, args),
    openModel(found.dir, backend, {
      signal,
      engine: args.cache ? args.engine : 'eager',
      onNote: (line) => (args.verbose ? terminal.note(line) : undefined),
      onProgress: (done, total) => terminal.progress(`loading ${found.name} ${done}/${total}`),
    }),
  ]);
  try {
    await checkUnchanged(saved, found);
    const prompt = asked.prompt ?? fitted(asked, model.engine.config, tokenizer);
    return await runModel({ ...asked, prompt, backend, model });
  } finally {
    model.dispose();
  }
}

async function preparePrompt(asked: Asked, config: Gpt2Config): Promise<Prompt> {
  return fitted(asked, config, await openTokenizer(asked.found.dir, asked.args));
}

/** The prompt's ids, checked against the model. @throws KvgenError when they do not fit */
function fitted({ args, found, text, terminal }: Asked, config: Gpt2Config, tokenizer: Tokenizer | null): Prompt {
  const ids = args.promptIds ?? encodePrompt(text ?? '', tokenizer as Tokenizer, found.dir);
  const nCtx = contextSize(args, config);
  const { ids: kept, dropped } = fitPrompt(ids, nCtx, maxTokens(args), args.truncatePrompt);
  if (dropped > 0) {
    terminal.note(
      `the prompt is too long: dropped ${dropped} tokens of its ${args.truncatePrompt}, kept ${kept.length}`,
    );
  }
  checkIds(kept, { config });
  checkBias(args, config);
  return { ids: kept, text: text ?? decode(tokenizer, ids), nCtx, tokenizer };
}

/** The question to the answer cache; says in one line where there can be none. */
function ask({ args, saved, terminal }: Asked, { ids }: Prompt): string | null {
  const asked = askQuestion(args, machineFor(args), saved?.fingerprint ?? '', ids);
  if ('reason' in asked) {
    terminal.note(`--answer-cache does not apply: ${asked.reason}`);
    return null;
  }
  return asked.question;
}

async function runModel(opened: Opened): Promise<number> {
  const { args, saved, question, model, prompt, backend, terminal } = opened;
  const run = newRun(opened, prompt, backend, args.seed ?? randomInt(MAX_RANDOM_SEED), false);
  const verifier = args.verifyCache ? new CacheVerifier(model.engine, prompt.ids) : null;
  const store = saved?.prompts(model.engine.config.nHead) ?? null;
  const prompts = store === null ? null : new SavedPrompts(store, model.engine.config.nHead, firstWords(prompt.text));
  await emit(opened, run, tokensOf(opened, run, prompts, verifier), async () => {
    run.engine = model.engine.name;
    run.promptCache = prompts?.report ?? null;
    run.verify = run.finishReason === 'abort' ? null : await verify(verifier, opened);
  });
  if (question !== null && saved?.answers) {
    keepAnswer(saved.answers, question, run);
  }
  const missed = missLine(run);
  if (missed !== undefined) {
    terminal.statistics(missed);
  }
  if (run.verify !== null) {
    run.verify.ok ? terminal.note(verifyLine(run.verify)) : terminal.error(verifyLine(run.verify));
  }
  return run.verify?.ok === false ? EXIT.failure : EXIT.ok;
}

function newRun(
  { args, found }: Asked,
  prompt: Prompt,
  backend: Machine,
  seed: number,
  answerCached: boolean,
): GenerateRun {
  return {
    model: found.name,
    backend,
    engine: 'eager',
    prompt: prompt.text,
    promptIds: prompt.ids,
    seed,
    cache: args.cache,
    stats: newStats(),
    tokens: [],
    finishReason: 'abort',
    answerCached,
    promptCache: null,
    verify: null,
    tokenText: (id) => decode(prompt.tokenizer, [id]),
  };
}

function tokensOf(
  { args, prompt, model, terminal, signal }: Opened,
  run: GenerateRun,
  promptCache: SavedPrompts | null,
  verifier: CacheVerifier | null,
) {
  const sample = sampler(args, run.seed, prompt.tokenizer, model);
  return complete(
    verifier?.engine ?? model.engine,
    verifier?.record(sample) ?? sample,
    prompt.tokenizer,
    run.promptIds,
    args.stop,
    {
      maxTokens: maxTokens(args),
      nCtx: prompt.nCtx,
      stopIds: args.ignoreEos ? [] : model.engine.config.eosTokenIds,
      cache: args.cache,
      onFull: args.onFull,
      signal: AbortSignal.any([signal, terminal.closed]),
      promptCache: promptCache ?? undefined,
      onPrefill: (done, total) => terminal.progress(`prefill ${done}/${total}`),
    },
    run.stats,
  );
}

/** A saved answer, written as if it had just been computed. */
async function writeAnswer(asked: Asked, prompt: Prompt, answer: Answer): Promise<void> {
  const run = newRun(asked, prompt, machineFor(asked.args), asked.args.seed ?? answer.seed, true);
  run.engine = answer.engine;
  run.stats.loadMs = performance.now();
  run.stats.generationTokens = answer.tokens.length;
  run.stats.cachePositions = answer.positions;
  run.stats.cacheBytes = answer.bytes;
  await emit(asked, run, replay(answer), async () => {});
}

async function verify(verifier: CacheVerifier | null, { terminal, signal }: Opened): Promise<VerifyReport | null> {
  const onStep = (done: number, total: number) => terminal.progress(`uncached ${done}/${total}`);
  const report = (await verifier?.compare(onStep, signal)) ?? null;
  terminal.progressDone();
  return report;
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

function contextSize({ ctxSize }: GenerateArgs, { nPositions }: Gpt2Config): number {
  if (ctxSize !== undefined && ctxSize > nPositions) {
    throw new KvgenError(`--ctx-size ${ctxSize}: the model has ${nPositions} positions; give ${nPositions} or less`);
  }
  return ctxSize ?? nPositions;
}

function maxTokens(args: GenerateArgs): number {
  return args.maxTokens === -1 ? Number.POSITIVE_INFINITY : args.maxTokens;
}

function checkBias({ logitBias }: GenerateArgs, { vocabSize }: Gpt2Config): void {
  const bad = [...logitBias.keys()].find((id) => id >= vocabSize);
  if (bad !== undefined) {
    throw new KvgenError(`--logit-bias ${bad}: the model's token ids end at ${vocabSize - 1}`);
  }
}

function decode(tokenizer: Tokenizer | null, ids: readonly number[]): string {
  if (tokenizer === null) {
    return '';
  }
  const detokenizer = new Detokenizer(tokenizer);
  return ids.map((id) => detokenizer.add(id)).join('') + detokenizer.finish();
}
