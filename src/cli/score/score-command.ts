// `kvgen score`: how likely given continuations of a prompt are, best first; or, in perplexity.ts, how well a model
// predicts a text.

import { checkIds, checkVocabulary, contextSize } from '../../completion/request.js';
import { encodePrompt } from '../../completion/text-bounds.js';
import { EXIT, KvgenError, shown } from '../../errors.js';
import { CHOICES, TEXT } from '../../files/file-kinds.js';
import { EventLoop } from '../../generation/event-loop.js';
import { prefillPrompt } from '../../generation/prefill.js';
import type { PromptCacheReport } from '../../generation/saved-prompts.js';
import { scoreContinuations } from '../../generation/score.js';
import { Sequence, type SequenceOptions, type SequenceStats } from '../../generation/sequence.js';
import { folderSource, openModel } from '../../library/model.js';
import { checkCacheEnvironment, promptConflicts, throwFirst } from '../../settings.js';
import { loadTokenizer, type Tokenizer } from '../../text/tokenizer.js';
import { findModel } from '../../weights/find.js';
import { noteContext, onOpening, savedFor } from '../generate/opening.js';
import { missLine } from '../generate/report-cache.js';
import type { Invocation } from '../shell/command.js';
import { SCORE, type ScoreArgs } from '../shell/command-settings.js';
import { checkHasInput, promptText, readUtf8, withoutMark } from '../shell/prompt-input.js';
import { readEscapes } from '../shell/unescape.js';
import { perplexity } from './perplexity.js';
import { type Choice, choicesJson, choicesTable, rank } from './score-report.js';
import type { ScoreRun } from './score-run.js';

export async function scoreCommand(invocation: Invocation): Promise<number> {
  const { words, terminal, signal } = invocation;
  const args = invocation.settings(SCORE);
  const store = { ...args, cache: true, answerCache: false };
  checkScoreArgs(args, words[0]);
  checkCacheEnvironment(store);
  await terminal.configure(args);
  if (args.perplexity === undefined) {
    checkHasInput(invocation, args);
  }
  const found = findModel(args.model);
  const text =
    args.perplexity === undefined
      ? await promptText(invocation, args)
      : await readUtf8(args.perplexity, TEXT, invocation);
  const choices = args.perplexity === undefined ? await readChoices(args, invocation) : [];
  const saved = await savedFor(store, found, invocation);
  const opening = onOpening({ ...args, cache: true }, terminal, signal);
  const source = await folderSource(found, signal);
  const tokenizer = loadTokenizer(source.folder);
  tokenizer.catch(() => {}); // awaited when the model is open
  const model = await openModel(source, { ...opening, tokenizer: () => tokenizer });
  try {
    await saved?.identify(source.folder);
    const nCtx = contextSize(args.ctxSize, model.config);
    noteContext(args, model.config, terminal);
    const run = { args, saved, model, tokenizer: await tokenizer, nCtx, terminal, signal };
    await (args.perplexity === undefined
      ? scoreChoices(run, text, choices)
      : perplexity(run, text as string, args.perplexity));
  } finally {
    model.dispose();
  }
  return EXIT.ok;
}

/** @throws UsageError that names the settings which cannot go together */
function checkScoreArgs(args: ScoreArgs, prompt: string | undefined): void {
  const { choices, choicesFile, perplexity, stride, perDocument, file, promptIds } = args;
  const given = [choices, choicesFile, perplexity].filter((value) => value !== undefined).length;
  const isText = perplexity !== undefined;
  throwFirst([
    [given !== 1, 'expected one of --choices, --choices-file and --perplexity'],
    [isText && (prompt ?? file ?? promptIds) !== undefined, '--perplexity cannot go with a prompt'],
    [isText && args.promptCache === true, '--prompt-cache is for choices: a text is not kept'],
    [!isText && stride !== undefined, '--stride needs --perplexity'],
    [!isText && perDocument, '--per-document needs --perplexity'],
    ...promptConflicts(args, prompt),
    [args.quiet && args.verbose, '--quiet cannot go with --verbose'],
  ]);
}

async function readChoices(
  { choices = [], choicesFile, escape: escaped }: ScoreArgs,
  invocation: Invocation,
): Promise<readonly string[]> {
  if (choicesFile === undefined) {
    return escaped ? choices.map((choice) => readEscapes(choice, '--choices')) : choices;
  }
  const lines = withoutMark(await readUtf8(choicesFile, CHOICES, invocation))
    .replace(/\r?\n$/, '')
    .split(/\r?\n/);
  if (lines.join('') === '') {
    throw new KvgenError(`${choicesFile}: expected choices, one a line, found none`);
  }
  const empty = lines.indexOf('');
  if (empty >= 0) {
    throw new KvgenError(`${choicesFile}: line ${empty + 1}: expected a choice, found nothing; remove the empty line`);
  }
  return lines;
}

