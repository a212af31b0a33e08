// `kvgen batch`: many prompts in one run, a JSON object a line in and out. Rows are read no more than four times the
// concurrency ahead of the oldest one that is not written, so memory is bounded and pipes press back both ways.

import { randomInt } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import type { Backend } from '../backend/backend.js';
import type { Invocation } from '../commands.js';
import { completeRows } from '../complete-rows.js';
import { EXIT, errorMessage, KvgenError, UsageError } from '../errors.js';
import { findModel } from '../model/find.js';
import type { Model } from '../model/model.js';
import { type BatchArgs, batchDefaults, checkBatchArgs, type GenerateArgs } from '../options.js';
import { decodeUtf8 } from '../prompt.js';
import { SavedPrompts } from '../prompt-cache.js';
import { hasTokenizer, loadTokenizer, type Tokenizer } from '../text/tokenizer.js';
import { firstWords } from './answers.js';
import { type Line, RowQueue, readLines } from './batch-input.js';
import { BatchProgress } from './batch-progress.js';
import { type BatchRow, readRow } from './batch-rows.js';
import { InOrder } from './in-order.js';
import { openEverything } from './open.js';
import { checkStops, loopOptions, preparePrompt, prepareSampler } from './prepare.js';
import { reportFields } from './report.js';
import { type GenerateRun, newRun, notePrompt } from './run.js';
import type { Sample } from './samples.js';
import { checkCacheEnvironment, openSaved, type Saved } from './saved.js';

/** Rows that may be read before the oldest of them is written, for each that runs. */
const AHEAD = 4;
const MAX_RANDOM_SEED = 2 ** 32;

export async function batchCommand(invocation: Invocation): Promise<number> {
  const { words, terminal, signal, usage } = invocation;
  const args = invocation.options as BatchArgs;
  const defaults = batchDefaults(args);
  const [path = '-'] = words;
  checkBatchArgs(args);
  checkCacheEnvironment(defaults);
  await terminal.configure(args);
  if (path === '-' && words.length === 0 && terminal.stdinIsTerminal) {
    terminal.log(usage());
    throw new UsageError('no rows: give a file, or pipe them in');
  }
  const size = path === '-' ? null : fileSize(path);
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

/** @throws KvgenError before anything is loaded */
function fileSize(path: string): number {
  try {
    return statSync(path).size;
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
  /** What is written for it, a line each. */
  readonly output: object[];
}

interface Request extends Sample {
  readonly entry: Entry;
  readonly prompts: SavedPrompts | null;
}

class Batch {
  readonly #run: BatchRun;
  readonly #progress: BatchProgress;
  readonly #queue: RowQueue<Request>;
  readonly #entries = new InOrder<Entry>();
  #failed = false;
  #written = () => {};

  constructor(run: BatchRun, progress: BatchProgress) {
    this.#run = run;
    this.#progress = progress;
    this.#queue = new RowQueue(run.stopped);
  }

  async run(path: string): Promise<number> {
    const { terminal, stopped } = this.#run;
    const reader = new AbortController();
    const reading = this.#read(path, AbortSignal.any([stopped, reader.signal])).finally(() => this.#queue.end());
    try {
      await Promise.all([this.#write(), reading]);
    } finally {
      reader.abort(); // else a pipe that stays open would keep the process
    }
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
  }

  /** Rows into the queue, as long as there is room between them and the oldest unwritten one. */
  async #read(path: string, stopped: AbortSignal): Promise<void> {
    const { terminal, args } = this.#run;
    stopped.addEventListener('abort', () => this.#written());
    const chunks = path === '-' ? terminal.stdinChunks(stopped) : createReadStream(path);
    try {
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
    const entry = (id: unknown): Entry => ({ id, bytes: end, left: 1, output: [] });
    let json: unknown;
    try {
      json = JSON.parse(decodeUtf8(bytes, `line ${line}`).replace(/^\uFEFF/, '')); // some editors put a mark before the first
    } catch (error) {
      return this.#refuse(entry(null), { id: null, line, error: errorMessage(error) });
    }
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      return this.#refuse(entry(null), { id: null, line, error: 'expected a JSON object' });
    }
    const row = entry((json as { id?: unknown }).id ?? null);
    try {
      const requests = this.#requests(readRow(json as Record<string, unknown>, this.#run.defaults), row);
      row.left = requests.length;
      this.#entries.begin(row);
      for (const request of requests) {
        this.#queue.push(request);
      }
    } catch (error) {
      await this.#refuse(row, { id: row.id, error: errorMessage(error) });
    }
  }

  /** One for each sample. */
  #requests({ prompt, args }: BatchRow, entry: Entry): Request[] {
    const { model, tokenizer, dir, name, backend, terminal } = this.#run;
    const { config } = model.engine;
    if (tokenizer === null && prompt !== undefined) {
      throw new KvgenError(`prompt: ${dir} has no tokenizer; give prompt_ids`);
    }
    checkStops(args, tokenizer, dir);
    const onNote = (line: string) => terminal.note(`${JSON.stringify(entry.id)}: ${line}`);
    const prepared = preparePrompt(args, prompt, { dir, config, tokenizer, onNote });
    const seed = args.seed ?? randomInt(MAX_RANDOM_SEED);
    return Array.from({ length: args.samples }, (_, i) => {
      const sample = args.samples === 1 ? null : i;
      const run = newRun({ args, model: name, backend, prompt: prepared, seed: seed + i, sample, answerCached: false });
      const prompts = this.#savedPrompts(run);
      const options = {
        ...loopOptions(args, prepared, config),
        logprobs: args.logprobs,
        onPromptLogits: notePrompt(run),
        signal: this.#run.stopped,
        promptCache: prompts ?? undefined,
      };
      const sampler = prepareSampler(args, run.seed, tokenizer, config);
      return { run, entry, prompts, promptIds: run.promptIds, sampler, stops: args.stop, options, stats: run.stats };
    });
  }

  #savedPrompts({ prompt }: GenerateRun): SavedPrompts | null {
    const { saved, model } = this.#run;
    const { nHead } = model.engine.config;
    const store = saved?.prompts(nHead) ?? null;
    return store === null ? null : new SavedPrompts(store, nHead, firstWords(prompt));
  }

  async #done({ entry, run, prompts }: Request): Promise<void> {
    run.engine = this.#run.model.engine.name;
    run.promptCache = prompts?.report ?? null;
    entry.output.push({ id: entry.id, ...reportFields(run) });
    await this.#end(entry);
  }

  async #fail(entry: Entry, error: unknown): Promise<void> {
    this.#failed = true;
    entry.output.push({ id: entry.id, error: errorMessage(error) });
    await this.#end(entry);
  }

  /** A row that cannot be run. */
  async #refuse(entry: Entry, output: object): Promise<void> {
    this.#failed = true;
    this.#entries.begin(entry);
    entry.output.push(output);
    await this.#end(entry);
  }

  async #end(entry: Entry): Promise<void> {
    if (--entry.left > 0) {
      return;
    }
    for (const { output, bytes } of this.#entries.end(entry)) {
      this.#run.terminal.progressDone();
      for (const line of output) {
        await this.#run.terminal.print(JSON.stringify(line));
      }
      this.#progress.row(
        bytes,
        output.every((line) => !('error' in line)),
      );
      this.#written();
    }
  }
}
