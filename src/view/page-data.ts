// What the page's script is given: a record without what the page does not show, the prompt's tokens and the generated ones in
// one list; attention apart, in bytes.

import type { AttentionShape } from './attention-table.js';
import type { CachedRun } from './cache-passes.js';
import type { ModelSizes, ReportToken, RivalToken, RunRecord, StepTime } from './run-record.js';
import { isPartOfCharacter } from './visible-text.js';

export interface PageData extends CachedRun {
  readonly model: ModelSizes;
  readonly cache: RunRecord['report']['cache'];
  /** By position. */
  readonly tokens: readonly ReportToken[];
  readonly steps: readonly StepTime[];
}

/** What the page has of attention. */
export interface AttentionData {
  readonly shape: AttentionShape;
  /** The table of `AttentionTable`, deflated, in base64. */
  readonly base64: string;
}

/** The ids of the elements that hold data. */
export const DATA = { run: 'run-data', attention: 'attention-data' } as const;

export function pageData(record: RunRecord): PageData {
  const { report, model, prefill, steps } = record;
  const { enabled, positions, bytes } = report.cache;
  return {
    promptTokens: report.prompt_ids.length,
    model,
    cache: { enabled, positions, bytes },
    tokens: tokensOf(record),
    prefill,
    steps,
  };
}

export function cachedRun({ report, model, prefill }: RunRecord): CachedRun {
  return { promptTokens: report.prompt_ids.length, model, prefill };
}

/** By position: the prompt's, and those that were generated. */
export function tokensOf({ report }: RunRecord): ReportToken[] {
  return [...report.prompt_tokens_detail, ...report.tokens].map(({ id, text, bytes, logprob, top }) => ({
    id,
    text,
    bytes,
    logprob,
    ...(top === undefined ? {} : { top: top.map(rivalOf) }),
  }));
}

/** Without what the page does not show. */
function rivalOf({ id, text, bytes, logprob }: RivalToken): RivalToken {
  return isPartOfCharacter(text) ? { id, text, bytes, logprob } : { id, text, logprob };
}
