// Scores on a model of this machine: choices after one prefill of their prompt, which may be saved and reused; texts by windows.

import { checkVocabulary, contextSize } from '../../completion/request.js';
import { encodePrompt } from '../../completion/text-bounds.js';
import { KvgenError } from '../../errors.js';
import { prefillPrompt } from '../../generation/prefill.js';
import type { PromptCacheReport } from '../../generation/saved-prompts.js';
import { scoreContinuations } from '../../generation/score.js';
import { Sequence, type SequenceOptions, type SequenceStats } from '../../generation/sequence.js';
import { folderSource, type Model, openModel } from '../../library/model.js';
import { checkCacheEnvironment } from '../../settings.js';
import { loadTokenizer, type Tokenizer } from '../../text/tokenizer.js';
import { findModel } from '../../weights/find.js';
import { noteContext, onOpening, savedFor } from '../generate/opening.js';
import { missLine } from '../generate/report-cache.js';
import type { Saved } from '../generate/saved.js';
import type { Invocation } from '../shell/command.js';
import type { ScoreArgs } from '../shell/command-settings.js';
import { encodedChoices, printChoices } from './choices.js';
import { perplexity } from './perplexity.js';
import type { ScoreInput, ScoreRun } from './score-run.js';
import { modelScorer } from './text-loss.js';

interface LocalRun extends ScoreRun {
  readonly saved: Saved | null;
  readonly model: Model;
}

export async function scoreHere(
  args: ScoreArgs,
  input: () => Promise<ScoreInput>,
  invocation: Invocation,
): Promise<void> {
  const { terminal, signal } = invocation;
  const store = { ...args, cache: true, answerCache: false };
  checkCacheEnvironment(store);
  const found = findModel(args.model);
  const { text, choices } = await input();
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
    const promptIds = (text: string) => encodedPrompt(text, args, model, invocation);
    const check = (ids: readonly number[]) => checkVocabulary(ids, model.config);
    const run = { args, saved, model, tokenizer: await tokenizer, promptIds, check, nCtx, terminal, signal };
    await (args.perplexity === undefined
      ? scoreChoices(run, text, choices)
      : perplexity(run, modelScorer(model), text as string, args.perplexity));
  } finally {
    model.dispose();
  }
}

async function encodedPrompt(
  text: string,
  { verbose, bos }: ScoreArgs,
  model: Model,
  { terminal, signal }: Invocation,
): Promise<readonly number[]> {
  const onNote = (line: string) => terminal.note(line);
  const onDetail = verbose ? onNote : undefined;
  const { before, ids } = await encodePrompt(text, model, { bos, signal, onNote, onDetail });
  return [...before, ...ids];
}

async function scoreChoices(run: LocalRun, text: string | undefined, choices: readonly string[]): Promise<void> {
  const { model, terminal, signal } = run;
  const encoded = await encodedChoices(run, text, choices);
  const { promptIds, continuations } = encoded;
  const prefilled = await prefill(run, promptIds, text);
  try {
    const { cache, logits } = prefilled;
    const onProgress = (done: number, total: number) => terminal.progress(`choices ${done}/${total}`);
    const scores = await scoreContinuations(model.engine, cache, logits, continuations, { signal, onProgress });
    terminal.progressDone();
    await printChoices(run, choices, encoded, scores);
    terminal.statistics(prefilled.line);
  } finally {
    prefilled.cache.dispose();
  }
}

/** The cache of the prompt, the logits that follow it, and the line of statistics. */
async function prefill(
  { saved, model, tokenizer, nCtx, terminal, signal }: LocalRun,
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
