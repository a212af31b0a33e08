// Text from a prompt: joins the loop, the detokenizer and the stop strings. Yields each token with the text
// that it released. Knows nothing of stdout.

import type { Engine } from '../engine/engine.js';
import { type FinishReason, type GenerateOptions, type GenerateStats, generate } from '../generation/generate.js';
import { rowLogprobs, type TokenLogprob } from '../sampling/logprobs.js';
import type { Sampler } from '../sampling/sampler.js';
import { TokenStream } from '../text/token-stream.js';
import type { Tokenizer } from '../text/tokenizer.js';

/** Log-probabilities only where they were asked for. */
export interface CompletionToken extends Partial<TokenLogprob> {
  readonly id: number;
  /** What this token released: text of unfinished characters and possible stop strings waits. */
  readonly text: string;
}

export interface CompleteOptions extends GenerateOptions {
  /** Log-probability of each token, and the so many likeliest; undefined: neither. */
  readonly logprobs?: number | undefined;
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
  options: CompleteOptions,
  stats: GenerateStats,
): AsyncGenerator<CompletionToken, FinishReason> {
  const stream = new TokenStream<Omit<CompletionToken, 'text'>>(tokenizer, stops);
  const noted = new LogprobSampler(sampler, options.logprobs);
  const ids = generate(engine, noted.sampler, promptIds, options, stats);
  try {
    for (;;) {
      const next = await ids.next();
      if (next.done === true) {
        yield* stream.end();
        return stream.stopped ? 'stop' : next.value;
      }
      yield* stream.add({ id: next.value, ...noted.last });
      if (stream.stopped) {
        return 'stop';
      }
    }
  } finally {
    await ids.return('abort');
  }
}

/** A sampler, and what the logits that it last saw say of the id that it chose. */
export class LogprobSampler {
  last: TokenLogprob | undefined;
  readonly sampler: Sampler;

  constructor(sampler: Sampler, k: number | undefined) {
    const noting: Sampler = (logits, ids) => {
      const id = sampler(logits, ids);
      this.last = rowLogprobs(logits, id, k ?? 0);
      return id;
    };
    this.sampler = k === undefined ? sampler : noting;
  }
}
