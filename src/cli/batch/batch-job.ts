// Reads the lines of a batch, runs them and writes their results, all at the same time. Reading stops while four times
// `--concurrency` lines are not written yet, so that memory is bounded and a slow reader of the output slows the input down.
// Knows nothing of what makes the texts.

import type { Completion } from '../../completion/complete.js';
import { EXIT, errorMessage, shown } from '../../errors.js';
import { type Line, linesOf } from '../../files/lines.js';
import type { Input } from '../../files/named-input.js';
import { EventLoop } from '../../generation/event-loop.js';
import { bestOrder, type PlannedPrompt } from '../../generation/prompt-order.js';
import type { GenerateArgs } from '../../settings.js';
import { reportFields } from '../generate/report.js';
import type { SampleSet, TextRun } from '../generate/samples.js';
import type { Invocation } from '../shell/command.js';
import type { BatchArgs } from '../shell/command-settings.js';
import { prepareLine } from './batch-line.js';
import { BatchOutput, type LineEntry } from './batch-output.js';
import type { BatchProgress } from './batch-progress.js';
import type { BatchTexts } from './batch-texts.js';
import { inOrder, partsOf, plannedPrompt } from './line-order.js';
import { RequestQueue } from './request-queue.js';

/** Lines that may be read and not yet written, for each of those that run. */
const AHEAD = 4;
/** Characters of results that may wait for lines before them. When there are more, these lines run first. */
const MAX_HELD = 2 ** 27;

export interface BatchRun<Q> extends Pick<Invocation, 'terminal'> {
  readonly args: BatchArgs;
  /** For a line that gives only its prompt. */
  readonly defaults: GenerateArgs;
  readonly texts: BatchTexts<Q>;
  /** Aborted by an interrupt, or when nobody reads stdout any more. */
  readonly stopped: AbortSignal;
}

/** A line that can be run. */
interface BegunLine<Q> {
  readonly entry: LineEntry;
  readonly samples: SampleSet<Q>;
  readonly prompt: PlannedPrompt;
}

/** The request for one sample of a line. */
type LineRequest<Q> = Q & { readonly run: TextRun } & Pick<BegunLine<Q>, 'entry' | 'samples'>;

/** Reads lines, runs them and writes their results, all at the same time. */
export class BatchJob<Q> {
  readonly #run: BatchRun<Q>;
  readonly #progress: BatchProgress;
  readonly #queue: RequestQueue<LineRequest<Q>>;
  readonly #output: BatchOutput;

  constructor(run: BatchRun<Q>, progress: BatchProgress) {
    this.#run = run;
    this.#progress = progress;
    this.#queue = new RequestQueue(run.stopped);
    this.#output = new BatchOutput(run.terminal, progress);
  }

  async run(input: Input): Promise<number> {
    const { args, terminal, stopped } = this.#run;
    const reader = new AbortController();
    const signal = AbortSignal.any([stopped, reader.signal]);
    const lines = linesOf(input, signal);
    const reading = args.reorder ? this.#readParts(lines, signal) : this.#readInTurn(lines, signal);
    const read = reading.finally(() => this.#queue.end());
    read.catch(() => {}); // awaited below, after what was read is run and written
    try {
      await this.#write();
    } finally {
      reader.abort(); // a pipe that stays open would keep the process alive
    }
    await read;
    this.#progress.end();
    return this.#output.failed && !terminal.closed.aborted ? EXIT.failure : EXIT.ok;
  }

  /** Runs what is in the queue and writes the results. */
  async #write(): Promise<void> {
    const { args, texts, stopped } = this.#run;
    for await (const event of texts.completer.complete(this.#queue, args.concurrency)) {
      const { request } = event;
      if ('tokens' in event) {
        request.samples.note(request.run, event.stats);
        this.#progress.tokens(event.tokens.length);
      } else if ('error' in event) {
        const { id } = request.entry;
        const text = event.partial?.text ?? ''; // what came before a connection broke
        const came = text === '' ? {} : { text };
        await this.#output.fail(request.entry, { id, error: errorMessage(event.error), ...came });
      } else {
        await this.#done(request, event.end);
      }
    }
    if (stopped.aborted) {
      await this.#output.writeRest();
    }
  }

  /** Reads lines into the queue, and waits while too many are not written yet. */
  async #readInTurn(lines: AsyncIterable<Line>, signal: AbortSignal): Promise<void> {
    for await (const line of lines) {
      await this.#output.room(AHEAD * this.#run.args.concurrency, signal);
      if (signal.aborted) {
        return;
      }
      const begun = await this.#begin(line);
      if (begun !== null) {
        this.#queue.push(requestsOf([begun]));
      }
    }
  }

  /** Reads all lines, or as many as one order is made of, and then puts them into the queue in the best order. */
  async #readParts(lines: AsyncIterable<Line>, signal: AbortSignal): Promise<void> {
    const { config } = this.#run.texts;
    for await (const part of partsOf(lines)) {
      const begun = await this.#beginAll(part, signal);
      const prompts = begun.map(({ prompt }) => prompt);
      if (config === null) {
        throw new Error('a server orders its own work');
      }
      const order = await bestOrder(prompts, { config, signal }).catch((error: unknown) => {
        if (signal.aborted) {
          return [];
        }
        throw error;
      });
      this.#queue.push(requestsOf(inOrder(begun, order, () => this.#output.held > MAX_HELD)));
      await this.#output.room(1, signal);
    }
  }

  async #beginAll(lines: readonly Line[], signal: AbortSignal): Promise<BegunLine<Q>[]> {
    const eventLoop = new EventLoop();
    const begun: BegunLine<Q>[] = [];
    for (const line of lines) {
      if (eventLoop.due) {
        await eventLoop.run();
      }
      if (signal.aborted) {
        break;
      }
      const one = await this.#begin(line);
      if (one !== null) {
        begun.push(one);
      }
    }
    return begun;
  }

  /** null: the line cannot be run, and its error is written in its turn; or there was an interrupt. */
  async #begin(line: Line): Promise<BegunLine<Q> | null> {
    const { defaults, texts, terminal, stopped } = this.#run;
    const onNote = (id: unknown, note: string) => terminal.note(`${shown(id)}: ${note}`);
    const prepared = await prepareLine(line, defaults, texts.promptOf, { onNote, signal: stopped });
    if (stopped.aborted) {
      return null;
    }
    const { id } = prepared;
    const entry: LineEntry = { id, bytes: line.end, left: 1, results: [], error: null };
    this.#output.begin(entry);
    if ('error' in prepared) {
      await this.#output.fail(entry, prepared.error);
      return null;
    }
    const { args, prompt } = prepared;
    const samples = texts.samples(args, prompt);
    entry.left = samples.runs.length;
    return { entry, samples, prompt: plannedPrompt(prompt.ids, args) };
  }

  async #done({ entry, run, samples }: LineRequest<Q>, completion: Completion): Promise<void> {
    this.#progress.text(completion.stats);
    const result = { id: entry.id, ...reportFields(samples.finish(run, completion)) };
    await this.#output.done(entry, run.sample ?? 0, result);
  }
}

/** Each is made when it is taken. */
function* requestsOf<Q>(lines: Iterable<BegunLine<Q>>): Generator<LineRequest<Q>, void> {
  for (const { entry, samples } of lines) {
    for (const sample of samples.requests()) {
      yield { ...sample, entry, samples };
    }
  }
}
