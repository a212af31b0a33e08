// `kvgen batch`: many prompts in one run, a JSON object a line in and out. Reading stops while four times
// `--concurrency` lines are not written yet, so that memory is bounded and a slow reader of the output slows the input
// down. With --reorder all lines are read first, and run in the order in which they share most.

import { TemplatedPrompts } from '../../chat/templated-prompts.js';
import type { Completion } from '../../completion/complete.js';
import { completeMany } from '../../completion/complete-many.js';
import { idsWithoutToken, type Prompt } from '../../completion/request.js';
import { drafterOf } from '../../completion/same-tokens.js';
import { EXIT, errorMessage, shown } from '../../errors.js';
import { ROWS } from '../../files/file-kinds.js';
import { type Line, linesOf } from '../../files/lines.js';
import type { Input } from '../../files/named-input.js';
import { EventLoop } from '../../generation/event-loop.js';
import { bestOrder, type PlannedPrompt } from '../../generation/prompt-order.js';
import { folderSource, type Model, openModel } from '../../library/model.js';
import {
  checkCacheEnvironment,
  checkDraftModel,
  checkGenerateArgs,
  GENERATE,
  type GenerateArgs,
  settingsOf,
} from '../../settings.js';
import { findModel } from '../../weights/find.js';
import { noteContext, onOpening, openDraftModel, savedFor } from '../generate/opening.js';
import { reportFields } from '../generate/report.js';
import { type Sample, Samples } from '../generate/samples.js';
import type { Saved } from '../generate/saved.js';
import type { Invocation } from '../shell/command.js';
import { BATCH, type BatchArgs } from '../shell/command-settings.js';
import { checkHasInput, openNamed } from '../shell/prompt-input.js';
import { noteLiteralStop, withUnescapedStops } from '../shell/unescape.js';
import { prepareLine } from './batch-line.js';
import { BatchOutput, type LineEntry } from './batch-output.js';
import { BatchProgress } from './batch-progress.js';
import { inOrder, partsOf, plannedPrompt } from './line-order.js';
import { RequestQueue } from './request-queue.js';

/** Lines that may be read and not yet written, for each of those that run. */
const AHEAD = 4;
/** Characters of results that may wait for lines before them. When there are more, these lines run first. */
const MAX_HELD = 2 ** 27;

export async function batchCommand(invocation: Invocation): Promise<number> {
  const { words, terminal } = invocation;
  const args = invocation.settings(BATCH);
  const defaults = withUnescapedStops(settingsOf(GENERATE, { ...args, json: true })); // for a line that gives only its prompt
  const [path = '-'] = words;
  checkGenerateArgs(defaults, undefined);
  checkDraftModel(defaults);
  checkCacheEnvironment(defaults);
  await terminal.configure(args);
  noteLiteralStop(defaults, terminal);
  checkHasInput(invocation, {}, 'no rows: give a file, or pipe them in');
  const input = await openNamed(path, ROWS, terminal); // before anything is loaded: it may be refused
  try {
    return await runBatch(invocation, args, defaults, input);
  } finally {
    await input.close();
  }
}

async function runBatch(
  { terminal, signal }: Invocation,
  args: BatchArgs,
  defaults: GenerateArgs,
  input: Input,
): Promise<number> {
  const found = findModel(args.model);
  const saved = await savedFor(defaults, found, { terminal, signal });
  const source = await folderSource(found, signal);
  noteContext(defaults, source.shape.config, terminal);
  const model = await openModel(source, onOpening(defaults, terminal, signal));
  let draft: Model | null = null;
  try {
    await saved?.identify(source.folder);
    draft = await openDraftModel(defaults, model, terminal, signal);
    const stopped = AbortSignal.any([signal, terminal.closed]);
    const run = { args, defaults, saved, model, draft, terminal, stopped };
    return await new BatchJob(run, new BatchProgress(terminal, input.size)).run(input);
  } finally {
    model.dispose();
    draft?.dispose();
  }
}

