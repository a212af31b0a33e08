// Text from a prompt: joins the loop, the detokenizer and the stop strings. Yields each token with the text
// that it released. Knows nothing of stdout.

import type { Engine } from './engine/engine.js';
import { type FinishReason, type GenerateOptions, type GenerateStats, generate } from './generate.js';
import type { Sampler } from './sampling/sampler.js';
import { Detokenizer } from './text/detokenizer.js';
import { StopMatcher } from './text/stop.js';
import type { Tokenizer } from './text/tokenizer.js';

export interface CompletionToken {
  readonly id: number;
  /** What this token released: text of unfinished characters and possible stop strings waits. */
  readonly text: string;
}

/**
 * Generates text. While text is held back the newest token waits, so that the texts of all tokens, joined,
 * are exactly the text.
 * @param tokenizer null: a model without one; every text is then empty
 * @param stops texts that end the generation; the text before the first match is released, itself not
 */
export async function* complete(
  engine: Engine,
  sampler: Sampler,
  tokenizer: Pick<Tokenizer, 'bytes'> | null,
  promptIds: readonly number[],
  stops: readonly string[],
  options: GenerateOptions,
  stats: GenerateStats,
): AsyncGenerator<CompletionToken, FinishReason> {
  const text = new TextStream(tokenizer, stops);
  const ids = generate(engine, sampler, promptIds, options, stats);
  let waiting: CompletionToken | null = null;
  try {
    for (;;) {
      const next = await ids.next();
      if (next.done === true) {
        if (waiting !== null) {
          yield { id: waiting.id, text: waiting.text + text.finish() };
        }
        return text.stopped ? 'stop' : next.value;
      }
      if (waiting !== null) {
        yield waiting;
      }
      const token: CompletionToken = { id: next.value, text: text.add(next.value) };
      waiting = text.holding ? token : null;
      if (!text.holding) {
        yield token;
      }
      if (text.stopped) {
        return 'stop';
      }
    }
  } finally {
    await ids.return('abort');
  }
}

/** Ids to text: the streaming detokenizer, then the stop strings. */
class TextStream {
  stopped = false;
  readonly #detokenizer: Detokenizer | null;
  readonly #matcher: StopMatcher;

  constructor(tokenizer: Pick<Tokenizer, 'bytes'> | null, stops: readonly string[]) {
    this.#detokenizer = tokenizer === null ? null : new Detokenizer(tokenizer);
    this.#matcher = new StopMatcher(stops);
  }

  /** Is text waiting for what comes next? */
  get holding(): boolean {
    return !this.stopped && ((this.#detokenizer?.holding ?? false) || this.#matcher.holding);
  }

  add(id: number): string {
    return this.#match(this.#detokenizer?.add(id) ?? '');
  }

  /** What is still held when the ids end. */
  finish(): string {
    const text = this.#match(this.#detokenizer?.finish() ?? '');
    return this.stopped ? text : text + this.#matcher.finish();
  }

  #match(piece: string): string {
    const { text, stopped } = this.#matcher.push(piece);
    this.stopped ||= stopped;
    return text;
  }
}
