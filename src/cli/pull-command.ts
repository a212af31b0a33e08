// `kvgen pull <name>`: fetches a model from the hub, shows how far it is, and prints the folder where it lies.

import { EXIT, errorMessage, megabytes, UsageError } from '../errors.js';
import { hubCache } from '../hub/hub-cache.js';
import { checkRevision, parseModelName } from '../hub/model-name.js';
import type { Pulled, PullOptions } from '../hub/pull.js';
import { pull } from '../hub/pull.js';
import type { Progress } from '../hub/transfer.js';
import { throwFirst } from '../settings.js';
import { parseConfig } from '../weights/folder.js';
import type { Invocation } from './shell/command.js';
import { PULL, type PullArgs } from './shell/command-settings.js';
import type { Terminal } from './shell/terminal.js';

/** @param where how long to wait, for tests */
export async function pullCommand(invocation: Invocation, where: Pick<PullOptions, 'patience'> = {}): Promise<number> {
  const { words, terminal, signal } = invocation;
  const args = invocation.settings(PULL);
  const wanted = checkedArgs(words[0], args);
  const token = tokenOf(process.env);
  await terminal.configure(args);
  const started = performance.now();
  const meter = new Meter(terminal);
  const onNote = (line: string) => (args.verbose ? terminal.note(line) : meter.note(line));
  terminal.progress(`asking ${args.hub}`);
  const pulled = await pull({
    ...where,
    ...wanted,
    hub: args.hub,
    token,
    cache: hubCache(),
    signal,
    onNote,
    onConfig: (text) => noteOf(text, wanted.model, terminal),
    ...meter.events,
  });
  terminal.progressDone();
  report(pulled, wanted.model, (performance.now() - started) / 1000, terminal);
  await terminal.print(pulled.dir);
  return EXIT.ok;
}

/** @throws UsageError for what arguments alone decide */
function checkedArgs(name: string | undefined, { hub, revision, file, quiet, verbose }: PullArgs) {
  throwFirst([[quiet && verbose, '--quiet cannot go with --verbose']]);
  if (name === undefined) {
    throw new UsageError('expected the name of a model: kvgen pull owner/name');
  }
  const page = parseModelName(name, hub);
  throwFirst([
    [page.revision !== undefined && revision !== undefined, '--revision cannot go with an address that names one'],
    [page.file !== undefined && file.length > 0, '--file cannot go with the address of a file'],
  ]);
  const chosen = revision === undefined ? page.revision : checkRevision(revision, '--revision');
  const patterns = page.file === undefined ? file : [page.file];
  return { model: page.model, revision: chosen ?? 'main', patterns };
}

/** Never shown. @throws UsageError for one that no header can hold */
function tokenOf({ HF_TOKEN }: NodeJS.ProcessEnv): string | undefined {
  const token = HF_TOKEN?.trim() ?? '';
  if (!/^[!-~]*$/.test(token)) {
    throw new UsageError('HF_TOKEN has characters that no token has');
  }
  return token === '' ? undefined : token;
}

/** Who pulls a model that kvgen cannot run is told before the weights come; Python may want it. */
function noteOf(config: string, model: string, terminal: Terminal): void {
  try {
    parseConfig(JSON.parse(config), 'config.json');
  } catch (error) {
    terminal.note(`kvgen does not run ${model}: ${errorMessage(error)}`);
  }
}

function report(
  { files, newFiles, fetched, resumed, base, offline }: Pulled,
  model: string,
  seconds: number,
  terminal: Terminal,
) {
  if (offline !== undefined) {
    terminal.note(`${offline}; ${model} is here as it was last fetched`);
  } else if (newFiles === 0) {
    terminal.note(`${model} is here already, all ${files.length} files: nothing was fetched`);
  } else {
    const before = resumed === 0 ? '' : ` · ${sizeText(resumed)} were here`;
    const here = files.length === newFiles ? '' : ` of ${files.length}`;
    terminal.statistics(`${newFiles}${here} files · ${sizeText(fetched)} fetched${before} · ${seconds.toFixed(1)} s`);
  }
  if (base !== undefined) {
    terminal.note(`${model} is an adapter of ${base}, which it needs; \`kvgen pull ${base}\` fetches that`);
  }
}

/** Milliseconds between two pictures of the bar. */
const FRAME = 100;
const BAR = 20;

/** Shows on a terminal how far a file is, and a line for each that is here. */
class Meter {
  readonly #terminal: Terminal;
  #path = '';
  #begun = 0;
  /** Bytes that were here when it began. */
  #from = 0;
  #shown = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  get events(): Pick<PullOptions, 'onProgress' | 'onFile'> {
    return {
      onProgress: (progress) => this.#show(progress),
      onFile: ({ path, size }, { fetched, resumed }) => {
        const before = resumed === 0 ? '' : `, ${sizeText(resumed)} of it from an earlier run`;
        const other = fetched + resumed < size ? ', by another process' : '';
        this.#terminal.note(`${path}: ${sizeText(size)}${before}${other}`);
      },
    };
  }

  /** What keeps the bar from moving, such as a server that asks to wait. */
  note(line: string): void {
    this.#terminal.progress(line);
  }

  #show(progress: Progress): void {
    const { file, state, done } = progress;
    const now = performance.now();
    if (file.path !== this.#path || state !== 'fetching') {
      this.#path = file.path;
      this.#begun = now;
      this.#from = done;
    }
    if (now - this.#shown >= FRAME) {
      this.#shown = now;
      this.#terminal.progress(this.#line(progress, now));
    }
  }

  #line({ file, state, done, resumed }: Progress, now: number): string {
    const share = file.size === 0 ? 1 : done / file.size;
    const full = Math.floor(BAR * share);
    const bar = `${'█'.repeat(full)}${'░'.repeat(BAR - full)}`;
    const amount = `${megabytes(done)} of ${megabytes(file.size)}`;
    const line = `${file.path} ${bar} ${Math.floor(100 * share)} % · ${amount}`;
    if (state !== 'fetching') {
      return `${line} · ${state === 'checking' ? 'checking what is here' : 'another process is fetching it'}`;
    }
    const rate = (1000 * (done - this.#from)) / Math.max(now - this.#begun, 1);
    const left = rate > 0 ? ` · ${timeText((file.size - done) / rate)} left` : '';
    return `${line} · ${megabytes(rate)}/s${left}${resumed > 0 ? ` · resumed from ${megabytes(resumed)}` : ''}`;
  }
}

function timeText(seconds: number): string {
  return seconds < 100 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

/** `0.9 kB`, `548.1 MB`: models have files of all sizes. */
function sizeText(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : megabytes(bytes);
}
