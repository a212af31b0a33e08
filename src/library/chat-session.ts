// A conversation of the library: `generate`'s options in camelCase, for all turns or for one. Knows nothing of disks or
// streams.

import { inspect } from 'node:util';
import { type ChatModel, Conversation, type SayOptions, type Turn } from '../chat/conversation.js';
import type { ChatMessage } from '../chat/messages.js';
import type { ChatTemplate } from '../chat/prompt-template.js';
import { checkSameTokens, drafterOf } from '../completion/same-tokens.js';
import { KvgenError, UsageError } from '../errors.js';
import { randomSeed } from '../sampling/random.js';
import { type GenerateOptions, readOptions } from './library-options.js';

/** The options of `generate`, which all turns begin with, and what the model is told before anything is said. */
export interface ChatOptions extends Omit<GenerateOptions, 'signal'> {
  system?: string;
}

/** The options of one turn. */
export type TurnOptions = Omit<GenerateOptions, 'draftModel'>;

/** An answer: its text and ids, why it ended, what was measured. */
export interface ChatTurn extends Turn {
  /** Ids whose keys and values were known. */
  readonly reusedTokens: number;
  /** Ids of the prompt that were run. */
  readonly computedTokens: number;
}

/** Tokens of an answer, where nobody says how many: a model with a template ends its answers itself. */
export const ANSWER_TOKENS = { template: 1024, plain: 128 } as const;

export class Chat {
  readonly #conversation: Conversation;
  readonly #options: GenerateOptions;
  readonly #seed: number;

  private constructor(conversation: Conversation, options: GenerateOptions, seed: number) {
    this.#conversation = conversation;
    this.#options = options;
    this.#seed = seed;
  }

  /** @internal Options are checked before the template is read. */
  static async open(
    model: ChatModel,
    { system, ...options }: ChatOptions,
    template: () => Promise<ChatTemplate | null>,
  ): Promise<Chat> {
    const { seed = randomSeed() } = readOptions(options);
    checkText(system ?? '', 'system');
    if (model.tokenizer === null) {
      throw new KvgenError(`${model.dir}: a chat needs a tokenizer`);
    }
    if (options.draftModel !== undefined) {
      checkSameTokens(model, options.draftModel, 'draftModel');
    }
    const found = await template();
    const { draftModel, ...settings } = options;
    const words = {
      bos: 'bos: false',
      logitBias: 'logitBias',
      advice: 'undo() takes back a turn; onFull: reprefill drops the oldest',
    };
    const drafter = drafterOf(draftModel?.engine ?? null, model.engine);
    const conversation = new Conversation(model, found, { system, words, drafter });
    const maxTokens = found === null ? ANSWER_TOKENS.plain : ANSWER_TOKENS.template;
    return new Chat(conversation, { maxTokens, ...settings }, seed);
  }

  /** Has the model a chat template? One without continues the text. */
  get hasTemplate(): boolean {
    return this.#conversation.hasTemplate;
  }

  /** What the model is told before anything is said. */
  get system(): string | undefined {
    return this.#conversation.system;
  }

  set system(text: string | undefined) {
    checkText(text ?? '', 'system');
    this.#conversation.system = text;
  }

  /** All that was said, the system's message first. */
  get messages(): ChatMessage[] {
    return this.#conversation.messages;
  }

  /** Ids of the whole conversation, as the model has seen it. */
  get tokens(): number {
    return this.#conversation.tokens;
  }

  /**
   * Says something. Answer i of a chat, from 0, uses the chat's seed + i.
   * @param options of this turn alone
   * @yields the answer, piece by piece
   * @returns the whole answer. When the signal aborts, or nobody reads on, what was said until then stays
   * @throws Error with one line: an option, a template that refuses a turn, a conversation that does not fit the context
   */
  say(text: string, options: TurnOptions = {}): AsyncGenerator<string, ChatTurn> {
    checkText(text, 'say');
    return withCounts(this.#conversation.say(text, this.#sayOptions(options)));
  }

  /** Says the last turn's words again, for another answer; it takes the next seed. */
  retry(options: TurnOptions = {}): AsyncGenerator<string, ChatTurn> {
    return withCounts(this.#conversation.retry(this.#sayOptions(options)));
  }

  /** Takes back the last turn. @returns the words that began it; undefined: there is none */
  undo(): string | undefined {
    return this.#conversation.undo()?.user;
  }

  /** Frees keys and values; the model stays. */
  dispose(): void {
    this.#conversation.dispose();
  }

  #sayOptions({ signal, ...options }: TurnOptions): SayOptions {
    const all = { ...this.#options, ...options };
    const settings = readOptions(signal === undefined ? all : { ...all, signal });
    const seedOf = (answer: number) => options.seed ?? this.#seed + answer;
    return { settings, seedOf, signal };
  }
}

async function* withCounts(turn: AsyncGenerator<string, Turn>): AsyncGenerator<string, ChatTurn> {
  const done = yield* turn;
  const { reusedTokens } = done.stats;
  return { ...done, reusedTokens, computedTokens: done.promptIds.length - reusedTokens };
}

function checkText(text: string, name: string): void {
  if (typeof text !== 'string') {
    throw new UsageError(`${name}: expected a text, got ${inspect(text)}`);
  }
}
