// Makes one text as `kvgen generate` does, and watches: how long each pass takes. Behind it the text is run once more, for what a
// run does not keep: what heads looked at, and what each step takes without the cache. So the run itself is as fast as ever.

import { type Completion, complete, RememberedReturn } from '../../completion/complete.js';
import { idsWithoutToken, type Prompt } from '../../completion/request.js';
import { drafterOf } from '../../completion/same-tokens.js';
import { KvgenError } from '../../errors.js';
import { PassTimes } from '../../generation/pass-times.js';
import { rerun, uncachedTimes } from '../../generation/rerun.js';
import type { SavedPrompts } from '../../generation/saved-prompts.js';
import type { Model } from '../../library/model.js';
import { type TokenLogprob, tokenLogprob } from '../../sampling/logprobs.js';
import type { GenerateArgs } from '../../settings.js';
import type { RunRecord } from '../../view/run-record.js';
import { type FinishedRun, type Sample, Samples } from '../generate/samples.js';
import type { Terminal } from '../shell/terminal.js';
import { AttentionRows, whyNoAttention } from './attention-rows.js';
import { runRecord } from './record-run.js';

/** The most positions of which a pass without the cache is measured, and the time for all of them. */
const UNCACHED = { mostIds: 256, budgetMs: 10_000 };

const INTERRUPTED = 'the run was interrupted';

export interface WatchRequest {
  /** As --json, --echo and --logprobs would have it. */
  readonly args: GenerateArgs;
  readonly model: Model;
  readonly draft: Model | null;
  readonly prompt: Prompt;
  /** null: prompts are not saved. */
  readonly prompts: SavedPrompts | null;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

export interface Watched {
  readonly run: FinishedRun;
  readonly record: RunRecord;
}

export async function watchRun(request: WatchRequest): Promise<Watched> {
  const { model, prompts, terminal, signal } = request;
  const { config } = model;
  const times = new PassTimes(model.engine);
  const made = await makeText(request, times);
  const ids = [...made.prompt.ids, ...made.completion.tokens.map(({ id }) => id)];
  const isAborted = made.completion.finishReason === 'abort';
  const uncachedMs =
    isAborted || !made.args.cache
      ? []
      : await uncachedTimes(model.engine, ids, made.prompt.ids.length, {
          ...UNCACHED,
          signal,
          onProgress: (done, total) => terminal.progress(`without the cache ${done}/${total}`),
        });
  const seen = isAborted
    ? { attention: null, attentionMissing: INTERRUPTED, promptLogprobs: null }
    : await look(request, ids);
  const run = prompts === null ? made : { ...made, promptLogprobs: seen.promptLogprobs ?? [] };
  terminal.progressDone();
  const { prompt: promptPasses, steps: stepMs } = times;
  return { run, record: runRecord({ ...seen, run, config, promptPasses, stepMs, uncachedMs }) };
}

/** A prompt that is saved is not run for the log-probabilities of its tokens: what is known of it is to be reused. */
async function makeText({ args, model, draft, prompt, prompts, terminal, signal }: WatchRequest, times: PassTimes) {
  const wishes = {
    logprobs: args.logprobs,
    signal,
    onPrefill: (done: number, total: number) => terminal.progress(`prefill ${done}/${total}`),
    drafter: drafterOf(draft?.engine ?? null, model.engine),
  };
  const banned = idsWithoutToken(model.tokenizer, model.config);
  const own = prompts === null ? args : { ...args, echo: false };
  const samples = new Samples({ args: own, prompt, model, banned, prompts, savesInterrupted: true, wishes });
  const request = samples.requests().next().value as Sample;
  const sampler = times.record(request.sampler);
  const tokens = new RememberedReturn(complete(times.engine, model.tokenizer, { ...request, sampler }));
  let count = 0;
  for await (const _ of tokens) {
    terminal.progress(`${++count} tokens`);
  }
  return { ...samples.finish(request.run, tokens.returned as Completion), args };
}

interface Seen extends Pick<RunRecord, 'attention' | 'attentionMissing'> {
  /** Of each id of the prompt after the first; null: they are known from the run, or it was interrupted. */
  readonly promptLogprobs: readonly TokenLogprob[] | null;
}

/** Runs the ids once more, but for the newest, which was never run. */
async function look(
  { args, model, prompt, prompts, terminal, signal }: WatchRequest,
  ids: readonly number[],
): Promise<Seen> {
  const { engine, config } = model;
  const ran = ids.slice(0, Math.max(prompt.ids.length, ids.length - 1));
  const missing = whyNoAttention(ran.length, config);
  const rows = missing === undefined ? new AttentionRows(ran.length, config) : null;
  if (rows === null && prompts === null) {
    return { attention: null, attentionMissing: missing, promptLogprobs: null };
  }
  const logprobs: TokenLogprob[] = [];
  const note = (logits: Float32Array) => {
    const next = prompt.ids[logprobs.length + 1];
    if (next !== undefined) {
      logprobs.push(tokenLogprob(logits, next, args.logprobs ?? 0));
    }
  };
  try {
    const isDone = await rerun(engine, rows === null ? prompt.ids : ran, {
      signal,
      onProgress: (done, total) => terminal.progress(`attention ${done}/${total}`),
      onAttention: rows === null ? undefined : (attention) => rows.add(attention),
      onLogits: prompts === null ? undefined : note,
    });
    return isDone
      ? { attention: rows?.record ?? null, attentionMissing: missing, promptLogprobs: logprobs }
      : { attention: null, attentionMissing: INTERRUPTED, promptLogprobs: null };
  } catch (error) {
    if (error instanceof KvgenError) {
      return { attention: null, attentionMissing: error.message, promptLogprobs: null }; // such as a memory that is full
    }
    throw error;
  }
}
