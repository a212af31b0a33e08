// `kvgen [generate]`: continues a prompt. Looks for a saved answer first where --answer-cache asks for it; else opens
// the model, generates, and writes the text as it comes.

import { chatTemplateOf } from '../../chat/open-template.js';
import { TemplatedPrompts } from '../../chat/templated-prompts.js';
import { type Completion, complete, RememberedReturn } from '../../completion/complete.js';
import { completeMany } from '../../completion/complete-many.js';
import { idsWithoutToken, type Prompt } from '../../completion/request.js';
import { drafterOf } from '../../completion/same-tokens.js';
import { EXIT } from '../../errors.js';
import type { SavedPrompts } from '../../generation/saved-prompts.js';
import type { CacheVerifier, VerifyReport } from '../../generation/verify.js';
import { machineFor } from '../../library/machine.js';
import { type FolderSource, folderSource, type Model, openModel } from '../../library/model.js';
import {
  checkCacheEnvironment,
  checkDraftModel,
  checkGenerateArgs,
  GENERATE,
  type GenerateArgs,
  wantedLogprobs,
} from '../../settings.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import { findModel } from '../../weights/find.js';
import type { Invocation } from '../shell/command.js';
import { checkHasInput, promptText } from '../shell/prompt-input.js';
import type { Terminal } from '../shell/terminal.js';
import { noteLiteralStop, withUnescapedStops } from '../shell/unescape.js';
import type { AskedAnswers } from './answer-cache.js';
import {
  fittedPrompt,
  goesOnFrom,
  noteContext,
  onOpening,
  openDraftModel,
  openTokenizer,
  savedFor,
} from './opening.js';
import { missLine, verifyLine } from './report-cache.js';
import type { FinishedRun } from './samples.js';
import { type Sample, Samples } from './samples.js';
import type { Saved } from './saved.js';
import { type TextEvent, type Texts, writeTexts } from './write-texts.js';

/** Samples that are decoded together: bounds the memory of their keys and values. */
const MAX_TOGETHER = 64;

export async function generateCommand(invocation: Invocation): Promise<number> {
  const { words, terminal, signal } = invocation;
  const given = withUnescapedStops(invocation.settings(GENERATE));
  checkGenerateArgs(given, words[0]);
  checkDraftModel(given);
  checkCacheEnvironment(given);
  await terminal.configure(given);
  const args = { ...given, colorByProbability: given.colorByProbability && canColor(terminal) };
  noteLiteralStop(args, terminal);
  checkHasInput(invocation, args);
  if (args.server !== undefined) {
    const { generateServed } = await import('./generate-served.js');
    return generateServed(invocation, args);
  }
  const found = findModel(args.model);
  const text = await promptText(invocation, args);
  const saved = await savedFor(args, found, invocation);
  const source = await folderSource(found, signal);
  noteContext(args, source.shape.config, terminal);
  const asked = { args, source, text, saved, terminal, signal };
  const known = args.answerCache ? await askAnswers(asked) : null;
  const answers = args.verifyCache ? null : (known?.answers?.find() ?? null);
  if (answers !== null) {
    await writeTexts(asked, answers.texts, answers.events);
    return EXIT.ok;
  }
  return loadAndRun(asked, known);
}

/** A note says why not, and then the run is as without --color-by-probability: no log-probability is computed. */
function canColor(terminal: Terminal): boolean {
  if (!terminal.colorsText) {
    const problem = terminal.stdoutIsTerminal ? 'colours are off' : 'stdout is not a terminal';
    terminal.note(`--color-by-probability does not apply: ${problem}`);
  }
  return terminal.colorsText;
}

/** What the run is for, known before the model is loaded. */
interface Asked extends Pick<Invocation, 'terminal' | 'signal'> {
  readonly args: GenerateArgs;
  readonly source: FolderSource;
  /** undefined: the prompt came as --prompt-ids. */
  readonly text: string | undefined;
  /** null: neither cache was asked for. */
  readonly saved: Saved | null;
}

/** What asking the answer cache has found out already. */
interface Known {
  readonly prompt: Prompt;
  readonly tokenizer: Tokenizer | null;
  /** null: there can be no saved answer. */
  readonly answers: AskedAnswers | null;
}

async function askAnswers(asked: Asked): Promise<Known> {
  const { args, source, saved, terminal, signal } = asked;
  const onNote = (line: string) => terminal.note(line);
  const tokenizer = await openTokenizer(source.folder, args);
  const model = { dir: source.dir, config: source.shape.config, tokenizer };
  const chats = new TemplatedPrompts(
    source.dir,
    tokenizer,
    async () => tokenizer && chatTemplateOf(source.folder, tokenizer),
  );
  const prompt = await fittedPrompt(asked.text, args, model, { onNote, signal, chats }).finally(() => chats.dispose());
  const machine = await machineFor(source, args);
  await source.checkWeights();
  await saved?.identify(source.folder);
  const { AskedAnswers } = await import('./answer-cache.js');
  return { prompt, tokenizer, answers: AskedAnswers.ask({ args, source, machine, saved, prompt, tokenizer, onNote }) };
}

