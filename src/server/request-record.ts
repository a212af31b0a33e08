// What is known of one HTTP request: for its line in the log, and for the metrics. Knows nothing of HTTP's transport.

import { shown } from '../errors.js';
import type { Usage } from './answer-form.js';

export class RequestRecord {
  readonly #method: string;
  readonly #path: string;
  readonly #arrived = performance.now();
  /** undefined: no text was generated, or not to its end. */
  usage: Usage | undefined;
  /** How many tokens were generated so far; undefined: it had not come to that. */
  tokens: (() => number) | undefined;
  /** Why it ended: the reasons of its texts, or the error. */
  why: string | undefined;
  user: string | undefined;
  /** What is shown of its prompts with --verbose. */
  readonly prompts: string[] = [];

  /** @param url its query may hold a secret, and is not kept */
  constructor(method: string, url: string) {
    this.#method = method;
    this.#path = url.replace(/\?.*$/s, '');
  }

  /** The line of the log. */
  line(status: number, verbose: boolean): string {
    const { usage, user } = this;
    const parts = [
      `${this.#method} ${this.#path.slice(0, 80)} ${status}`,
      usage && `${usage.prompt_tokens} tokens in (${usage.prompt_tokens_details.cached_tokens} reused)`,
      this.tokens && `${usage?.completion_tokens ?? this.tokens()} out`,
      `${(performance.now() - this.#arrived).toFixed(0)} ms`,
      this.why,
      user && `user ${shown(user)}`,
      verbose && this.prompts.length > 0 ? this.prompts.map((prompt) => shown(prompt)).join(', ') : undefined,
    ];
    return parts.filter((part) => part !== undefined).join(' · ');
  }
}
