// `kvgen score`: how likely given continuations of a prompt are, best first; or how well a model predicts a text.

import { EXIT, KvgenError } from '../../errors.js';
import { type GenerateOptions, type GenerateStats, newStats } from '../../generation/generate.js';
import { prefillPrompt } from '../../generation/prefill.js';
import type { SavedPrompts } from '../../generation/saved-prompts.js';
import { scoreContinuations } from '../../generation/score.js';
import { Sequence } from '../../generation/sequence.js';
import { checkIds, checkVocabulary, type Model } from '../../library/model.js';
import { encodePrompt } from '../../text/prompt-ids.js';
import { loadTokenizer, type Tokenizer } from '../../text/tokenizer.js';
import { findModel } from '../../weights/find.js';
import { SCORE, type ScoreArgs } from '../command-settings.js';
import { promptConflicts, throwFirst } from '../generate/conflicts.js';
import { openEverything } from '../generate/open.js';
import { contextSize, decode } from '../generate/prepare.js';
import { missLine } from '../generate/report-cache.js';
import { checkCacheEnvironment, openSaved, type Saved } from '../generate/saved.js';
import type { Invocation } from '../shell/command.js';
import { readUtf8, withoutMark } from '../shell/prompt-input.js';
import { checkHasPrompt, promptText } from '../shell/prompt-text.js';
import { printTable } from '../shell/table.js';
import { perplexity } from './perplexity.js';
import { type Choice, choicesJson, choicesTable, rank } from './score-report.js';

/** All that a score needs. */
export interface ScoreRun extends Pick<Invocation, 'terminal' | 'signal'> {
  readonly args: ScoreArgs;
  readonly dir: string;
  readonly saved: Saved | null;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly nCtx: number;
}

export async function scoreCommand(invocation: Invocation): Promise<number> {
  const { words, terminal, signal } = invocation;
  const args = invocation.settings(SCORE);
  const store = { ...args, cache: true, answerCache: false };
  checkScoreArgs(args, words[0]);
  checkCacheEnvironment(store);
  await terminal.configure(args);
  if (args.perplexity === undefined) {
    checkHasPrompt(invocation, args);
  }
  const found = findModel(args.model);
  const text = args.perplexity === undefined ? await promptText(invocation, args) : await readUtf8(args.perplexity);
  const choices = args.perplexity === undefined ? await readChoices(args) : [];
  const saved = await openSaved(store, found, terminal);
  const opened = await openEverything({ args: { ...args, cache: true }, found, saved, terminal, signal }, () =>
    loadTokenizer(found.dir),
  );
  const { model } = opened;
  try {
    const tokenizer = opened.tokenizer as Tokenizer;
    const nCtx = contextSize(args.ctxSize, model.engine.config);
    const run = { args, dir: found.dir, saved, model, tokenizer, nCtx, terminal, signal };
    await (args.perplexity === undefined ? scoreChoices(run, text, choices) : perplexity(run, text as string));
  } finally {
    model.dispose();
  }
  return EXIT.ok;
}

/** Exit 2, by name, for what cannot go together. */
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

async function readChoices({ choices, choicesFile }: ScoreArgs): Promise<readonly string[]> {
  if (choicesFile === undefined) {
    return choices ?? [];
  }
  const lines = withoutMark(await readUtf8(choicesFile))
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
  const promptIds = args.promptIds ?? encodePrompt(text ?? '', run.tokenizer, run.dir);
  const continuations = choices.map((choice) => fittingChoice(run, promptIds, choice));
  checkIds(promptIds, model.engine);
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
      ? terminal.print(choicesJson(promptIds.length, ranked))
      : printTable(terminal, choicesTable(ranked)));
    terminal.statistics(prefilled.line);
  } finally {
    prefilled.cache.dispose();
  }
}

/** Tokenized apart from the prompt, and taken literally. */
function fittingChoice({ tokenizer, nCtx, model }: ScoreRun, promptIds: readonly number[], choice: string): number[] {
  const ids = tokenizer.encode(choice);
  checkVocabulary(ids, model.engine.config);
  if (promptIds.length + ids.length > nCtx) {
    throw new KvgenError(
      `the choice ${JSON.stringify(choice)} has ${ids.length} tokens and the prompt ${promptIds.length}: ` +
        `more than the context of ${nCtx}; shorten the prompt`,
    );
  }
  return ids;
}

function toChoice(text: string, ids: readonly number[], logprob: number): Choice {
  return { text, tokens: ids.length, bytes: Buffer.byteLength(text), logprob };
}

/** The prompt's keys and values, and what follows it. */
async function prefill(
  { saved, model, tokenizer, nCtx, terminal, signal }: ScoreRun,
  promptIds: readonly number[],
  text: string | undefined,
) {
  const prompts = saved?.prompts(model.engine.config.nHead, text) ?? null;
  const options: GenerateOptions = {
    maxTokens: 0,
    nCtx,
    stopIds: [],
    cache: true,
    onFull: 'stop',
    signal,
    promptCache: prompts ?? undefined,
    onPrefill: (done, total) => terminal.progress(`prefill ${done}/${total}`),
  };
  const stats = newStats();
  const { cache, logits } = await prefillPrompt(model.engine, new Sequence(promptIds, options, stats));
  if (cache === null || logits === null) {
    cache?.dispose();
    signal.throwIfAborted();
    throw new KvgenError('stopped');
  }
  return { cache, logits, line: reusedLine(promptIds, stats, prompts, (id) => decode(tokenizer, [id])) };
}

function reusedLine(
  promptIds: readonly number[],
  stats: GenerateStats,
  prompts: SavedPrompts | null,
  tokenText: (id: number) => string,
): string {
  const missed = missLine({ promptCache: prompts?.report ?? null, promptIds, stats, tokenText });
  const line = `prompt ${promptIds.length} tokens (${stats.reusedTokens} reused) · prefill ${(stats.promptMs ?? 0).toFixed(0)} ms`;
  return missed === undefined ? line : `${line}\n${missed}`;
}
