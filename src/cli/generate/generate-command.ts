// `kvgen [generate]`: a prompt in, text out.

import { complete } from '../../completion/complete.js';
import { EXIT } from '../../errors.js';
import type { SavedPrompts } from '../../generation/saved-prompts.js';
import { CacheVerifier, type VerifyReport } from '../../generation/verify.js';
import type { Model } from '../../library/model.js';
import type { Gpt2Config } from '../../model/gpt2-config.js';
import { randomSeed } from '../../sampling/random.js';
import { GENERATE, type GenerateArgs, wantedLogprobs } from '../../settings.js';
import { idsWithoutToken } from '../../text/prompt-ids.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Backend } from '../../tf/backend.js';
import { type FoundModel, findModel } from '../../weights/find.js';
import { loadConfig } from '../../weights/folder.js';
import type { Invocation } from '../shell/command.js';
import { checkHasPrompt, promptText } from '../shell/prompt-text.js';
import { type Answer, askQuestion, keepAnswer, machineFor, replay } from './answer-cache.js';
import { checkGenerateArgs } from './conflicts.js';
import { emit } from './emit.js';
import { openEverything } from './open.js';
import { openTokenizer, type Prompt, preparePrompt } from './prepare.js';
import { PromptSamples, type SampleContext } from './prompt-samples.js';
import { missLine, verifyLine } from './report-cache.js';
import { type GenerateRun, newRun } from './run-record.js';
import { emitSamples, replaySamples, type Sample, sampleRows } from './samples.js';
import { checkCacheEnvironment, openSaved, type Saved } from './saved.js';

