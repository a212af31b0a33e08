// Scores of a model that a server has: of ids, which a tokenizer here makes, since a prompt and its choices are tokenized
// apart. Choices and windows are requests of their own, several at the same time.

import { contextSize } from '../../completion/request.js';
import { KvgenError, UsageError } from '../../errors.js';
import type { Window } from '../../generation/score.js';
import { PromptScores } from '../../remote/prompt-scores.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import { type ReachedServer, reachServer, servedIds, tokenizerFolder } from '../generate/served-texts.js';
import type { Invocation } from '../shell/command.js';
import type { ScoreArgs } from '../shell/command-settings.js';
import { encodedChoices, printChoices } from './choices.js';
import { groupsOf } from './groups.js';
import { perplexity } from './perplexity.js';
import type { ScoreInput, ScoreRun } from './score-run.js';
import type { TextScorer } from './text-loss.js';

/** Requests that are asked together. */
const TOGETHER = 8;

export async function scoreServed(
  args: ScoreArgs,
  input: () => Promise<ScoreInput>,
  invocation: Invocation,
): Promise<void> {
  const { terminal, signal } = invocation;
  const dir = tokenizerFolder(args);
  if (dir === undefined) {
    const why = 'prompt and choices are tokenized apart, and sent as ids';
    throw new UsageError(`score --server needs --tokenizer DIR, the folder of the same model: ${why}`);
  }
  const { text, choices } = await input();
  const server = await reachServer(args, invocation);
  try {
    const tokenizer = server.tokenizer as Tokenizer; // of that folder
    const scores = new PromptScores(server.connection, server.served, tokenizer);
    const onNote = (line: string) => terminal.note(line);
    const promptIds = async (prompt: string) => {
      const { before, ids } = await servedIds(prompt, tokenizer, { bos: args.bos, onNote, signal });
      return [...before, ...ids];
    };
    const check = () => {}; // the server knows which ids it has
    const run = { args, tokenizer, promptIds, check, nCtx: contextOf(args, scores, server), terminal, signal };
    const scorer = new ServedScorer(scores, dir);
    await (args.perplexity === undefined
      ? scoreChoices(run, scorer, text, choices)
      : perplexity(run, scorer, text as string, args.perplexity));
    terminal.statistics(`scored by ${server.served.kind.title} at ${server.connection.host}`);
  } finally {
    server.dispose();
  }
}

/** @throws KvgenError for more than the server scores, and where it does not say how much that is */
function contextOf({ ctxSize }: ScoreArgs, { nCtx }: PromptScores, { connection, served }: ReachedServer): number {
  if (nCtx === undefined && ctxSize === undefined) {
    throw new KvgenError(`${connection.server} does not say how long its context is; --ctx-size says it`);
  }
  if (nCtx !== undefined && ctxSize !== undefined && ctxSize > nCtx) {
    throw new KvgenError(
      `--ctx-size ${ctxSize}: ${served.kind.title} scores ${nCtx} tokens there; give ${nCtx} or less`,
    );
  }
  return contextSize(ctxSize, { nPositions: nCtx ?? Number.POSITIVE_INFINITY });
}

async function scoreChoices(
  run: ScoreRun,
  scorer: ServedScorer,
  text: string | undefined,
  choices: readonly string[],
): Promise<void> {
  const { terminal, signal } = run;
  const encoded = await encodedChoices(run, text, choices);
  const { promptIds, continuations } = encoded;
  const windows = continuations.map((ids) => ({ ids: [...promptIds, ...ids], scored: ids.length }));
  const scores: number[] = [];
  for (const group of groupsOf(windows, scorer.atOnce)) {
    terminal.progress(`choices ${scores.length}/${windows.length}`);
    const losses = await Promise.all(group.map((window) => scorer.loss(window, signal)));
    scores.push(...losses.map((loss) => -loss));
  }
  terminal.progressDone();
  await printChoices(run, choices, encoded, scores);
}

class ServedScorer implements TextScorer {
  readonly dir: string;
  readonly atOnce = TOGETHER;
  readonly #scores: PromptScores;
  /** Where one request fails, the others end. */
  readonly #failed = new AbortController();

  /** @param dir of the tokenizer */
  constructor(scores: PromptScores, dir: string) {
    this.#scores = scores;
    this.dir = dir;
  }

  check(): void {} // the server knows which ids it has

  async loss({ ids, scored }: Window, signal: AbortSignal): Promise<number> {
    try {
      const logprobs = await this.#scores.logprobs(ids, AbortSignal.any([signal, this.#failed.signal]));
      return logprobs.slice(-scored).reduce((sum, logprob) => sum - logprob, 0);
    } catch (error) {
      this.#failed.abort();
      throw error;
    }
  }
}