async function loadAndRun(asked: Asked, known: Known | null): Promise<number> {
  const { args, source, text, saved, terminal, signal } = asked;
  const tokenizer = async () => (known === null ? openTokenizer(source.folder, args) : known.tokenizer);
  const model = await openModel(source, { ...onOpening(args, terminal, signal), tokenizer });
  let draft: Model | null = null;
  try {
    await saved?.identify(source.folder);
    draft = await openDraftModel(args, model, terminal, signal);
    const onNote = (line: string) => terminal.note(line);
    const chats = new TemplatedPrompts(model.dir, model.tokenizer, () => model.chatTemplate());
    const preparing = { onNote, signal, chats };
    const prompt = known?.prompt ?? (await fittedPrompt(text, args, model, preparing).finally(() => chats.dispose()));
    const runs = await writeRuns(asked, { model, draft }, prompt);
    known?.answers?.keep(runs);
    return runs.some(({ verify }) => verify?.ok === false) ? EXIT.failure : EXIT.ok;
  } finally {
    model.dispose();
    draft?.dispose();
  }
}

/** The model, and the one that guesses for it. */
interface Models {
  readonly model: Model;
  readonly draft: Model | null;
}

async function writeRuns(asked: Asked, { model, draft }: Models, prompt: Prompt): Promise<readonly FinishedRun[]> {
  const { args, terminal, signal } = asked;
  const prompts = savedPrompts(asked, model, prompt);
  const wishes = {
    logprobs: wantedLogprobs(args),
    goesOn: goesOnFrom(prompt, args),
    signal: AbortSignal.any([signal, terminal.closed]),
    onPrefill: (done: number, total: number) => terminal.progress(`prefill ${done}/${total}`),
    drafter: drafterOf(draft?.engine ?? null, model.engine),
  };
  const banned = idsWithoutToken(model.tokenizer, model.config);
  const samples = new Samples({
    args,
    prompt,
    model,
    banned,
    prompts,
    savesInterrupted: (args.samples ?? 1) === 1,
    wishes,
  });
  const verifier = args.verifyCache ? await verifierFor(model, prompt) : null;
  const texts: Texts = {
    runs: samples.runs,
    note: (run, stats) => samples.note(run, stats),
    finish: async (run, completion) => {
      const aborted = completion.finishReason === 'abort';
      const verify = verifier === null || aborted ? null : await compare(verifier, prompts, asked);
      return { ...samples.finish(run, completion), verify };
    },
  };
  const runs = await writeTexts(asked, texts, eventsOf(samples, model, verifier));
  sayWhatWasReused(asked, runs[0] as FinishedRun);
  return runs;
}

/** The events of one text, or of several that are decoded together after the prefill of the first. */
function eventsOf(samples: Samples, model: Model, verifier: CacheVerifier | null): AsyncIterable<TextEvent> {
  const requests = samples.requests();
  if (samples.runs.length > 1) {
    const source = { take: () => requests.next().value ?? undefined, wait: async () => false };
    return completeMany(model.engine, model.tokenizer, source, MAX_TOGETHER);
  }
  return eventsOfOne(requests.next().value as Sample, model, verifier);
}

async function* eventsOfOne(
  request: Sample,
  { engine, tokenizer }: Model,
  verifier: CacheVerifier | null,
): AsyncGenerator<TextEvent, void> {
  const sampler = verifier?.record(request.sampler) ?? request.sampler;
  const tokens = new RememberedReturn(complete(verifier?.engine ?? engine, tokenizer, { ...request, sampler }));
  for await (const token of tokens) {
    yield { request, tokens: [token] };
  }
  yield { request, end: tokens.returned as Completion };
}

async function verifierFor({ engine }: Model, { ids }: Prompt): Promise<CacheVerifier> {
  const { CacheVerifier } = await import('../../generation/verify.js');
  return new CacheVerifier(engine, ids);
}

/** null: interrupted. */
async function compare(
  verifier: CacheVerifier,
  prompts: SavedPrompts | null,
  { terminal, signal }: Asked,
): Promise<VerifyReport | null> {
  const onStep = (done: number, total: number) => terminal.progress(`uncached ${done}/${total}`);
  const report = await verifier.compare(onStep, signal, prompts?.report?.reusedAs);
  terminal.progressDone();
  return report;
}

/** null: not asked for, or of no use here. */
function savedPrompts({ args, saved, terminal }: Asked, model: Model, { text }: Prompt): SavedPrompts | null {
  const prompts = saved?.prompts(model, text) ?? null;
  if (prompts !== null && args.echo && args.logprobs !== undefined) {
    terminal.note("--prompt-cache does not apply: the prompt's log-probabilities need all of it");
    return null;
  }
  return prompts;
}

function sayWhatWasReused({ terminal }: Asked, run: FinishedRun): void {
  const missed = missLine(run);
  if (missed !== undefined) {
    terminal.statistics(missed);
  }
  if (run.verify !== null) {
    run.verify.ok ? terminal.note(verifyLine(run.verify)) : terminal.error(verifyLine(run.verify));
  }
}
