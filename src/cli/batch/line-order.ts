// The lines of `kvgen batch --reorder` and `kvgen cache plan`, many at a time, and what is known of their prompts before they
// run. Knows nothing of models or of what is written.

import type { Line } from '../../files/lines.js';
import type { PlannedPrompt } from '../../generation/prompt-order.js';
import type { GenerateArgs } from '../../settings.js';

/** Of how many lines and bytes an order is made at most: of a longer input it is made part by part. */
const MAX_LINES = 2 ** 14;
const MAX_BYTES = 2 ** 25;

/**
 * The lines in parts.
 * @throws what reading them throws, once what was read before has been given out
 */
export async function* partsOf(lines: AsyncIterable<Line>): AsyncGenerator<readonly Line[], void> {
  let part: Line[] = [];
  let bytes = 0;
  let failure: { readonly error: unknown } | undefined;
  try {
    for await (const line of lines) {
      part.push(line);
      bytes += line.bytes?.length ?? 0;
      if (part.length >= MAX_LINES || bytes >= MAX_BYTES) {
        yield part;
        part = [];
        bytes = 0;
      }
    }
  } catch (error) {
    failure = { error };
  }
  if (part.length > 0) {
    yield part;
  }
  if (failure !== undefined) {
    throw failure.error;
  }
}

/** @param onDisk how many tokens of its prompt the prompt cache knows */
export function plannedPrompt(ids: readonly number[], args: GenerateArgs, onDisk = 0): PlannedPrompt {
  const { cache, echo, logprobs } = args;
  return { ids, reuses: cache && !(echo && logprobs !== undefined), isKept: cache, onDisk };
}

/**
 * Items in an order, except that the first of those that are left comes next while `isTooMuch`.
 * @param order the indices of all items
 */
export function* inOrder<T>(
  items: readonly T[],
  order: readonly number[],
  isTooMuch: () => boolean,
): Generator<T, void> {
  const left = new Set(items);
  for (const i of order) {
    for (let [first] = left; first !== undefined && isTooMuch(); [first] = left) {
      left.delete(first);
      yield first;
    }
    const item = items[i] as T;
    if (left.delete(item)) {
      yield item;
    }
  }
}
