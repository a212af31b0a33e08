// A template in a process of its own. A model's folder may be hostile: a template can run for ever, or ask for more memory
// in one step than a thread can be kept from taking without the whole process. This one is ended when its time is over, when
// the signal aborts, or by itself when it takes too much. Knows nothing of messages.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { KvgenError, oneLine, shown } from '../errors.js';
import type { TextFile } from '../text/tokenizer-files.js';
import type { TemplateAnswer, TemplateRequest } from './template-worker.js';

/** Milliseconds for the template, and for each rendering of it: some hundred times what is usual. */
const LIMIT_MS = 4000;
/** Starting a process counts too, on a machine that others use. */
const START_MS = 20_000;
const MEMORY_MB = 512;

/** The same relative path holds in src/ and in dist/: a process needs compiled code. */
const WORKER = fileURLToPath(new URL('../../dist/chat/template-worker.js', import.meta.url));

/** What became of a rendering: the text, or what the template complains of. */
export type Rendering = TemplateAnswer;

export class TemplateProcess {
  readonly #file: TextFile;
  readonly #limitMs: number;
  #running: { readonly child: ChildProcess; readonly ready: Promise<TemplateAnswer> } | undefined;
  /** Resolves when the rendering before is done. */
  #turn: Promise<unknown> = Promise.resolve();

  /** @param limitMs for each rendering */
  constructor(file: TextFile, limitMs = LIMIT_MS) {
    this.#file = file;
    this.#limitMs = limitMs;
  }

  /**
   * @returns the text, or the error that the template itself made
   * @throws KvgenError for what is no template, or takes too long or too much memory; what `signal` aborts with
   */
  render(variables: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<Rendering> {
    const rendered = this.#turn.then(() => this.#render(variables, signal));
    this.#turn = rendered.catch(() => {});
    return rendered;
  }

  /** Ends the process. It starts again when it is needed. */
  stop(): void {
    this.#running?.child.kill('SIGKILL');
    this.#running = undefined;
  }

  async #render(variables: Readonly<Record<string, unknown>>, signal: AbortSignal | undefined): Promise<Rendering> {
    signal?.throwIfAborted();
    this.#running ??= this.#start(signal);
    const { child, ready } = this.#running;
    const read = await ready;
    if ('error' in read) {
      this.stop();
      throw this.#problem(`is no template that can be read (${oneLine(shown(read.error))})`);
    }
    return this.#ask(child, { variables, ms: this.#limitMs }, 2 * this.#limitMs, signal);
  }

  #start(signal: AbortSignal | undefined) {
    const child = fork(WORKER, [], {
      execArgv: [`--max-old-space-size=${MEMORY_MB}`],
      env: { TZ: process.env.TZ, SystemRoot: process.env.SystemRoot },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    child.on('error', () => {}); // told to whoever waits for an answer
    child.once('exit', () => {
      this.#running = this.#running?.child === child ? undefined : this.#running; // the next rendering starts another
    });
    const ready = this.#ask(child, { template: this.#file.text, ms: this.#limitMs }, START_MS, signal);
    ready.catch(() => this.stop());
    return { child, ready };
  }

  /** The next answer; the process keeps this one alive only while one is awaited. */
  async #ask(child: ChildProcess, request: TemplateRequest, ms: number, signal?: AbortSignal): Promise<TemplateAnswer> {
    const over = AbortSignal.timeout(ms);
    const settled = new AbortController();
    const until = { signal: AbortSignal.any([over, settled.signal, ...(signal === undefined ? [] : [signal])]) };
    keepAlive(child, true);
    try {
      const answer = Promise.race([once(child, 'message', until), endOf(child, until)]);
      child.send(request, () => {}); // an error of it ends the process, too
      const [found] = await answer;
      return this.#withinTime(found as TemplateAnswer);
    } catch (error) {
      this.stop();
      signal?.throwIfAborted();
      throw error instanceof KvgenError ? error : this.#problem(over.aborted ? this.#tooLong : TOO_MUCH);
    } finally {
      settled.abort();
      keepAlive(child, false);
    }
  }

  #withinTime(answer: TemplateAnswer): TemplateAnswer {
    if ('error' in answer && /^Script execution timed out/.test(answer.error)) {
      throw this.#problem(this.#tooLong);
    }
    return answer;
  }

  get #tooLong(): string {
    return `takes longer than ${(this.#limitMs / 1000).toFixed(0)} s`;
  }

  #problem(what: string): KvgenError {
    return new KvgenError(`${this.#file.path}: the chat template ${what}; use the template of another folder`);
  }
}

const TOO_MUCH = `ended its process, as one does that takes more than ${MEMORY_MB} MB`;

async function endOf(child: ChildProcess, until: { signal: AbortSignal }): Promise<never> {
  if (child.exitCode === null && child.signalCode === null) {
    await once(child, 'exit', until);
  }
  throw new Error('the process has ended');
}

function keepAlive(child: ChildProcess, isNeeded: boolean): void {
  const change = isNeeded ? 'ref' : 'unref';
  child[change]();
  child.channel?.[change]();
}
