// All that a run was made of, for its report and for the answer cache.

import type { CompletionToken } from '../complete.js';
import type { FinishReason, GenerateStats } from '../generate.js';
import type { PromptCacheReport } from '../prompt-cache.js';
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
  /** A token as text, "" without a tokenizer. */
  readonly tokenText: (id: number) => string;
}
