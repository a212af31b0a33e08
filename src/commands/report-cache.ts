// What the saved prompts did for a run, and what comparing cached with uncached gave: as JSON and in words.

import type { PromptCacheReport } from '../prompt-cache.js';
import type { VerifyReport } from '../verify.js';
import type { GenerateRun } from './run.js';

/** `cache.prompt` of --json. */
export function promptCacheJson({ promptCache, promptIds, stats, tokenText }: GenerateRun): object {
  const difference = promptCache?.firstDifference ?? null;
  return {
    result: promptCache?.result ?? 'off',
    reused_tokens: stats.reusedTokens,
    computed_tokens: promptIds.length - stats.reusedTokens,
    saved_ms: promptCache === null ? null : Math.round(promptCache.savedMs * 10) / 10,
    miss_reason: promptCache?.missReason ?? null,
    first_difference:
      difference === null
        ? null
        : { index: difference.index, stored: tokenText(difference.stored), new: tokenText(difference.new) },
  };
}

/** `verify` of --json. */
export function verifyJson(report: VerifyReport): object {
  const { maxAbsDiff, meanAbsDiff, steps, firstDifference } = report;
  return { max_abs_diff: maxAbsDiff, mean_abs_diff: meanAbsDiff, steps, first_difference: firstDifference };
}

/** Why a prompt was computed and from where on it is another one; undefined: all of it was known. */
export function missLine({
  promptCache,
  stats,
  tokenText,
}: Pick<GenerateRun, 'promptCache' | 'stats' | 'tokenText'>): string | undefined {
  if (promptCache === null || promptCache.result === 'hit') {
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