export async function generateCommand(invocation: Invocation): Promise<number> {
  const { words, terminal, signal } = invocation;
  const args = invocation.settings(GENERATE);
  checkGenerateArgs(args, words[0]);
  checkCacheEnvironment(args);
  await terminal.configure(args);
  checkHasPrompt(invocation, args);
  const found = findModel(args.model);
  const text = await promptText(invocation, args);
  const saved = await openSaved(args, found, terminal);
  const asked = { args, found, text, saved, terminal, signal };
  const prompt = args.answerCache
    ? fitted(asked, await loadConfig(found.dir), await openTokenizer(found.dir, args))
    : null;
  const question = prompt === null ? null : ask(asked, prompt);
  const answers = question === null ? undefined : (saved?.answers?.find(question) as Answer[] | undefined);
  if (prompt !== null && answers !== undefined && !args.verifyCache) {
    await writeAnswers(asked, prompt, answers);
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
  const { args, found } = asked;
  const known = asked.prompt?.tokenizer;
  const opened = await openEverything(asked, async () => known ?? openTokenizer(found.dir, args));
  const { backend, model, tokenizer } = opened;
  try {
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
function ask({ args, found, saved, terminal }: Asked, { ids }: Prompt): string | null {
  const asked = askQuestion(args, machineFor(args, found.dir), saved?.fingerprint ?? '', ids);
  if ('reason' in asked) {
    terminal.note(`--answer-cache does not apply: ${asked.reason}`);
    return null;
  }
  return asked.question;
}

async function runModel(opened: Opened): Promise<number> {
  const { args, model, prompt, backend } = opened;
  const start = { args, model: opened.found.name, backend, prompt, answerCached: false };
  const seeded = { ...start, seed: args.seed ?? randomSeed() };
  const withoutToken = idsWithoutToken(prompt.tokenizer, model.engine.config.vocabSize);
  const samples = new PromptSamples(seeded, {
    args,
    prompt,
    engine: model.engine,
    withoutToken,
    prompts: savedPrompts(opened),
    options: sampleOptions(opened),
  });
  const code = (args.samples ?? 1) > 1 ? await runSamples(opened, samples) : await runOne(opened, samples);
  keep(opened, samples.runs);
  return code;
}

async function runOne(opened: Opened, samples: PromptSamples): Promise<number> {
  const { args, model, prompt } = opened;
  const [{ run, sampler, options, stops }] = [...samples.requests()] as [Sample];
  const verifier = args.verifyCache ? new CacheVerifier(model.engine, prompt.ids) : null;
  const engine = verifier?.engine ?? model.engine;
  const sample = verifier?.record(sampler) ?? sampler;
  const tokens = complete(engine, sample, prompt.tokenizer, run.promptIds, stops, options, run.stats);
  await emit(opened, run, tokens, async () => {
    samples.finish(run);
    run.verify = run.finishReason === 'abort' ? null : await verify(verifier, opened);
  });
  sayWhatWasReused(opened, run);
  return run.verify?.ok === false ? EXIT.failure : EXIT.ok;
}

async function runSamples(opened: Opened, samples: PromptSamples): Promise<number> {
  const { prompt, model } = opened;
  const rows = sampleRows(model.engine, prompt.tokenizer, samples.requests());
  await emitSamples(opened, samples.runs, rows, (run) => samples.finish(run));
  sayWhatWasReused(opened, samples.runs[0] as GenerateRun);
  return EXIT.ok;
}

function keep({ question, saved }: Opened, runs: readonly GenerateRun[]): void {
  if (question !== null && saved?.answers) {
    keepAnswer(saved.answers, question, runs as [GenerateRun, ...GenerateRun[]]);
  }
}

function sayWhatWasReused({ terminal }: Opened, run: GenerateRun): void {
  const missed = missLine(run);
  if (missed !== undefined) {
    terminal.statistics(missed);
  }
  if (run.verify !== null) {
    run.verify.ok ? terminal.note(verifyLine(run.verify)) : terminal.error(verifyLine(run.verify));
  }
}

/** null: not asked for, or of no use. */
function savedPrompts({ args, saved, model, terminal, prompt }: Opened): SavedPrompts | null {
  const prompts = saved?.prompts(model.engine.config.nHead, prompt.text) ?? null;
  if (prompts !== null && args.echo && args.logprobs !== undefined) {
    terminal.note("--prompt-cache does not apply: the prompt's log-probabilities need all of it");
    return null;
  }
  return prompts;
}

function sampleOptions({ args, terminal, signal }: Opened): SampleContext['options'] {
  return {
    logprobs: wantedLogprobs(args),
    signal: AbortSignal.any([signal, terminal.closed]),
    onPrefill: (done, total) => terminal.progress(`prefill ${done}/${total}`),
  };
}

/** Saved answers, written as if they had just been computed. */
async function writeAnswers(asked: Asked, prompt: Prompt, answers: readonly Answer[]): Promise<void> {
  const { args, found } = asked;
  const start = {
    args,
    model: found.name,
    backend: machineFor(args, found.dir),
    prompt,
    answerCached: true,
  };
  const runs = answers.map((answer, i) => {
    const seed = args.seed === undefined ? answer.seed : args.seed + i;
    return remember(newRun({ ...start, seed, sample: args.samples === undefined ? null : i }), answer);
  });
  const [answer] = answers as [Answer];
  await (answers.length > 1
    ? emitSamples(asked, runs, replaySamples(runs, answers), () => {})
    : emit(asked, runs[0] as GenerateRun, replay(answer), async () => {}));
}

function remember(run: GenerateRun, answer: Answer): GenerateRun {
  run.engine = answer.engine;
  run.promptLogprobs?.push(...(answer.promptLogprobs ?? []));
  run.stats.loadMs = performance.now();
  run.stats.generationTokens = answer.tokens.length;
  run.stats.cachePositions = answer.positions;
  run.stats.cacheBytes = answer.bytes;
  return run;
}

async function verify(verifier: CacheVerifier | null, { terminal, signal }: Opened): Promise<VerifyReport | null> {
  const onStep = (done: number, total: number) => terminal.progress(`uncached ${done}/${total}`);
  const report = (await verifier?.compare(onStep, signal)) ?? null;
  terminal.progressDone();
  return report;
}
