// What `kvgen cache plan` shows: as a table and words, and as JSON, whose fields are a contract with other programs.

import type { BatchPlan } from './batch-plan.js';

/** Errors of lines that are shown one by one. */
const MAX_ERRORS = 10;
/** Characters of the order that are shown; --json has all of it. */
const MAX_ORDER = 240;

export function planTable({ tokens, onDisk, looksOnDisk, inTurn, reordered }: BatchPlan): string[][] {
  const row = (name: string, reused: number) => {
    const share = tokens === 0 ? '' : `${Math.round((100 * reused) / tokens)} %`;
    return [name, String(tokens), String(reused), String(tokens - reused), share];
  };
  return [
    ['ORDER', 'TOKENS', 'REUSED', 'COMPUTED', 'SHARE'],
    row('of the file', inTurn.total),
    row('best', reordered.total),
    ...(looksOnDisk ? [row('on disk now', onDisk)] : []),
  ];
}

/** The numbers of the lines in the best order, those that follow each other as `3-7`. */
export function orderWords({ order }: BatchPlan): string {
  const isSorted = order.every((line, i) => i === 0 || line > (order[i - 1] as number));
  if (isSorted) {
    return 'the order of the file is the best one';
  }
  const words = `lines in the best order: ${ranges(order).join(' ')}`;
  return words.length <= MAX_ORDER ? words : `${words.slice(0, words.lastIndexOf(' ', MAX_ORDER))} …`;
}

function ranges(numbers: readonly number[]): string[] {
  const found: { first: number; last: number }[] = [];
  for (const number of numbers) {
    const range = found.at(-1);
    if (range !== undefined && range.last + 1 === number) {
      range.last = number;
    } else {
      found.push({ first: number, last: number });
    }
  }
  return found.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`));
}

/** What is wrong with lines that cannot be run. */
export function errorLines({ errors }: BatchPlan): string[] {
  const shown = errors.slice(0, MAX_ERRORS).map(({ line, error }) => `line ${line}: ${error}`);
  const more = errors.length - shown.length;
  return more === 0 ? shown : [...shown, `${more} more lines cannot be run; --json names them all`];
}

export function planJson(model: string, plan: BatchPlan): object {
  const { tokens, onDisk, looksOnDisk, inTurn, reordered, order, errors } = plan;
  const reuse = (reused: number) => ({ reused_tokens: reused, computed_tokens: tokens - reused });
  return {
    model,
    rows: order.length,
    failed: errors.length,
    prompt_tokens: tokens,
    file_order: reuse(inTurn.total),
    best_order: { ...reuse(reordered.total), lines: order },
    on_disk_tokens: looksOnDisk ? onDisk : null,
    errors: errors.map(({ line, id, error }) => ({ line, id, error })),
  };
}
