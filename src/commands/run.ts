// All that a run was made of, for its report and for the answer cache.

import type { CompletionToken } from '../complete.js';
import type { FinishReason, GenerateStats } from '../generate.js';
import type { PromptCacheReport } from '../prompt-cache.js';
import type { TokenLogprob } from '../sampling/logprobs.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { VerifyReport } from '../verify.js';
import type { Machine } from './answers.js';

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
  /** Which of several samples; null: there is only one. */
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
