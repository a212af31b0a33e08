// All that a run was made of, for its report and for the answer cache.

import type { CompletionToken } from '../../completion/complete.js';
import { type FinishReason, type GenerateStats, newStats } from '../../generation/generate.js';
import type { PromptCacheReport } from '../../generation/saved-prompts.js';
import type { VerifyReport } from '../../generation/verify.js';
import { rowLogprobs, type TokenLogprob } from '../../sampling/logprobs.js';
import type { GenerateArgs } from '../../settings.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Machine } from './answer-cache.js';
import { decode, type Prompt } from './prepare.js';

export interface GenerateRun {
  readonly model: string;
  readonly backend: Machine;
  /** Known at the end: a graph engine is eager until it has captured. */
  engine: string;
  readonly prompt: string;
  readonly promptIds: readonly number[];
  readonly seed: number;
  readonly cache: boolean;
  readonly stats: GenerateStats;
  readonly tokens: CompletionToken[];
  finishReason: FinishReason;
  readonly answerCached: boolean;
  /** null: not asked for. */
  promptCache: PromptCacheReport | null;
  /** null: not asked for. */
  verify: VerifyReport | null;
  /** Which of the samples; null: samples were not asked for. */
  readonly sample: number | null;
  /** How many of the likeliest tokens are reported with each; null: log-probabilities were not asked for. */
  readonly logprobs: number | null;
  /** Of each id of the prompt after the first; null: not asked for. */
  readonly promptLogprobs: TokenLogprob[] | null;
  /** null: a model without one. */
  readonly tokenizer: Pick<Tokenizer, 'bytes'> | null;
  /** A token as text, "" without a tokenizer. */
  readonly tokenText: (id: number) => string;
}

/** What a run is known by before it starts. */
export interface RunStart {
  readonly args: GenerateArgs;
  readonly model: string;
  readonly backend: Machine;
  readonly prompt: Prompt;
  readonly seed: number;
  readonly sample: number | null;
  readonly answerCached: boolean;
}

export function newRun({ args, model, backend, prompt, seed, sample, answerCached }: RunStart): GenerateRun {
  return {
    model,
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
    sample,
    logprobs: args.logprobs ?? null,
    promptLogprobs: args.echo && args.logprobs !== undefined ? [] : null,
    tokenizer: prompt.tokenizer,
    tokenText: (id) => decode(prompt.tokenizer, [id]),
  };
}

/** Its text so far. */
export function joined({ tokens }: GenerateRun): string {
  return tokens.map(({ text }) => text).join('');
}

/** Keeps what the model thought of each id of the prompt, where it was asked for. */
export function notePrompt(run: GenerateRun): ((logits: Float32Array) => void) | undefined {
  const { promptLogprobs, promptIds, logprobs } = run;
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
