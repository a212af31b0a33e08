// Texts from many prompts: joins the loop over many sequences, a detokenizer and stop strings for each. Knows nothing
// of stdout, nor in which order the texts are wanted.

import type { Engine } from '../engine/engine.js';
import { generateRows, type RowRequest, type RowSource } from '../generation/generate-many.js';
import type { FinishReason, GenerateStats } from '../generation/sequence.js';
import type { Sampler } from '../sampling/sampler.js';
import { TokenStream } from '../text/token-stream.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { type CompleteOptions, type CompletionToken, LogprobSampler } from './complete.js';

export interface CompletionRequest {
  readonly promptIds: readonly number[];
  readonly sampler: Sampler;
  /** Texts that end this row's. */
  readonly stops: readonly string[];
  readonly options: CompleteOptions;
  /** Filled while it runs. */
  readonly stats: GenerateStats;
}

/** What came of a request: a token with the text that it released, the end, or what went wrong. */
export type CompletionEvent<R> = { readonly request: R } & (
  | { readonly token: CompletionToken }
  | { readonly end: FinishReason }
  | { readonly error: unknown }
);

/**
 * Generates the texts of all requests, `concurrency` of them together.
 * @param tokenizer null: a model without one; every text is then empty
 */
export async function* completeRows<R extends CompletionRequest>(
  engine: Engine,
  tokenizer: Pick<Tokenizer, 'bytes'> | null,
  source: RowSource<R>,
  concurrency: number,
): AsyncGenerator<CompletionEvent<R>, void> {
  const rows: RowSource<Row<R>> = {
    take() {
      const request = source.take();
      return request === undefined ? undefined : new Row(request, tokenizer);
    },
    wait: () => source.wait(),
  };
  for await (const event of generateRows(engine, rows, concurrency)) {
    const { request, stream } = event.request;
    if ('error' in event) {
      yield { request, error: event.error };
      continue;
    }
    const tokens = 'id' in event ? event.request.add(event.id) : stream.end();
    yield* tokens.map((token) => ({ request, token }));
    if ('end' in event) {
      yield { request, end: stream.stopped ? 'stop' : event.end };
    }
  }
}

/** A request and its text so far. */
class Row<R extends CompletionRequest> implements RowRequest {
  readonly request: R;
  readonly stream: TokenStream<Omit<CompletionToken, 'text'>>;
  readonly sampler: Sampler;
  readonly #noted: LogprobSampler;

  constructor(request: R, tokenizer: Pick<Tokenizer, 'bytes'> | null) {
    this.request = request;
    this.stream = new TokenStream(tokenizer, request.stops);
    this.#noted = new LogprobSampler(request.sampler, request.options.logprobs);
    this.sampler = this.#noted.sampler;
  }

  get promptIds(): readonly number[] {
    return this.request.promptIds;
  }

  get options(): CompleteOptions {
    return this.request.options;
  }

  get stats(): GenerateStats {
    return this.request.stats;
  }

  add(id: number): CompletionToken[] {
    return this.stream.add({ id, ...this.#noted.last });
  }

  isStopped(): boolean {
    return this.stream.stopped;
  }
}
