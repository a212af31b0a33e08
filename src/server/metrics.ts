// What is measured, in Prometheus' form. Knows nothing of HTTP's transport or of what is generated.

import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds: from a small model's token to a long prompt on a large one. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter(
    'kvgen_requests_total',
    'Requests that were answered, or whose client went away (499)',
    ['path', 'status'],
  );
  readonly #promptTokens = this.#counter('kvgen_prompt_tokens_total', 'Tokens of prompts');
  readonly #reusedTokens = this.#counter('kvgen_prompt_tokens_reused_total', 'Tokens of prompts that needed no pass');
  readonly #tokens = this.#counter('kvgen_generated_tokens_total', 'Tokens that were generated');
  readonly #firstToken = this.#histogram(
    'kvgen_time_to_first_token_seconds',
    'From a request to the first token of a text',
  );
  readonly #between = this.#histogram('kvgen_time_between_tokens_seconds', 'From a token of a text to its next');

  /** What is asked when somebody looks. */
  watch({ waiting, running }: { readonly waiting: () => number; readonly running: () => number }): void {
    this.#gauge('kvgen_requests_waiting', 'Requests that wait for a place', waiting);
    this.#gauge('kvgen_texts_running', 'Texts that are generated at the moment', running);
  }

  request(path: string, status: number): void {
    this.#requests.inc({ path, status });
  }

  prompt(tokens: number, reused: number): void {
    this.#promptTokens.inc(tokens);
    this.#reusedTokens.inc(reused);
  }

  /** Some tokens that came together. @param seconds since the token before them, or since the request */
  tokens(count: number, seconds: number, isFirst: boolean): void {
    this.#tokens.inc(count);
    if (isFirst) {
      this.#firstToken.observe(seconds);
    }
    for (let i = isFirst ? 1 : 0; i < count; i++) {
      this.#between.observe(isFirst ? 0 : seconds / count);
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter<const L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #histogram(name: string, help: string): Histogram {
    return new Histogram({ name, help, buckets: SECONDS, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(value());
      },
    });
  }
}
