// `kvgen batch`: many prompts in one run, a JSON object a line in and out. Reading stops while four times
// `--concurrency` lines are not written yet, so that memory is bounded and a slow reader of the output slows the input
// down.

import type { Completion } from '../../completion/complete.js';
import { completeMany } from '../../completion/complete-many.js';
import { idsWithoutToken } from '../../completion/request.js';
import { drafterOf } from '../../completion/same-tokens.js';
import { EXIT, errorMessage, KvgenError } from '../../errors.js';
import { ROWS } from '../../files/file-kinds.js';
import { type Line, LONGEST, linesOf } from '../../files/lines.js';
import type { Input } from '../../files/named-input.js';
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
import { checkStops, fittedPrompt, onOpening, openDraftModel, savedFor } from '../generate/opening.js';
import { reportFields } from '../generate/report.js';
import { type Sample, Samples } from '../generate/samples.js';
import type { Saved } from '../generate/saved.js';
import type { Invocation } from '../shell/command.js';
import { BATCH, type BatchArgs } from '../shell/command-settings.js';
import { checkHasInput, decodeUtf8, openNamed, withoutMark } from '../shell/prompt-input.js';
import { type BatchLine, lineWords, readBatchLine } from './batch-line.js';
import { BatchProgress } from './batch-progress.js';
import { InOrder } from './in-order.js';
import { RequestQueue } from './request-queue.js';

/** Lines that may be read and not yet written, for each of those that run. */
const AHEAD = 4;

