// `kvgen [generate]`: a prompt in, text out.

import { randomInt } from 'node:crypto';
import { type Backend, loadBackend } from '../backend/backend.js';
import type { Invocation } from '../commands.js';
import { complete } from '../complete.js';
import type { Gpt2Config } from '../config.js';
import { EXIT, UsageError } from '../errors.js';
import { newStats } from '../generate.js';
import { type FoundModel, findModel, weightBytes } from '../model/find.js';
import { loadConfig } from '../model/load.js';
import { type Model, openModel } from '../model/model.js';
import { checkGenerateArgs, type GenerateArgs, wantedLogprobs } from '../options.js';
import { readPrompt } from '../prompt.js';
import { SavedPrompts } from '../prompt-cache.js';
import { rowLogprobs } from '../sampling/logprobs.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { CacheVerifier, type VerifyReport } from '../verify.js';
import { type Answer, askQuestion, firstWords, keepAnswer, type Machine, machineFor, replay } from './answers.js';
import { emit } from './emit.js';
import { decode, loopOptions, openTokenizer, type Prompt, preparePrompt, prepareSampler } from './prepare.js';
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
  const prompt = args.answerCache
    ? fitted(asked, await loadConfig(found.dir), await openTokenizer(found.dir, args))
    : null;
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

/** The prompt's ids and what they fit into. @throws KvgenError when they do not fit */
function fitted({ args, found, text, terminal }: Asked, config: Gpt2Config, tokenizer: Tokenizer | null): Prompt {
  return preparePrompt(args, text, { dir: found.dir, config, tokenizer, onNote: (line) => terminal.note(line) });
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
  const prompts = savedPrompts(opened, run);
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

/** null: not asked for, or of no use. */
function savedPrompts({ saved, model, terminal, prompt }: Opened, run: GenerateRun): SavedPrompts | null {
  const { nHead } = model.engine.config;
  const store = saved?.prompts(nHead) ?? null;
  if (store !== null && run.promptLogprobs !== null) {
    terminal.note("--prompt-cache does not apply: the prompt's log-probabilities need all of it");
    return null;
  }
  return store === null ? null : new SavedPrompts(store, nHead, firstWords(prompt.text));
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
    sample: null,
    logprobs: args.logprobs ?? null,
    promptLogprobs: args.echo && args.logprobs !== undefined ? [] : null,
    tokenizer: prompt.tokenizer,
    tokenText: (id) => decode(prompt.tokenizer, [id]),
  };
}

function tokensOf(
  { args, prompt, model, terminal, signal }: Opened,
  run: GenerateRun,
  promptCache: SavedPrompts | null,
  verifier: CacheVerifier | null,
) {
  const { config } = model.engine;
  const sample = prepareSampler(args, run.seed, prompt.tokenizer, config);
  return complete(
    verifier?.engine ?? model.engine,
    verifier?.record(sample) ?? sample,
    prompt.tokenizer,
    run.promptIds,
    args.stop,
    {
      ...loopOptions(args, prompt, config),
      logprobs: wantedLogprobs(args),
      onPromptLogits: notePrompt(run),
      signal: AbortSignal.any([signal, terminal.closed]),
      promptCache: promptCache ?? undefined,
      onPrefill: (done, total) => terminal.progress(`prefill ${done}/${total}`),
    },
    run.stats,
  );
}

/** Keeps what the model thought of each id of the prompt, where it was asked for. */
function notePrompt({
  promptLogprobs,
  promptIds,
  logprobs,
}: GenerateRun): ((logits: Float32Array) => void) | undefined {
  if (promptLogprobs === null) {
    return undefined;
  }
  return (logits) => {
    const next = promptIds[promptLogprobs.length + 1];
    if (next !== undefined) {
      promptLogprobs.push(rowLogprobs(logits, next, logprobs ?? 0));
    }
  };
}

/** A saved answer, written as if it had just been computed. */
async function writeAnswer(asked: Asked, prompt: Prompt, answer: Answer): Promise<void> {
  const run = newRun(asked, prompt, machineFor(asked.args), asked.args.seed ?? answer.seed, true);
  run.engine = answer.engine;
  run.stats.loadMs = performance.now();
  run.promptLogprobs?.push(...(answer.promptLogprobs ?? []));
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
