// Runs the command in the process of the test: several times as fast as a process of its own, which run.ts starts, and the
// same code from its arguments to its last byte. Not for what a process decides: signals, pipes, terminals, TensorFlow.

import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { main } from '../../src/cli/main.js';
import { type Ended, environment, type SpawnOptions } from './run.js';

type Options = Pick<SpawnOptions, 'input' | 'env' | 'onlyEnv' | 'cwd'>;

/** One at a time: a process has one environment, one stdout, one exit code. */
let turn: Promise<unknown> = Promise.resolve();

export function kvgenHere(args: readonly string[], options: Options = {}): Promise<Ended> {
  const ended = turn.then(() => run(args, options));
  turn = ended.catch(() => {});
  return ended;
}

/** The one object of --json. */
export async function kvgenJsonHere(args: readonly string[], options: Options = {}) {
  const command = args[0] === 'generate' ? 1 : 0;
  const ended = await kvgenHere([...args.slice(0, command), '--json', ...args.slice(command)], options);
  return { ...ended, json: JSON.parse(ended.stdout) };
}

async function run(args: readonly string[], options: Options): Promise<Ended> {
  const [stdout, stderr] = [new Collector(), new Collector()];
  const input = new FileInput(options.input ?? '');
  const restores = [
    replace({ stdin: input.stream, stdout, stderr }),
    replaceEnvironment(environment(options)),
    replaceFolder(options.cwd),
  ];
  const endListeners = catchListeners();
  try {
    await main(args);
    endListeners();
    const code = process.exitCode as number;
    return { code, signal: null, bytes: stdout.bytes, stdout: `${stdout.bytes}`, stderr: `${stderr.bytes}` };
  } finally {
    process.exitCode = undefined;
    for (const restore of restores) {
      restore();
    }
    input.remove();
  }
}

class Collector extends Writable {
  readonly #chunks: Buffer[] = [];

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#chunks.push(chunk);
    done();
  }
}

let files = 0;

/** A file as stdin. */
class FileInput {
  readonly stream: Readable & { readonly fd: number };
  readonly #path = join(tmpdir(), `kvgen-stdin-${process.pid}-${files++}`);

  constructor(input: string | Uint8Array) {
    writeFileSync(this.#path, input);
    const stream = Readable.from([Buffer.from(input)], { objectMode: false });
    this.stream = Object.assign(stream, { fd: openSync(this.#path, 'r') });
  }

  remove(): void {
    closeSync(this.stream.fd);
    rmSync(this.#path);
  }
}

/** Replaces properties of the process. @returns puts them back */
function replace(values: Readonly<Record<string, unknown>>): () => void {
  const old = Object.keys(values).map((name) => [name, Object.getOwnPropertyDescriptor(process, name)] as const);
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(process, name, { value, configurable: true });
  }
  return () => {
    for (const [name, descriptor] of old) {
      Object.defineProperty(process, name, descriptor as PropertyDescriptor);
    }
  };
}

function replaceEnvironment(wanted: NodeJS.ProcessEnv): () => void {
  const old = { ...process.env };
  const set = (values: NodeJS.ProcessEnv) => {
    for (const name of Object.keys(process.env)) {
      delete process.env[name];
    }
    Object.assign(process.env, values);
  };
  set(wanted);
  return () => set(old);
}

function replaceFolder(wanted: string | undefined): () => void {
  const old = process.cwd();
  process.chdir(wanted ?? old);
  return () => process.chdir(old);
}

const EVENTS = ['exit', 'SIGINT', 'SIGTERM'] as const;

/** @returns ends the run as the end of its process would: calls what it has put off until then, and forgets its listeners */
function catchListeners(): () => void {
  const before = EVENTS.map((event) => process.listeners(event as 'exit'));
  return () => {
    for (const [i, event] of EVENTS.entries()) {
      for (const listener of process.listeners(event as 'exit').filter((one) => !before[i]?.includes(one))) {
        process.removeListener(event, listener);
        if (event === 'exit') {
          listener(0);
        }
      }
    }
  };
}
