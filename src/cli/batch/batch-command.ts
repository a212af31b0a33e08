// `kvgen batch`: many prompts in one run, a JSON object a line in and out. Rows are read no more than four times the
// concurrency ahead of the oldest one that is not written, so memory is bounded and pipes press back both ways.

import { statSync } from 'node:fs';
import { completeRows } from '../../completion/complete-many.js';
import { EXIT, errorMessage, KvgenError, UsageError } from '../../errors.js';
import type { Model } from '../../library/model.js';
import { randomSeed } from '../../sampling/random.js';
import { GENERATE, type GenerateArgs, settingsOf } from '../../settings.js';
import { idsWithoutToken } from '../../text/prompt-ids.js';
import { hasTokenizer, loadTokenizer, type Tokenizer } from '../../text/tokenizer.js';
import type { Backend } from '../../tf/backend.js';
import { findModel } from '../../weights/find.js';
import { BATCH, type BatchArgs } from '../command-settings.js';
import { checkGenerateArgs } from '../generate/conflicts.js';
import { InOrder } from '../generate/in-order.js';
import { openEverything } from '../generate/open.js';
import { checkStops, preparePrompt } from '../generate/prepare.js';
import { PromptSamples } from '../generate/prompt-samples.js';
import { reportFields } from '../generate/report.js';
import type { Sample } from '../generate/samples.js';
import { checkCacheEnvironment, openSaved, type Saved } from '../generate/saved.js';
import { chunksOf } from '../shell/chunks.js';
import type { Invocation } from '../shell/command.js';
import { decodeUtf8, withoutMark } from '../shell/prompt-input.js';
import { type Line, openRows, RowQueue, readLines } from './batch-input.js';
import { type BatchRow, readRow, rowWords } from './batch-line.js';
import { BatchProgress } from './batch-progress.js';

/** Rows that may be read before the oldest of them is written, for each that runs. */
const AHEAD = 4;

export async function batchCommand(invocation: Invocation): Promise<number> {
  const { words, terminal, signal, usage } = invocation;
  const args = invocation.settings(BATCH);
  const defaults = settingsOf(GENERATE, { ...args, json: true }); // of a row that says nothing but its prompt
  const [path = '-'] = words;
  checkGenerateArgs(defaults, undefined);
  checkCacheEnvironment(defaults);
  await terminal.configure(args);
  if (words.length === 0 && terminal.stdinIsTerminal) {
    terminal.log(usage());
    throw new UsageError('no rows: give a file, or pipe them in');
  }
  const size = path === '-' ? terminal.stdinSize : fileSize(path);
  const found = findModel(args.model);
  const saved = await openSaved(defaults, found, terminal);
  const opened = await openEverything({ args: defaults, found, saved, terminal, signal }, async () =>
    hasTokenizer(found.dir) ? loadTokenizer(found.dir) : null,
  );
  try {
    const stopped = AbortSignal.any([signal, terminal.closed]);
    const run = { ...opened, args, defaults, saved, terminal, stopped, name: found.name, dir: found.dir };
    return await new Batch(run, new BatchProgress(terminal, size)).run(path);
  } finally {
    opened.model.dispose();
  }
}

/** null: a named pipe. @throws KvgenError before anything is loaded */
function fileSize(path: string): number | null {
  try {
    const stats = statSync(path);
    return stats.isFile() ? stats.size : null;
  } catch (error) {
    throw new KvgenError(`${path}: the rows cannot be read (${errorMessage(error)})`);
  }
}

interface BatchRun extends Pick<Invocation, 'terminal'> {
  readonly args: BatchArgs;
  readonly defaults: GenerateArgs;
  readonly name: string;
  readonly dir: string;
  readonly saved: Saved | null;
  readonly backend: Backend;
  readonly model: Model;
  readonly tokenizer: Tokenizer | null;
  /** Interrupted, or nobody reads any more. */
  readonly stopped: AbortSignal;
}

/** A line that was read. */
interface Entry {
  readonly id: unknown;
  /** Bytes of the input up to its end. */
  readonly bytes: number;
  /** What of its samples is not done. */
  left: number;
  /** What is written for it, a line each: its samples in order. */
  readonly results: object[];
  /** What is written instead. */
  error: object | null;
}

interface Request extends Sample {
  readonly entry: Entry;
  readonly samples: PromptSamples;
}

class Batch {
  readonly #run: BatchRun;
  readonly #progress: BatchProgress;
  readonly #queue: RowQueue<Request>;
  readonly #entries = new InOrder<Entry>();
  readonly #withoutToken: readonly number[];
  #failed = false;
  #written = () => {};

  constructor(run: BatchRun, progress: BatchProgress) {
    this.#run = run;
    this.#progress = progress;
    this.#queue = new RowQueue(run.stopped);
    this.#withoutToken = idsWithoutToken(run.tokenizer, run.model.engine.config.vocabSize);
  }

