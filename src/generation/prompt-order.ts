// Many prompts before they are run: how much of them is known when their turn comes, and in which order that is most.
// `kvgen cache plan` shows it, and `kvgen batch --reorder` runs them so. It follows what PromptPool does, without keys and
// values. Knows nothing of text or of lines.

import type { ModelConfig } from '../model/config.js';
import { EventLoop } from './event-loop.js';
import { PromptTree } from './prompt-tree.js';
import { RecentPrompts } from './recent-prompts.js';

/** What is remembered of what lies on disk: ids of prompts. Of a longer input the first prompts are forgotten. */
const MAX_IDS_ON_DISK = 2 ** 24;

export interface PlannedPrompt {
  readonly ids: readonly number[];
  /** Is it spared what is known of it? Not where the logits behind each of its ids are asked for. */
  readonly reuses: boolean;
  /** Is it known to those after it? Not where it runs without a cache. */
  readonly isKept: boolean;
  /** How many tokens the prompt cache on disk knows before any of them is run. */
  readonly onDisk: number;
}

interface OrderOptions {
  readonly config: ModelConfig;
  readonly signal: AbortSignal;
}

/** Follows prompts that are run one after the other. */
export class ReusedTokens {
  /** Of all prompts so far. */
  total = 0;
  readonly #pool: RecentPrompts<null>;
  /** null: what was run does not stay there. */
  #disk: PromptTree | null;
  #idsOnDisk = 0;

  /** @param staysOnDisk does each prompt that was run stay on disk for the others? */
  constructor(config: ModelConfig, staysOnDisk: boolean) {
    this.#pool = new RecentPrompts(config);
    this.#disk = staysOnDisk ? new PromptTree() : null;
  }

  /** @throws what `signal` aborts with */
  async run(prompts: readonly PlannedPrompt[], signal: AbortSignal): Promise<void> {
    const eventLoop = new EventLoop();
    for (const prompt of prompts) {
      await turn(eventLoop, signal);
      this.#add(prompt);
    }
  }

  #add({ ids, reuses, isKept, onDisk }: PlannedPrompt): void {
    const inMemory = reuses ? this.#pool.nearest(ids) : undefined;
    const stored = isKept ? this.#stored(ids) : 0;
    this.total += reuses ? Math.max(inMemory?.known ?? 0, stored, onDisk) : 0;
    if (isKept && !inMemory?.isSame) {
      this.#pool.keep(ids, null);
    }
  }

  /** How many tokens the disk knows from the prompts before. */
  #stored(ids: readonly number[]): number {
    if (this.#disk === null) {
      return 0;
    }
    this.#idsOnDisk += ids.length;
    if (this.#idsOnDisk > MAX_IDS_ON_DISK) {
      this.#disk = new PromptTree();
      this.#idsOnDisk = ids.length;
    }
    const { common, isSame } = this.#disk.add(ids);
    return isSame ? ids.length : Math.min(common, ids.length - 1);
  }
}

/**
 * The order in which prompts share most, as their indices: those that begin alike follow each other. The order that they
 * have is kept where no other is better.
 */
export async function bestOrder(
  prompts: readonly PlannedPrompt[],
  { config, signal }: OrderOptions,
): Promise<readonly number[]> {
  const tree = new PromptTree();
  const eventLoop = new EventLoop();
  for (const { ids } of prompts) {
    await turn(eventLoop, signal);
    tree.add(ids);
  }
  const order = tree.order();
  const [before, after] = [new ReusedTokens(config, false), new ReusedTokens(config, false)];
  await before.run(prompts, signal);
  await after.run(inThatOrder(prompts, order), signal);
  return after.total > before.total ? order : prompts.map((_, i) => i);
}

export function inThatOrder<T>(items: readonly T[], order: readonly number[]): T[] {
  return order.map((i) => items[i] as T);
}

/** @throws the reason of an abort, which is noticed here */
async function turn(eventLoop: EventLoop, signal: AbortSignal): Promise<void> {
  if (eventLoop.due) {
    await eventLoop.run();
    signal.throwIfAborted();
  }
}
