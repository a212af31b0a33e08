// Prompts that are chats, each by itself: the text that the model's template makes of the messages, and the ids that end the
// answer. The template is opened when the first is asked for. Knows nothing of turns that follow.

import { KvgenError } from '../errors.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { ChatMessage } from './messages.js';
import { noTemplate } from './open-template.js';
import type { ChatTemplate } from './prompt-template.js';
import { turnEnd } from './turn-end.js';

interface TemplatedPrompt {
  /** Special tokens in it are recognised; nothing is put before it. */
  readonly text: string;
  readonly turnEnds: readonly number[];
}

interface OpenTemplate {
  readonly template: ChatTemplate;
  readonly turnEnds: readonly number[];
}

export class TemplatedPrompts {
  readonly #dir: string;
  readonly #tokenizer: Tokenizer | null;
  readonly #open: () => Promise<ChatTemplate | null>;
  #opened: Promise<OpenTemplate> | undefined;

  /** @param dir the model's, for messages */
  constructor(dir: string, tokenizer: Tokenizer | null, open: () => Promise<ChatTemplate | null>) {
    this.#dir = dir;
    this.#tokenizer = tokenizer;
    this.#open = open;
  }

  /** @throws KvgenError where there is no template, or it refuses a turn; what `signal` aborts with */
  async prompt(messages: readonly ChatMessage[], signal?: AbortSignal): Promise<TemplatedPrompt> {
    const { template, turnEnds } = await this.#openOnce(signal);
    return { text: await template.render(messages, { addGenerationPrompt: true, signal }), turnEnds };
  }

  /** Opens the template before it is asked for. @throws KvgenError where there is none; what `signal` aborts with */
  async open(signal?: AbortSignal): Promise<void> {
    await this.#openOnce(signal);
  }

  dispose(): void {
    this.#opened?.then(({ template }) => template.dispose()).catch(() => {});
  }

  #openOnce(signal: AbortSignal | undefined): Promise<OpenTemplate> {
    this.#opened ??= this.#openTemplate(signal);
    return this.#opened;
  }

  async #openTemplate(signal: AbortSignal | undefined): Promise<OpenTemplate> {
    const tokenizer = this.#tokenizer;
    if (tokenizer === null) {
      throw new KvgenError(`${this.#dir}: a chat needs a tokenizer`);
    }
    const template = await this.#open();
    if (template === null) {
      throw noTemplate(this.#dir);
    }
    const end = await turnEnd(template, tokenizer, signal);
    return { template, turnEnds: end === undefined ? [] : [end] };
  }
}