async function scoreChoices(run: ScoreRun, text: string | undefined, choices: readonly string[]): Promise<void> {
  const { args, model, terminal, signal } = run;
  const promptIds = args.promptIds ?? (await encodedPrompt(run, text ?? ''));
  const continuations: number[][] = [];
  const loop = new EventLoop();
  for (const choice of choices) {
    continuations.push(await fittingChoice(run, promptIds, choice));
    if (loop.due) {
      await loop.run();
      signal.throwIfAborted();
    }
  }
  checkIds(promptIds, model.config);
  const prefilled = await prefill(run, promptIds, text);
  try {
    const { cache, logits } = prefilled;
    const onProgress = (done: number, total: number) => terminal.progress(`choices ${done}/${total}`);
    const scores = await scoreContinuations(model.engine, cache, logits, continuations, { signal, onProgress });
    terminal.progressDone();
    const ranked = rank(
      choices.map((choice, i) => toChoice(choice, continuations[i] as number[], scores[i] as number)),
    );
    await (args.json
      ? terminal.printJson(choicesJson(promptIds.length, ranked))
      : terminal.printTable(choicesTable(ranked)));
    terminal.statistics(prefilled.line);
  } finally {
    prefilled.cache.dispose();
  }
}

/** With what the tokenizer puts before a text, which it does not put before a choice. */
async function encodedPrompt({ args, model, terminal, signal }: ScoreRun, text: string): Promise<readonly number[]> {
  const onNote = (line: string) => terminal.note(line);
  const onDetail = args.verbose ? onNote : undefined;
  const { before, ids } = await encodePrompt(text, model, { bos: args.bos, signal, onNote, onDetail });
  return [...before, ...ids];
}

/** The ids of a choice, tokenized apart from the prompt. @throws KvgenError when it does not fit */
async function fittingChoice(run: ScoreRun, promptIds: readonly number[], choice: string): Promise<number[]> {
  const { tokenizer, nCtx, model, terminal, signal } = run;
  const ids = await tokenizer.encode(choice, { signal, onNote: (line) => terminal.note(line) });
  checkVocabulary(ids, model.config);
  if (promptIds.length + ids.length > nCtx) {
    throw new KvgenError(
      `the choice ${shown(choice)} has ${ids.length} tokens and the prompt ${promptIds.length}: ` +
        `more than the context of ${nCtx}; shorten the prompt`,
    );
  }
  return ids;
}

function toChoice(text: string, ids: readonly number[], logprob: number): Choice {
  return { text, tokens: ids.length, bytes: Buffer.byteLength(text), logprob };
}

/** The cache of the prompt, the logits that follow it, and the line of statistics. */
async function prefill(
  { saved, model, tokenizer, nCtx, terminal, signal }: ScoreRun,
  promptIds: readonly number[],
  text: string | undefined,
) {
  const { engine, config } = model;
  const prompts = saved?.prompts(model, text) ?? null;
  const options: SequenceOptions = {
    maxTokens: 0,
    nCtx,
    stopIds: [],
    cache: true,
    onFull: 'stop',
    signal,
    promptCache: prompts ?? undefined,
    onPrefill: (done, total) => terminal.progress(`prefill ${done}/${total}`),
  };
  const sequence = new Sequence(config, promptIds, options);
  const { cache, logits } = await prefillPrompt(engine, sequence);
  if (cache === null || logits === null) {
    cache?.dispose();
    signal.throwIfAborted();
    throw new KvgenError('stopped');
  }
  return { cache, logits, line: reusedLine(tokenizer, promptIds, sequence.stats, prompts?.report ?? null) };
}

function reusedLine(
  tokenizer: Tokenizer,
  ids: readonly number[],
  stats: SequenceStats,
  promptCache: PromptCacheReport | null,
): string {
  const missed = missLine({ promptCache, tokenizer, prompt: { ids }, completion: { stats } });
  const reused = `prompt ${ids.length} tokens (${stats.reusedTokens} reused)`;
  const line = `${reused} · prefill ${(stats.promptMs ?? 0).toFixed(0)} ms`;
  return missed === undefined ? line : `${line}\n${missed}`;
}
