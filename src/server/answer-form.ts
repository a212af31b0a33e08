// What the two forms of answers have in common: whole answers and the chunks of a stream, with their usage. Knows nothing of
// HTTP.

import { randomUUID } from 'node:crypto';
import type { Completion, CompletionToken } from '../completion/complete.js';
import type { Prompt } from '../completion/request.js';
import type { FinishReason } from '../generation/sequence.js';

/** A token as answers show it. The first of a prompt has no log-probability, since nothing predicts it. */
export type ShownToken = CompletionToken;

/** One text of an answer. Its members are the `choices` of answers and of chunks. */
export interface ChoiceForm {
  /** What a stream says before the first token; null: nothing. */
  opening(): object | null;
  /** What a stream says of new tokens; null: nothing. */
  piece(tokens: readonly ShownToken[]): object | null;
  /** What a stream says at the end. */
  ending(completion: Completion): object;
  /** All of it at once. */
  whole(completion: Completion): object;
}

/** What stands around the choices. */
export interface Envelope {
  /** Of a whole answer, such as `text_completion`. */
  readonly object: string;
  /** Of a chunk. */
  readonly chunk: string;
  /** What its id begins with. */
  readonly prefix: string;
}

/** The model as clients know it. */
export interface Served {
  readonly name: string;
  /** All names that a request may give for it. */
  readonly names: readonly string[];
  /** Of what computes it: with the same one the same seed gives the same text. */
  readonly fingerprint: string;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

export class Answer {
  readonly #head: object;
  readonly #envelope: Envelope;
  readonly #includeUsage: boolean;

  constructor({ name, fingerprint }: Served, envelope: Envelope, includeUsage: boolean) {
    const id = `${envelope.prefix}-${randomUUID().replaceAll('-', '')}`;
    const created = Math.floor(Date.now() / 1000);
    this.#head = { id, created, model: name, system_fingerprint: fingerprint };
    this.#envelope = envelope;
    this.#includeUsage = includeUsage;
  }

  whole(choices: readonly object[], usage: Usage): object {
    return { ...this.#head, object: this.#envelope.object, choices, usage };
  }

  chunk(choice: object): object {
    const usage = this.#includeUsage ? { usage: null } : {};
    return { ...this.#head, object: this.#envelope.chunk, choices: [choice], ...usage };
  }

  /** The last chunk, with the usage where it was asked for. */
  last(usage: Usage): object[] {
    return this.#includeUsage ? [{ ...this.#head, object: this.#envelope.chunk, choices: [], usage }] : [];
  }
}

/** @returns as OpenAI names it: the end of the context is one of length */
export function finishReason(reason: FinishReason): string {
  return reason === 'context' ? 'length' : reason;
}

/** The tokens of a prompt count once, however many texts it has. */
export function usageOf(prompts: readonly Prompt[], n: number, completions: readonly Completion[]): Usage {
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  const promptTokens = sum(prompts.map(({ ids }) => ids.length));
  const completionTokens = sum(completions.map(({ stats }) => stats.generationTokens));
  const cached = sum(completions.filter((_, i) => i % n === 0).map(({ stats }) => stats.reusedTokens));
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cached },
  };
}
