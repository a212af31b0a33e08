// The prompts of a batch, and how many of their tokens need not be computed: in the order of the lines, and in the best one.
// Knows nothing of engines or of how that is shown.

import type { TemplatedPrompts } from '../../chat/templated-prompts.js';
import type { TextModel } from '../../completion/text-bounds.js';
import type { Line } from '../../files/lines.js';
import { EventLoop } from '../../generation/event-loop.js';
import { bestOrder, inThatOrder, type PlannedPrompt, ReusedTokens } from '../../generation/prompt-order.js';
import type { GenerateArgs } from '../../settings.js';
import type { KnownLength } from '../../store/prompts.js';
import { type LineError, prepareLine, promptsOfModel } from '../batch/batch-line.js';
import { partsOf, plannedPrompt } from '../batch/line-order.js';

interface BatchPlanOptions {
  readonly model: TextModel;
  /** Of lines that do not say otherwise. */
  readonly defaults: GenerateArgs;
  /** What the prompt cache knows; null: a batch with these settings does not ask it. */
  readonly known: KnownLength | null;
  /** Makes prompts of chats. */
  readonly chats: TemplatedPrompts;
  readonly signal: AbortSignal;
}

/** Why a line cannot be run. */
export interface PlanError extends LineError {
  readonly line: number;
}

/** The prompts of a batch, and what is saved in two orders. */
export class BatchPlan {
  /** Tokens of all prompts. */
  tokens = 0;
  /** Of these, in the prompt cache already. */
  onDisk = 0;
  /** The numbers of the lines in the best order. */
  readonly order: number[] = [];
  readonly errors: PlanError[] = [];
  /** What was reused in the order of the file, and in the best one. */
  readonly inTurn: ReusedTokens;
  readonly reordered: ReusedTokens;
  readonly #options: BatchPlanOptions;

  constructor(options: BatchPlanOptions) {
    const { model, defaults, known } = options;
    const staysOnDisk = known !== null && defaults.writeCache;
    this.inTurn = new ReusedTokens(model.config, staysOnDisk);
    this.reordered = new ReusedTokens(model.config, staysOnDisk);
    this.#options = options;
  }

  /** Does such a batch look for its prompts on disk? */
  get looksOnDisk(): boolean {
    return this.#options.known !== null;
  }

  /** @throws what the signal aborts with */
  async read(lines: AsyncIterable<Line>): Promise<void> {
    const { signal } = this.#options;
    for await (const part of partsOf(lines)) {
      const prompts: PlannedPrompt[] = [];
      const numbers: number[] = [];
      const eventLoop = new EventLoop();
      for (const line of part) {
        if (eventLoop.due) {
          await eventLoop.run();
        }
        signal.throwIfAborted();
        const prompt = await this.#prepare(line);
        if (prompt !== null) {
          prompts.push(prompt);
          numbers.push(line.number);
        }
      }
      await this.#add(prompts, numbers);
    }
  }

  /** null: the line cannot be run. */
  async #prepare(line: Line): Promise<PlannedPrompt | null> {
    const { model, defaults, known, chats, signal } = this.#options;
    const prompts = promptsOfModel(model, chats);
    const prepared = await prepareLine(line, defaults, prompts, { onNote: () => {}, signal });
    if ('error' in prepared) {
      this.errors.push({ ...prepared.error, line: line.number });
      return null;
    }
    const { args, prompt } = prepared;
    return plannedPrompt(prompt.ids, args, args.cache ? known?.(prompt.ids) : 0);
  }

  async #add(prompts: readonly PlannedPrompt[], numbers: readonly number[]): Promise<void> {
    const { model, signal } = this.#options;
    const order = await bestOrder(prompts, { config: model.config, signal });
    await this.inTurn.run(prompts, signal);
    await this.reordered.run(inThatOrder(prompts, order), signal);
    for (const { ids, onDisk, reuses } of prompts) {
      this.tokens += ids.length;
      this.onDisk += reuses ? onDisk : 0;
    }
    for (const number of inThatOrder(numbers, order)) {
      this.order.push(number);
    }
  }
}
