// The texts that one request asks for, as they grow: what the loop is to run, and what it has given so far. Who answers the
// request reads the events at its own pace: what waits is bounded by the tokens that were asked for. Knows nothing of HTTP.

import type { Completion, CompletionToken } from '../completion/complete.js';
import { type CompletionRequest, makeRequest, type Prompt } from '../completion/request.js';
import type { Drafter } from '../generation/drafts.js';
import type { SavedPrompts } from '../generation/saved-prompts.js';
import { SavedText } from '../generation/saved-text.js';
import type { Model } from '../library/model.js';
import { type TokenLogprob, tokenLogprob } from '../sampling/logprobs.js';
import { randomSeed } from '../sampling/random.js';
import type { TextQuery } from './text-query.js';

/** One text of a request, as the loop runs it. */
export interface JobText extends CompletionRequest {
  readonly job: TextJob;
  /** Which of the request's texts it is, from 0. */
  readonly index: number;
  /** undefined: nothing of it is kept on disk. */
  readonly saved: SavedText | undefined;
  /** Is it the first of its prompt? The prompt's tokens are counted with it. */
  readonly isFirst: boolean;
}

export type JobEvent = { readonly index: number } & (
  | { readonly tokens: readonly CompletionToken[] }
  | { readonly end: Completion }
);

/** What texts are made with, whatever is asked for. */
export interface JobModel {
  readonly model: Model;
  /** Ids that must not be generated. */
  readonly banned: readonly number[];
  /** Makes what guesses; undefined: what was said before does. */
  readonly drafter: (() => Drafter) | undefined;
  /** Keys and values on disk, for a prompt of this text; null: they are not kept. */
  readonly savedPrompts: (text: string) => SavedPrompts | null;
}

interface JobFacts extends Pick<TextQuery, 'settings' | 'n' | 'echo'> {
  readonly prompts: readonly Prompt[];
  readonly signal: AbortSignal;
}

export class TextJob {
  readonly facts: JobFacts;
  /** When the request came. */
  readonly arrived = performance.now();
  /** Of the ids of each text's prompt after the first; undefined: not asked for. */
  readonly promptLogprobs = new Map<number, TokenLogprob[]>();
  /** Tokens of all its texts so far. */
  tokens = 0;
  readonly #of: JobModel;
  #events: JobEvent[] = [];
  /** Texts that have not ended. */
  #left: number;
  #failure: { readonly error: unknown } | undefined;
  #wake = () => {};

  constructor(facts: JobFacts, of: JobModel) {
    this.facts = facts;
    this.#of = of;
    this.#left = this.count;
    facts.signal.addEventListener('abort', () => this.fail(facts.signal.reason), { once: true });
  }

  /** Texts of all prompts. */
  get count(): number {
    return this.facts.prompts.length * this.facts.n;
  }

  promptOf(index: number): Prompt {
    return this.facts.prompts[Math.floor(index / this.facts.n)] as Prompt;
  }

  /** What the loop runs, each made when it is taken. Text i of a prompt uses seed + i. */
  *texts(): Generator<JobText, void> {
    const { prompts, n, settings } = this.facts;
    for (const [p, prompt] of prompts.entries()) {
      const saved = this.#isScored ? null : this.#of.savedPrompts(prompt.text);
      const seed = settings.seed ?? randomSeed();
      for (let i = 0; i < n; i++) {
        yield this.#text(prompt, p * n + i, seed + i, saved && new SavedText(saved, i === 0, this.facts.signal));
      }
    }
  }

  /** What has happened since it was asked last, as it happens. @throws what became of a text; what the signal aborts with */
  async *events(): AsyncGenerator<JobEvent, void> {
    for (;;) {
      const events = this.#events;
      this.#events = [];
      yield* events;
      if (this.#failure !== undefined) {
        throw this.#failure.error;
      }
      if (this.#events.length === 0 && this.#left === 0) {
        return;
      }
      if (this.#events.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  push(event: JobEvent): void {
    this.#left -= 'end' in event ? 1 : 0;
    this.tokens += 'tokens' in event ? event.tokens.length : 0;
    this.#events.push(event);
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  /** Do the prompts' tokens come with their log-probabilities? */
  get #isScored(): boolean {
    const { echo, settings } = this.facts;
    return echo && settings.logprobs !== undefined;
  }

  #text(prompt: Prompt, index: number, seed: number, saved: SavedText | null): JobText {
    const { settings, signal, echo, n } = this.facts;
    const { model, banned, drafter } = this.#of;
    const wishes = {
      logprobs: settings.logprobs,
      goesOn: echo && (prompt.held ?? '') !== '',
      signal,
      promptCache: saved ?? undefined,
      onPromptLogits: this.#isScored ? this.#notePrompt(prompt, index) : undefined,
      drafter,
    };
    const request = makeRequest(prompt, settings, seed, model, banned, wishes);
    return { ...request, job: this, index, saved: saved ?? undefined, isFirst: index % n === 0 };
  }

  #notePrompt({ ids }: Prompt, index: number): (logits: Float32Array) => void {
    const noted: TokenLogprob[] = [];
    this.promptLogprobs.set(index, noted);
    return (logits) => {
      const next = ids[noted.length + 1];
      if (next !== undefined) {
        noted.push(tokenLogprob(logits, next, this.facts.settings.logprobs ?? 0));
      }
    };
  }
}
