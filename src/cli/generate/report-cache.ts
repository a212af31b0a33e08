// What the saved prompts did for a run, and what comparing cached with uncached logits gave: as JSON and in words.
// The fields of the JSON are a contract with other programs.

import type { Completion } from '../../completion/complete.js';
import type { Prompt } from '../../completion/request.js';
import { shown } from '../../errors.js';
import type { VerifyReport } from '../../generation/verify.js';
import { tokenText } from '../../text/detokenizer.js';
import type { FinishedRun } from './samples.js';

/** What is known of a prompt's reuse. */
interface PromptReuse extends Pick<FinishedRun, 'promptCache' | 'tokenizer'> {
  readonly prompt: Pick<Prompt, 'ids'>;
  readonly completion: Pick<Completion, 'stats'>;
}

/** `cache.prompt` of --json. */
export function promptCacheJson(reuse: PromptReuse): object {
  const { promptCache, tokenizer, prompt, completion } = reuse;
  const { reusedTokens } = completion.stats;
  const difference = promptCache?.firstDifference ?? null;
  const textOf = (id: number) => tokenText(tokenizer, id);
  return {
    result: resultOf(reuse),
    reused_tokens: reusedTokens,
    computed_tokens: prompt.ids.length - reusedTokens,
    written_tokens: promptCache?.writtenTokens ?? 0,
    saved_ms: promptCache === null ? null : Math.round(promptCache.savedMs * 10) / 10,
    miss_reason: reusedTokens > 0 ? null : (promptCache?.missReason ?? null),
    first_difference:
      difference === null
        ? null
        : { index: difference.index, stored: textOf(difference.stored), new: textOf(difference.new) },
  };
}

/** How much of the prompt was known, from disk or from an earlier prompt of the same run. */
function resultOf({ promptCache, prompt, completion }: PromptReuse): string {
  const { reusedTokens } = completion.stats;
  if (reusedTokens === 0) {
    return promptCache === null ? 'off' : 'miss';
  }
  return reusedTokens === prompt.ids.length ? 'hit' : 'partial';
}

/** `verify` of --json; it has `cache_dtype` where keys and values were read from disk. */
export function verifyJson(report: VerifyReport): object {
  const { maxAbsDiff, meanAbsDiff, steps, restoredAs, firstDifference } = report;
  const differences = { max_abs_diff: maxAbsDiff, mean_abs_diff: meanAbsDiff, steps };
  const read = restoredAs === null ? {} : { cache_dtype: restoredAs };
  return { ...differences, ...read, first_difference: firstDifference };
}

/** Why a prompt was computed, and where it differs from the saved ones; undefined: all of it was known. */
export function missLine(reuse: PromptReuse): string | undefined {
  const { promptCache, completion } = reuse;
  if (promptCache === null || resultOf(reuse) === 'hit') {
    return undefined;
  }
  const known = promptCache.missReason ?? `the first ${completion.stats.reusedTokens} tokens were stored`;
  return `prompt cache: ${known}${differenceWords(reuse)}`;
}

function differenceWords({ promptCache, tokenizer }: PromptReuse): string {
  const difference = promptCache?.firstDifference ?? null;
  if (difference === null) {
    return '';
  }
  const word = (id: number) => `${shown(tokenText(tokenizer, id))} (${id})`;
  const { index, stored, new: found } = difference;
  return `; the nearest one differs at token ${index}: stored ${word(stored)}, now ${word(found)}`;
}

/** What --verify-cache says in the end. */
export function verifyLine(report: VerifyReport): string {
  const { steps, maxAbsDiff, meanAbsDiff, maxAbsLogit, restoredAs, firstDifference } = report;
  const digits = (x: number) => (x === 0 ? '0' : x.toExponential(1));
  const difference = `largest difference ${digits(maxAbsDiff)} (mean ${digits(meanAbsDiff)})`;
  const where =
    firstDifference === null
      ? 'the likeliest token is the same at every step'
      : `step ${firstDifference.step}: token ${firstDifference.cached} instead of ${firstDifference.uncached}, ` +
        `which are ${firstDifference.gap.toExponential(1)} apart`;
  const logits = `logits up to ${maxAbsLogit.toFixed(1)}`;
  const restored = restoredAs === null ? '' : `, keys and values read as ${restoredAs}`;
  return `cached against uncached, ${steps} steps: ${difference} of ${logits}${restored}; ${where}`;
}