interface BatchRun extends Pick<Invocation, 'terminal'> {
  readonly args: BatchArgs;
  readonly defaults: GenerateArgs;
  readonly saved: Saved | null;
  readonly model: Model;
  /** Guesses for --draft; null: what was said before does. */
  readonly draft: Model | null;
  /** Aborted by an interrupt, or when nobody reads stdout any more. */
  readonly stopped: AbortSignal;
}

/** A line that can be run. */
interface BegunLine {
  readonly entry: LineEntry;
  readonly samples: Samples;
  readonly prompt: PlannedPrompt;
}

/** The request for one sample of a line. */
interface LineRequest extends Sample, Pick<BegunLine, 'entry' | 'samples'> {}

/** Reads lines, runs them and writes their results, all at the same time. */
class BatchJob {
  readonly #run: BatchRun;
  readonly #progress: BatchProgress;
  readonly #queue: RequestQueue<LineRequest>;
  readonly #output: BatchOutput;
  readonly #banned: readonly number[];
  readonly #chats: TemplatedPrompts;

  constructor(run: BatchRun, progress: BatchProgress) {
    this.#run = run;
    this.#progress = progress;
    this.#queue = new RequestQueue(run.stopped);
    this.#output = new BatchOutput(run.terminal, progress);
    const { model } = run;
    this.#banned = idsWithoutToken(model.tokenizer, model.config);
    this.#chats = new TemplatedPrompts(model.dir, model.tokenizer, () => model.chatTemplate());
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
      this.#chats.dispose();
      reader.abort(); // a pipe that stays open would keep the process alive
    }
    await read;
    this.#progress.end();
    return this.#output.failed && !terminal.closed.aborted ? EXIT.failure : EXIT.ok;
  }

  /** Runs what is in the queue and writes the results. */
  async #write(): Promise<void> {
    const { args, model, stopped } = this.#run;
    for await (const event of completeMany(model.engine, model.tokenizer, this.#queue, args.concurrency)) {
      const { request } = event;
      if ('tokens' in event) {
        request.samples.note(request.run, event.stats);
        this.#progress.tokens(event.tokens.length);
      } else if ('error' in event) {
        const { entry } = request;
        await this.#output.fail(entry, { id: entry.id, error: errorMessage(event.error) });
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
    const { config } = this.#run.model;
    for await (const part of partsOf(lines)) {
      const begun = await this.#beginAll(part, signal);
      const prompts = begun.map(({ prompt }) => prompt);
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

  async #beginAll(lines: readonly Line[], signal: AbortSignal): Promise<BegunLine[]> {
    const eventLoop = new EventLoop();
    const begun: BegunLine[] = [];
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
  async #begin(line: Line): Promise<BegunLine | null> {
    const { defaults, model, terminal, stopped } = this.#run;
    const onNote = (id: unknown, note: string) => terminal.note(`${shown(id)}: ${note}`);
    const prepared = await prepareLine(line, defaults, model, { onNote, signal: stopped, chats: this.#chats });
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
    const samples = this.#samples(args, prompt);
    entry.left = samples.runs.length;
    return { entry, samples, prompt: plannedPrompt(prompt.ids, args) };
  }

  #samples(args: GenerateArgs, prompt: Prompt): Samples {
    const { model, draft, saved, stopped } = this.#run;
    const prompts = saved?.prompts(model, prompt.text) ?? null;
    const drafter = drafterOf(draft?.engine ?? null, model.engine);
    const wishes = { logprobs: args.logprobs, signal: stopped, drafter };
    return new Samples({ args, prompt, model, banned: this.#banned, prompts, savesInterrupted: false, wishes });
  }

  async #done({ entry, run, samples }: LineRequest, completion: Completion): Promise<void> {
    this.#progress.text(completion.stats);
    const result = { id: entry.id, ...reportFields(samples.finish(run, completion)) };
    await this.#output.done(entry, run.sample ?? 0, result);
  }
}

/** Each is made when it is taken. */
function* requestsOf(lines: Iterable<BegunLine>): Generator<LineRequest, void> {
  for (const { entry, samples } of lines) {
    for (const sample of samples.requests()) {
      yield { ...sample, entry, samples };
    }
  }
}
