// How a model wants a chat to be written: its template makes one text of all messages. Knows nothing of ids.
// Reference: `apply_chat_template` of transformers 4.57.

import { errorMessage, KvgenError, oneLine } from '../errors.js';
import type { TextFile } from '../text/tokenizer-files.js';
import type { ChatMessage } from './messages.js';
import { TemplateProcess } from './template-process.js';

export interface RenderOptions {
  /** Does the text end where an answer begins? */
  readonly addGenerationPrompt: boolean;
  readonly signal?: AbortSignal | undefined;
}

export class ChatTemplate {
  readonly #file: TextFile;
  readonly #named: Readonly<Record<string, string>>;
  readonly #process: TemplateProcess;

  /** @param named the special tokens that a template may write by their names, such as `bos_token` */
  constructor(file: TextFile, named: Readonly<Record<string, string>>, process = new TemplateProcess(file)) {
    this.#file = file;
    this.#named = named;
    this.#process = process;
  }

  /**
   * @returns the text, whose special tokens are recognised; nothing is put before it
   * @throws KvgenError with the turn that the template does not take, and why; what `signal` aborts with
   */
  async render(messages: readonly ChatMessage[], options: RenderOptions): Promise<string> {
    const rendering = await this.#render(messages, options);
    if ('text' in rendering) {
      return rendering.text;
    }
    const where = await this.#firstRefused(messages, rendering.error, options);
    const role = messages[where]?.role;
    const turn = role === undefined ? 'no turn' : `turn ${where + 1} (${role})`;
    throw new KvgenError(`${this.#file.path}: the chat template: ${turn}: ${oneLine(rendering.error)}`);
  }

  dispose(): void {
    this.#process.stop();
  }

  /** The index of the message with which the template begins to complain of this. */
  async #firstRefused(messages: readonly ChatMessage[], error: string, options: RenderOptions): Promise<number> {
    let [taken, refused] = [0, messages.length];
    while (refused - taken > 1) {
      const middle = (taken + refused) >> 1;
      const rendering = await this.#render(messages.slice(0, middle), options).catch((problem: unknown) => {
        options.signal?.throwIfAborted();
        return { error: errorMessage(problem) };
      });
      const isRefused = 'error' in rendering && rendering.error === error;
      [taken, refused] = isRefused ? [taken, middle] : [middle, refused];
    }
    return refused - 1;
  }

  #render(messages: readonly ChatMessage[], { addGenerationPrompt, signal }: RenderOptions) {
    const variables = { ...this.#named, messages, add_generation_prompt: addGenerationPrompt };
    return this.#process.render(variables, signal);
  }
}
