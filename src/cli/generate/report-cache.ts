// What the saved prompts did for a run, and what comparing cached with uncached gave: as JSON and in words.

import type { PromptCacheReport } from '../../generation/saved-prompts.js';
import type { VerifyReport } from '../../generation/verify.js';
import type { GenerateRun } from './run-record.js';

/** `cache.prompt` of --json. */
export function promptCacheJson(run: GenerateRun): object {
  const { promptCache, promptIds, stats, tokenText } = run;
  const difference = promptCache?.firstDifference ?? null;
  return {
    result: resultOf(run),
    reused_tokens: stats.reusedTokens,
    computed_tokens: promptIds.length - stats.reusedTokens,
    saved_ms: promptCache === null ? null : Math.round(promptCache.savedMs * 10) / 10,
    miss_reason: stats.reusedTokens > 0 ? null : (promptCache?.missReason ?? null),
    first_difference:
      difference === null
        ? null
        : { index: difference.index, stored: tokenText(difference.stored), new: tokenText(difference.new) },
  };
}

/** What was known of the prompt, from disk or from a row before it. */
function resultOf({ promptCache, promptIds, stats }: Pick<GenerateRun, 'promptCache' | 'promptIds' | 'stats'>): string {
  if (stats.reusedTokens === 0) {
    return promptCache === null ? 'off' : 'miss';
  }
  return stats.reusedTokens === promptIds.length ? 'hit' : 'partial';
}

/** `verify` of --json. */
export function verifyJson(report: VerifyReport): object {
  const { maxAbsDiff, meanAbsDiff, steps, firstDifference } = report;
  return { max_abs_diff: maxAbsDiff, mean_abs_diff: meanAbsDiff, steps, first_difference: firstDifference };
}

/** Why a prompt was computed and from where on it is another one; undefined: all of it was known. */
export function missLine(
  run: Pick<GenerateRun, 'promptCache' | 'promptIds' | 'stats' | 'tokenText'>,
): string | undefined {
  const { promptCache, stats, tokenText } = run;
  if (promptCache === null || resultOf(run) === 'hit') {
    return undefined;
  }
  const known = promptCache.missReason ?? `the first ${stats.reusedTokens} tokens were stored`;
  return `prompt cache: ${known}${differenceWords(promptCache, tokenText)}`;
}

/** One line for whoever asked to verify. */
export function verifyLine({ steps, maxAbsDiff, meanAbsDiff, maxAbsLogit, firstDifference }: VerifyReport): string {
  const difference = `largest difference ${maxAbsDiff.toExponential(1)} (mean ${meanAbsDiff.toExponential(1)})`;
  const where =
    firstDifference === null
      ? 'the likeliest token is the same at every step'
      : `step ${firstDifference.step}: token ${firstDifference.cached} instead of ${firstDifference.uncached}, ` +
        `which are ${firstDifference.gap.toExponential(1)} apart`;
  return `cached against uncached, ${steps} steps: ${difference} of logits up to ${maxAbsLogit.toFixed(1)}; ${where}`;
}

function differenceWords({ firstDifference }: PromptCacheReport, tokenText: (id: number) => string): string {
  if (firstDifference === null) {
    return '';
  }
  const { index, stored, new: found } = firstDifference;
  const word = (id: number) => `${JSON.stringify(tokenText(id))} (${id})`;
  return `; the nearest one differs at token ${index}: stored ${word(stored)}, now ${word(found)}`;
}
