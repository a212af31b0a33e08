// The one loop that runs the texts of all requests together: they join and leave while others run. What goes wrong with one
// text fails its request alone. Knows nothing of HTTP.

import { type CompletionEvent, completeMany } from '../completion/complete-many.js';
import { bytesFor } from '../generation/prompt-pool.js';
import type { Model } from '../library/model.js';
import { ApiError } from './api-error.js';
import type { Metrics } from './metrics.js';
import type { JobText, TextJob } from './text-job.js';
import { WaitingLine } from './waiting-line.js';

export interface LoopLimits {
  /** Texts that are decoded together. */
  readonly concurrency: number;
  /** Requests that may wait for a place. */
  readonly queue: number;
}

/** Seconds after which a request that found no place may be sent again. */
const RETRY_AFTER = 1;

export class TextLoop {
  readonly #model: Pick<Model, 'engine' | 'tokenizer'>;
  readonly #limits: LoopLimits;
  readonly #metrics: Metrics;
  readonly #onError: (error: unknown) => void;
  readonly #line = new WaitingLine<JobText>();
  readonly #running = new Map<JobText, TextTimes>();
  /** Requests whose prompts are being made. */
  #preparing = 0;
  readonly #ended: Promise<void>;

  /** @param onError told what goes wrong where no request is to be told */
  constructor(
    model: Pick<Model, 'engine' | 'tokenizer'>,
    limits: LoopLimits,
    metrics: Metrics,
    onError: (error: unknown) => void,
  ) {
    this.#model = model;
    this.#limits = limits;
    this.#metrics = metrics;
    this.#onError = onError;
    metrics.watch({ waiting: () => this.#line.requests, running: () => this.#running.size });
    this.#ended = this.#run();
  }

  /** Makes the prompts of a request, which waits from now on. @throws ApiError where no more requests may wait */
  async prepare<T>(prompts: () => Promise<T>): Promise<T> {
    this.#checkRoom();
    this.#preparing++;
    try {
      return await prompts();
    } finally {
      this.#preparing--;
    }
  }

  #checkRoom(): void {
    const { concurrency, queue } = this.#limits;
    const [texts, requests] = [this.#running.size + this.#line.texts, this.#line.requests];
    if (texts + this.#preparing >= concurrency && requests + this.#preparing >= queue) {
      const headers = { 'retry-after': `${RETRY_AFTER}` };
      throw new ApiError(429, `${queue} requests are waiting already: try again later`, {
        code: 'queue_full',
        headers,
      });
    }
  }

  /** Runs the texts of a request when it is their turn. @throws ApiError where no more requests may wait; what its signal has aborted with */
  begin(job: TextJob): void {
    this.#checkRoom();
    job.facts.signal.throwIfAborted();
    const leave = this.#line.enter(job.texts(), job.count);
    job.facts.signal.addEventListener('abort', leave, { once: true });
  }

  /** No more requests come. Resolves when the last text has ended. */
  async close(): Promise<void> {
    this.#line.end();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { engine, tokenizer } = this.#model;
    const { concurrency } = this.#limits;
    const source = { take: () => this.#take(), wait: () => this.#line.wait() };
    const pool = { keepsTexts: true, maxBytes: bytesFor(concurrency, engine.config) }; // the next message goes on from an answer
    while (!this.#line.isOver) {
      try {
        const events = completeMany(engine, tokenizer, source, concurrency, pool);
        for await (const event of events) {
          this.#deliver(event);
        }
      } catch (error) {
        this.#failAll(error);
      }
    }
  }

  /** The loop itself has failed, and begins anew. Where nothing ran, it is the next text that it cannot run. */
  #failAll(error: unknown): void {
    const running = this.#running.size > 0 ? [...this.#running.keys()] : [this.#take()];
    for (const text of running.filter((one) => one !== undefined)) {
      this.#fail(text, error);
    }
  }

  #take(): JobText | undefined {
    const text = this.#line.take();
    if (text !== undefined) {
      this.#running.set(text, new TextTimes(text, this.#metrics));
    }
    return text;
  }

  #deliver(event: CompletionEvent<JobText>): void {
    const { request: text } = event;
    if ('error' in event) {
      this.#fail(text, event.error);
    } else if ('tokens' in event) {
      this.#running.get(text)?.note(event.stats);
      text.job.push({ index: text.index, tokens: event.tokens });
    } else {
      this.#running.get(text)?.note(event.end.stats);
      this.#running.delete(text);
      text.job.push({ index: text.index, end: event.end });
      this.#keep(text, event.end.finishReason !== 'abort');
    }
  }

  #fail(text: JobText, error: unknown): void {
    this.#running.delete(text);
    text.job.fail(error);
    this.#keep(text, false);
  }

  /** What cannot be written to disk is no error of a text that was generated. */
  #keep({ saved }: JobText, isWanted: boolean): void {
    try {
      saved?.finish(isWanted);
    } catch (error) {
      this.#onError(error);
    }
  }
}

/** Counts the tokens of one text, and takes their times. */
class TextTimes {
  readonly #text: JobText;
  readonly #metrics: Metrics;
  #tokens = 0;
  #promptCounted = false;
  #last: number;

  constructor(text: JobText, metrics: Metrics) {
    this.#text = text;
    this.#metrics = metrics;
    this.#last = text.job.arrived;
  }

  note({ generationTokens, reusedTokens }: { readonly generationTokens: number; readonly reusedTokens: number }): void {
    if (!this.#promptCounted && this.#text.isFirst) {
      this.#metrics.prompt(this.#text.promptIds.length, reusedTokens);
    }
    this.#promptCounted = true;
    const added = generationTokens - this.#tokens;
    if (added > 0) {
      const now = performance.now();
      const isFirst = this.#tokens === 0;
      this.#metrics.tokens(added, (now - this.#last) / 1000, isFirst);
      this.#tokens = generationTokens;
      this.#last = now;
    }
  }
}
