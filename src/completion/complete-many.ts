// Texts from many prompts: joins the loop over many sequences with a detokenizer and stop strings for each. Knows
// nothing of stdout or of the order in which the texts are wanted.

import type { Engine } from '../engine/engine.js';
import { generateMany, type RequestSource } from '../generation/generate-many.js';
import type { PoolOptions } from '../generation/prompt-pool.js';
import type { SequenceStats } from '../generation/sequence.js';
import type { TokenTexts } from '../text/detokenizer.js';
import { type Completion, type CompletionToken, GrowingText } from './complete.js';
import type { CompletionRequest } from './request.js';

/** One event of a request: tokens with the text that each released, the end, or an error and what came before it. */
export type CompletionEvent<R> = { readonly request: R } & (
  | { readonly tokens: readonly CompletionToken[]; readonly stats: SequenceStats }
  | { readonly end: Completion }
  | { readonly error: unknown; readonly partial?: Completion | undefined }
);

/**
 * Generates the texts of all requests, `concurrency` of them together.
 * @param tokenizer null: the model has none, and every text is empty
 * @param pool what is kept in memory for prompts that begin alike
 */
export async function* completeMany<R extends CompletionRequest>(
  engine: Engine,
  tokenizer: TokenTexts | null,
  source: RequestSource<R>,
  concurrency: number,
  pool: PoolOptions = {},
): AsyncGenerator<CompletionEvent<R>, void> {
  const sequences: RequestSource<GrowingText<R>> = {
    take() {
      const request = source.take();
      return request === undefined ? undefined : new GrowingText(request, tokenizer);
    },
    wait: () => source.wait(),
  };
  for await (const event of generateMany(engine, sequences, concurrency, pool)) {
    const text = event.request;
    const { request } = text;
    if ('error' in event) {
      yield { request, error: event.error };
    } else if ('token' in event) {
      yield { request, tokens: text.add(event.token.id), stats: event.token.stats };
    } else {
      yield { request, tokens: text.end(), stats: event.end.stats };
      yield { request, end: text.completion(event.end) };
    }
  }
}
