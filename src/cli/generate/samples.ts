// `--samples`: several texts from one prompt, decoded together and written in their order. The first is written as it
// comes, the others when their turn has come; events of --jsonl are written as they happen.

import type { CompletionToken } from '../../completion/complete.js';
import { type CompletionEvent, type CompletionRequest, completeRows } from '../../completion/complete-many.js';
import type { Engine } from '../../engine/engine.js';
import type { FinishReason } from '../../generation/generate.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import { hasBegun, isText, type Output, writeEcho, writeReport, writeToken } from './emit.js';
import { InOrder } from './in-order.js';
import { samplesLine } from './report.js';
import { type GenerateRun, joined } from './run-record.js';

/** Samples that are decoded together: their keys and values are in memory. */
const MAX_TOGETHER = 64;

/** One of the samples: how it is made, and what comes of it. */
export interface Sample extends CompletionRequest {
  readonly run: GenerateRun;
}

type SampleEvent = CompletionEvent<Pick<Sample, 'run'>>;

/** All samples at once, but for very many: the first one's prefill serves them all. */
export function sampleRows(engine: Engine, tokenizer: Tokenizer | null, samples: Iterator<Sample, void>) {
  const source = { take: () => samples.next().value ?? undefined, wait: async () => false };
  return completeRows(engine, tokenizer, source, MAX_TOGETHER);
}

/** Saved samples as they would have come one by one. */
export async function* replaySamples(
  runs: readonly GenerateRun[],
  answers: readonly { readonly tokens: readonly CompletionToken[]; readonly finishReason: FinishReason }[],
): AsyncGenerator<SampleEvent, void> {
  for (const [i, { tokens, finishReason }] of answers.entries()) {
    const request = { run: runs[i] as GenerateRun };
    yield* tokens.map((token) => ({ request, token }));
    yield { request, end: finishReason };
  }
}

/**
 * Writes what comes in the form that was asked for.
 * @param finish called with each run when it has ended
 * @throws what went wrong with any of them
 */
export async function emitSamples(
  output: Output,
  runs: readonly GenerateRun[],
  events: AsyncIterable<SampleEvent>,
  finish: (run: GenerateRun) => void,
): Promise<void> {
  const { args, terminal } = output;
  const ordered = new InOrder<GenerateRun>();
  for (const run of runs) {
    ordered.begin(run);
  }
  const writer = isText(args) ? new TextWriter(output, ordered) : new JsonWriter(output, ordered);
  await writeEcho(output, runs[0] as GenerateRun);
  for await (const event of events) {
    terminal.progressDone();
    const { run } = event.request;
    if ('error' in event) {
      throw event.error;
    }
    if ('token' in event) {
      await writer.token(run, event.token);
    } else {
      run.finishReason = event.end;
      finish(run);
      await writer.end(run);
    }
  }
  terminal.statistics(samplesLine(runs));
}

/** The texts one after the other, a line between two of them. */
class TextWriter {
  readonly #output: Output;
  readonly #runs: InOrder<GenerateRun>;

  constructor(output: Output, runs: InOrder<GenerateRun>) {
    this.#output = output;
    this.#runs = runs;
  }

  async token(run: GenerateRun, token: CompletionToken): Promise<void> {
    if (run === this.#runs.turn) {
      await writeToken(this.#output, run, token);
    } else {
      run.tokens.push(token);
    }
  }

  async end(run: GenerateRun): Promise<void> {
    const { args, terminal } = this.#output;
    for (const ended of this.#runs.end(run)) {
      const begun = hasBegun(args, ended);
      await terminal.write(begun ? `${args.stream ? '' : joined(ended)}\n` : '');
      const next = this.#runs.turn;
      if (next !== undefined && begun) {
        const text = args.stream ? joined(next) : '';
        await terminal.write(`${args.separator}\n${args.echo ? next.prompt : ''}${text}`);
      }
    }
  }
}

/** Events as they come; the objects of --json in the order of the samples. */
class JsonWriter {
  readonly #output: Output;
  readonly #runs: InOrder<GenerateRun>;

  constructor(output: Output, runs: InOrder<GenerateRun>) {
    this.#output = output;
    this.#runs = runs;
  }

  token(run: GenerateRun, token: CompletionToken): Promise<void> {
    return writeToken(this.#output, run, token);
  }

  async end(run: GenerateRun): Promise<void> {
    for (const ended of this.#output.args.jsonl ? [run] : this.#runs.end(run)) {
      await writeReport(this.#output, ended);
    }
  }
}