  async run(path: string): Promise<number> {
    const { terminal, stopped } = this.#run;
    const reader = new AbortController();
    const reading = this.#read(path, AbortSignal.any([stopped, reader.signal])).finally(() => this.#queue.end());
    reading.catch(() => {}); // it is told below: what was read is run and written before
    try {
      await this.#write();
    } finally {
      reader.abort(); // else a pipe that stays open would keep the process
    }
    await reading;
    this.#progress.end();
    return this.#failed && !terminal.closed.aborted ? EXIT.failure : EXIT.ok;
  }

  /** All that comes of the rows, as it comes. */
  async #write(): Promise<void> {
    const { args, model, tokenizer } = this.#run;
    for await (const event of completeRows(model.engine, tokenizer, this.#queue, args.concurrency)) {
      const { request } = event;
      if ('token' in event) {
        request.run.tokens.push(event.token);
        this.#progress.token();
      } else if ('error' in event) {
        await this.#fail(request.entry, event.error);
      } else {
        request.run.finishReason = event.end;
        await this.#done(request);
      }
    }
    await this.#writeRest();
  }

  /** After an interrupt: of rows that have not run to their end, the samples that were. */
  async #writeRest(): Promise<void> {
    const { terminal, stopped } = this.#run;
    if (stopped.aborted) {
      for (const { results } of this.#entries.rest()) {
        await terminal.write(jsonLines(results.filter((line) => line !== undefined)));
      }
    }
  }

  /** Rows into the queue, as long as there is room between them and the oldest unwritten one. */
  async #read(path: string, stopped: AbortSignal): Promise<void> {
    const { terminal, args } = this.#run;
    stopped.addEventListener('abort', () => this.#written());
    try {
      const chunks = path === '-' ? terminal.stdinChunks(stopped) : chunksOf(openRows(path), stopped);
      for await (const line of readLines(chunks)) {
        while (this.#entries.size >= AHEAD * args.concurrency && !stopped.aborted) {
          await this.#room();
        }
        if (stopped.aborted) {
          return;
        }
        await this.#begin(line);
      }
    } catch (error) {
      throw new KvgenError(`${path === '-' ? 'stdin' : path}: the rows cannot be read (${errorMessage(error)})`);
    }
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#written = resolve;
    });
  }

  async #begin({ number: line, bytes, end }: Line): Promise<void> {
    const entry = (id: unknown): Entry => ({ id, bytes: end, left: 1, results: [], error: null });
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
    const row = entry((json as { id?: unknown }).id ?? null);
    try {
      const samples = this.#samples(readRow(json as Record<string, unknown>, this.#run.defaults), row);
      row.left = samples.runs.length;
      this.#entries.begin(row);
      this.#queue.push(requests(row, samples));
    } catch (error) {
      await this.#refuse(row, { id: row.id, error: rowWords(errorMessage(error)) });
    }
  }

  #samples({ prompt, args }: BatchRow, { id }: Entry): PromptSamples {
    const { model, tokenizer, dir, name, backend, saved, terminal, stopped } = this.#run;
    const { engine } = model;
    if (tokenizer === null && prompt !== undefined) {
      throw new KvgenError(`prompt: ${dir} has no tokenizer; give prompt_ids`);
    }
    checkStops(args, tokenizer, dir);
    const onNote = (line: string) => terminal.note(`${JSON.stringify(id)}: ${line}`);
    const prepared = preparePrompt(args, prompt, { dir, config: engine.config, tokenizer, onNote });
    const seed = args.seed ?? randomSeed();
    const start = { args, model: name, backend, prompt: prepared, seed, answerCached: false };
    const options = { logprobs: args.logprobs, signal: stopped };
    const prompts = saved?.prompts(engine.config.nHead, prepared.text) ?? null;
    return new PromptSamples(start, {
      args,
      prompt: prepared,
      engine,
      withoutToken: this.#withoutToken,
      prompts,
      options,
    });
  }

  async #done({ entry, run, samples }: Request): Promise<void> {
    samples.finish(run);
    entry.results[run.sample ?? 0] = { id: entry.id, ...reportFields(run) };
    await this.#end(entry);
  }

  async #fail(entry: Entry, error: unknown): Promise<void> {
    entry.error = { id: entry.id, error: errorMessage(error) };
    await this.#end(entry);
  }

  /** A row that cannot be run. */
  async #refuse(entry: Entry, error: object): Promise<void> {
    this.#entries.begin(entry);
    entry.error = error;
    await this.#end(entry);
  }

  async #end(entry: Entry): Promise<void> {
    this.#failed ||= entry.error !== null;
    if (--entry.left > 0) {
      return;
    }
    for (const { results, error, bytes } of this.#entries.end(entry)) {
      this.#run.terminal.progressDone();
      await this.#run.terminal.write(jsonLines(error === null ? results : [error])); // at once: others may write while it waits
      this.#progress.row(bytes, error === null);
      this.#written();
    }
  }
}

function jsonLines(lines: readonly object[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

function* requests(entry: Entry, samples: PromptSamples): Generator<Request, void> {
  for (const sample of samples.requests()) {
    yield { ...sample, entry, samples };
  }
}