export async function batchCommand(invocation: Invocation): Promise<number> {
  const { words, terminal } = invocation;
  const args = invocation.settings(BATCH);
  const defaults = settingsOf(GENERATE, { ...args, json: true }); // for a line that gives only its prompt
  const [path = '-'] = words;
  checkGenerateArgs(defaults, undefined);
  checkDraftModel(defaults);
  checkCacheEnvironment(defaults);
  await terminal.configure(args);
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

/** A line that was read and is not written yet. */
interface LineEntry {
  readonly id: unknown;
  /** Bytes of the input up to the end of the line. */
  readonly bytes: number;
  /** How many of its samples are not done. */
  left: number;
  /** The objects to write, one for each sample, in the order of the samples. */
  readonly results: object[];
  /** The object to write instead of them. */
  error: object | null;
}

/** The request for one sample of a line. */
interface LineRequest extends Sample {
  readonly entry: LineEntry;
  readonly samples: Samples;
}

/** Reads lines, runs them and writes their results, all at the same time. */
class BatchJob {
  readonly #run: BatchRun;
  readonly #progress: BatchProgress;
  readonly #queue: RequestQueue<LineRequest>;
  readonly #entries = new InOrder<LineEntry>();
  readonly #banned: readonly number[];
  #failed = false;
  /** Called when a line is written: the reader may be waiting for it. */
  #written = () => {};

  constructor(run: BatchRun, progress: BatchProgress) {
    this.#run = run;
    this.#progress = progress;
    this.#queue = new RequestQueue(run.stopped);
    this.#banned = idsWithoutToken(run.model.tokenizer, run.model.config);
  }

  async run(input: Input): Promise<number> {
    const { terminal, stopped } = this.#run;
    const reader = new AbortController();
    const reading = this.#read(input, AbortSignal.any([stopped, reader.signal])).finally(() => this.#queue.end());
    reading.catch(() => {}); // awaited below, after what was read is run and written
    try {
      await this.#write();
    } finally {
      reader.abort(); // a pipe that stays open would keep the process alive
    }
    await reading;
    this.#progress.end();
    return this.#failed && !terminal.closed.aborted ? EXIT.failure : EXIT.ok;
  }

  /** Runs what is in the queue and writes the results. */
  async #write(): Promise<void> {
    const { args, model } = this.#run;
    for await (const event of completeMany(model.engine, model.tokenizer, this.#queue, args.concurrency)) {
      const { request } = event;
      if ('tokens' in event) {
        request.samples.note(request.run, event.stats);
        this.#progress.tokens(event.tokens.length);
      } else if ('error' in event) {
        await this.#fail(request.entry, event.error);
      } else {
        await this.#done(request, event.end);
      }
    }
    await this.#writeRest();
  }

  /** After an interrupt: writes the finished samples of unfinished lines. */
  async #writeRest(): Promise<void> {
    const { terminal, stopped } = this.#run;
    if (stopped.aborted) {
      for (const { results } of this.#entries.rest()) {
        await terminal.write(jsonLines(results.filter((line) => line !== undefined)));
      }
    }
  }

  /** Reads lines into the queue, and waits while too many are not written yet. */
  async #read(input: Input, stopped: AbortSignal): Promise<void> {
    const { args } = this.#run;
    stopped.addEventListener('abort', () => this.#written());
    for await (const line of linesOf(input, stopped)) {
      while (this.#entries.size >= AHEAD * args.concurrency && !stopped.aborted) {
        await this.#room();
      }
      if (stopped.aborted) {
        return;
      }
      await this.#begin(line);
    }
  }

  /** Resolves when a line is written. */
  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#written = resolve;
    });
  }

  /** Puts the samples of a line into the queue. */
  async #begin({ number: line, bytes, end }: Line): Promise<void> {
    const entry = (id: unknown): LineEntry => ({ id, bytes: end, left: 1, results: [], error: null });
    if (bytes === null) {
      return this.#refuse(entry(null), { id: null, line, error: `expected at most ${LONGEST}, found more` });
    }
    let json: unknown;
    try {
      const text = decodeUtf8(bytes, `line ${line}`);
      json = JSON.parse(line === 1 ? withoutMark(text) : text);
    } catch (error) {
      return this.#refuse(entry(null), { id: null, line, error: errorMessage(error) });
    }
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      return this.#refuse(entry(null), { id: null, line, error: 'expected a JSON object' });
    }
    const begun = entry((json as { id?: unknown }).id ?? null);
    try {
      const samples = await this.#samples(readBatchLine(json as Record<string, unknown>, this.#run.defaults), begun);
      begun.left = samples.runs.length;
      this.#entries.begin(begun);
      this.#queue.push(requests(begun, samples));
    } catch (error) {
      await this.#refuse(begun, { id: begun.id, error: lineWords(errorMessage(error)) });
    }
  }

  async #samples({ prompt, args }: BatchLine, { id }: LineEntry): Promise<Samples> {
    const { model, draft, saved, terminal, stopped } = this.#run;
    if (model.tokenizer === null && prompt !== undefined) {
      throw new KvgenError(`prompt: ${model.dir} has no tokenizer; give prompt_ids`);
    }
    checkStops(args, model.tokenizer, model.dir);
    const onNote = (line: string) => terminal.note(`${JSON.stringify(id)}: ${line}`);
    const prepared = await fittedPrompt(prompt, args, model, { onNote, signal: stopped });
    const prompts = saved?.prompts(model, prepared.text) ?? null;
    const drafter = drafterOf(draft?.engine ?? null, model.engine);
    const wishes = { logprobs: args.logprobs, signal: stopped, drafter };
    return new Samples({
      args,
      prompt: prepared,
      model,
      banned: this.#banned,
      prompts,
      savesInterrupted: false,
      wishes,
    });
  }

  async #done({ entry, run, samples }: LineRequest, completion: Completion): Promise<void> {
    this.#progress.text(completion.stats);
    entry.results[run.sample ?? 0] = { id: entry.id, ...reportFields(samples.finish(run, completion)) };
    await this.#end(entry);
  }

  async #fail(entry: LineEntry, error: unknown): Promise<void> {
    entry.error = { id: entry.id, error: errorMessage(error) };
    await this.#end(entry);
  }

  /** Ends a line that cannot be run. */
  async #refuse(entry: LineEntry, error: object): Promise<void> {
    this.#entries.begin(entry);
    entry.error = error;
    await this.#end(entry);
  }

  /** Ends one sample of a line, or the whole line, and writes what may be written now. */
  async #end(entry: LineEntry): Promise<void> {
    this.#failed ||= entry.error !== null;
    if (--entry.left > 0) {
      return;
    }
    for (const { results, error, bytes } of this.#entries.end(entry)) {
      this.#run.terminal.progressDone();
      await this.#run.terminal.write(jsonLines(error === null ? results : [error])); // in one call: other writes may follow
      this.#progress.line(bytes, error === null);
      this.#written();
    }
  }
}

function jsonLines(lines: readonly object[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

function* requests(entry: LineEntry, samples: Samples): Generator<LineRequest, void> {
  for (const sample of samples.requests()) {
    yield { ...sample, entry, samples };
  }
}
