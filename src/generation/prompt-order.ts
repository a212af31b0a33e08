// Many prompts before they are run: how much of them is known when their turn comes, and in which order that is most.
// `kvgen cache plan` shows it, and `kvgen batch --reorder` runs them so. It follows what PromptPool does, without keys and
// values. Knows nothing of text or of lines.

import type { ModelConfig } from '../model/config.js';
import { EventLoop } from './event-loop.js';
import { PromptTree } from './prompt-tree.js';
import { RecentPrompts } from './recent-prompts.js';

export interface PlannedPrompt {
  readonly ids: readonly number[];
  /** Is it spared what is known of it? Not where the logits behind each of its ids are asked for. */
  readonly reuses: boolean;
  /** Is it known to those after it? Not where it runs without a cache. */
  readonly isKept: boolean;
  /** How many tokens the prompt cache on disk knows before any of them is run. */
  readonly onDisk: number;
}

export interface ReuseOptions {
  readonly config: ModelConfig;
  /** Does each prompt that was run stay on disk for the others? */
  readonly staysOnDisk: boolean;
  readonly signal: AbortSignal;
}

/** @returns how many tokens of the prompts need not be run, when they are run in their order */
export async function reusedTokens(prompts: readonly PlannedPrompt[], options: ReuseOptions): Promise<number> {
  const pool = new RecentPrompts<null>(options.config);
  const disk = new PromptTree();
  const eventLoop = new EventLoop();
  let reused = 0;
  for (const { ids, reuses, isKept, onDisk } of prompts) {
    await turn(eventLoop, options.signal);
    const inMemory = reuses ? pool.nearest(ids) : undefined;
    const stored = isKept && options.staysOnDisk ? disk.add(ids) : { common: 0, isSame: false };
    const storedTokens = stored.isSame ? ids.length : Math.min(stored.common, ids.length - 1);
    const known = Math.max(inMemory?.known ?? 0, storedTokens, onDisk);
    reused += reuses ? known : 0;
    if (isKept && !inMemory?.isSame) {
      pool.keep(ids, null);
    }
  }
  return reused;
}

/**
 * The order in which prompts share most, as their indices: those that begin alike follow each other. The order that they
 * have is kept where no other is better.
 */
export async function bestOrder(
  prompts: readonly PlannedPrompt[],
  options: Pick<ReuseOptions, 'config' | 'signal'>,
): Promise<readonly number[]> {
  const tree = new PromptTree();
  const eventLoop = new EventLoop();
  for (const { ids } of prompts) {
    await turn(eventLoop, options.signal);
    tree.add(ids);
  }
  const order = tree.order();
  const inMemory = (ordered: readonly PlannedPrompt[]) => reusedTokens(ordered, { ...options, staysOnDisk: false });
  const reordered = await inMemory(order.map((i) => prompts[i] as PlannedPrompt));
  return reordered > (await inMemory(prompts)) ? order : prompts.map((_, i) => i);
}

/** @throws the reason of an abort, which is noticed here */
async function turn(eventLoop: EventLoop, signal: AbortSignal): Promise<void> {
  if (eventLoop.due) {
    await eventLoop.run();
    signal.throwIfAborted();
  }
}
