// What the saved prompts did for a run, and what comparing cached with uncached gave: as JSON and in words.

import type { VerifyReport } from '../../generation/verify.js';
import { type FinishedRun, tokenText } from './text-run.js';

/** What is known of a prompt's reuse. */
type PromptReuse = Pick<FinishedRun, 'promptCache' | 'tokenizer'> & {
  readonly promptTokens: number;
  readonly reusedTokens: number;
};

/** `cache.prompt` of --json. */
export function promptCacheJson(run: FinishedRun): object {
  const { promptCache } = run;
  const reuse = reuseOf(run);
  const { promptTokens, reusedTokens } = reuse;
  const difference = promptCache?.firstDifference ?? null;
  return {
    result: resultOf(reuse),
    reused_tokens: reusedTokens,
    computed_tokens: promptTokens - reusedTokens,
    saved_ms: promptCache === null ? null : Math.round(promptCache.savedMs * 10) / 10,
    miss_reason: reusedTokens > 0 ? null : (promptCache?.missReason ?? null),
    first_difference:
      difference === null
        ? null
        : {
            index: difference.index,
            stored: tokenText(run, difference.stored),
            new: tokenText(run, difference.new),
          },
  };
}

export function reuseOf({ promptCache, tokenizer, prompt, completion }: FinishedRun): PromptReuse {
  const { reusedTokens } = completion.stats;
  return { promptCache, tokenizer, promptTokens: prompt.ids.length, reusedTokens };
}

/** What was known of the prompt, from disk or from a prompt before it. */
function resultOf({ promptCache, promptTokens, reusedTokens }: PromptReuse): string {
  if (reusedTokens === 0) {
    return promptCache === null ? 'off' : 'miss';
  }
  return reusedTokens === promptTokens ? 'hit' : 'partial';
}

/** `verify` of --json. */
export function verifyJson(report: VerifyReport): object {
  const { maxAbsDiff, meanAbsDiff, steps, firstDifference } = report;
  return { max_abs_diff: maxAbsDiff, mean_abs_diff: meanAbsDiff, steps, first_difference: firstDifference };
}

/** Why a prompt was computed and from where on it is another one; undefined: all of it was known. */
export function missLine(reuse: PromptReuse): string | undefined {
  const { promptCache, reusedTokens } = reuse;
  if (promptCache === null || resultOf(reuse) === 'hit') {
    return undefined;
  }
  const known = promptCache.missReason ?? `the first ${reusedTokens} tokens were stored`;
  return `prompt cache: ${known}${differenceWords(reuse)}`;
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

function differenceWords({ promptCache, tokenizer }: PromptReuse): string {
  const difference = promptCache?.firstDifference ?? null;
  if (difference === null) {
    return '';
  }
  const word = (id: number) => `${JSON.stringify(tokenText({ tokenizer }, id))} (${id})`;
  const { index, stored, new: found } = difference;
  return `; the nearest one differs at token ${index}: stored ${word(stored)}, now ${word(found)}`;
}
