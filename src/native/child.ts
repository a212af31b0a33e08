// Runs one program to its end. Its output is kept for the error message, or shown on stderr; a time limit and an
// AbortSignal end it, with all the programs that it started. Knows nothing of what is run.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';

/** What every step of an install is given. */
export interface StepOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface RunOptions extends Omit<StepOptions, 'log'> {
  /** What errors call the program. */
  readonly name: string;
  readonly cwd?: string;
  readonly timeoutSeconds: number;
  /** Let the program write to our stderr where that is a terminal (progress bars). */
  readonly show?: boolean;
  /** Asked every second; a text ends the program with that reason. */
  readonly stalled?: (seconds: number) => string | undefined;
}

/** A program and its arguments. */
export type Command = readonly [string, ...string[]];

/** The most that is kept of a program's output, in characters. */
const MAX_OUTPUT = 1 << 20;
/** A file descriptor, since npm's postinstall runs this code too, without the shell's terminal object. */
const STDERR = 2;

/** The program's whole output. @throws an error with its most telling line if the program fails */
export async function run([program, ...args]: Command, options: RunOptions): Promise<string> {
  options.signal?.throwIfAborted();
  const shown = options.show === true && isatty(STDERR);
  const child = spawn(program, args, {
    env: childEnv(options.env),
    cwd: options.cwd,
    // A group of its own, so that make, the compiler and pip's helpers end with it.
    detached: process.platform !== 'win32',
    stdio: shown ? ['ignore', STDERR, STDERR] : ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-MAX_OUTPUT);
    });
  }
  const failure = await watch(child, options);
  if (failure === undefined) {
    return output;
  }
  if (options.env.KVGEN_DEBUG === '1') {
    writeSync(STDERR, output);
  }
  throw new Error(`${options.name} ${failure}${tellingLine(output)}`);
}

/** Waits for the end. Returns how the program failed, or undefined. @throws if it cannot start, or is interrupted */
async function watch(child: ChildProcess, options: RunOptions): Promise<string | undefined> {
  let seconds = 0;
  let reason: string | undefined;
  const timer = setInterval(() => {
    seconds += 1;
    reason ??=
      seconds >= options.timeoutSeconds ? `took longer than ${options.timeoutSeconds} s` : options.stalled?.(seconds);
    if (reason !== undefined) {
      killGroup(child);
    }
  }, 1000);
  const abort = () => killGroup(child);
  options.signal?.addEventListener('abort', abort);
  try {
    const [code, signal] = await once(child, 'close');
    options.signal?.throwIfAborted();
    return reason ?? (code === 0 ? undefined : `failed (${signal ?? `exit ${code}`})`);
  } finally {
    clearInterval(timer);
    options.signal?.removeEventListener('abort', abort);
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) {
    return;
  }
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL'); // the group's number is negative
  } catch {
    // It ended by itself in the meantime.
  }
}

/**
 * `npm install -g` hands its scripts npm_config_global, npm_config_prefix, npm_config_dry_run and the like, which would
 * turn a plain `npm pack` or node-gyp into something else. Only what describes the network and the compiler stays.
 */
const KEPT =
  /^npm_config_(registry|userconfig|globalconfig|(https?_?)?proxy|noproxy|ca|cafile|cert|key|strict_ssl|cache|python|nodedir|devdir|disturl|dist_url|node_gyp|jobs|tfjs_node_\w+)$/i;

/** The environment, without what an npm that runs us has put there for itself. */
export function childEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^npm_/i.test(name) || KEPT.test(name)));
}

/** The first line that names an error (later ones are often its echo), else one that sounds like one, else the last. */
function tellingLine(output: string): string {
  const lines = output
    .split(/\r?\n/)
    .map((text) => text.trim())
    .filter((text) => text !== '');
  const line =
    lines.find((text) => /\berror: /i.test(text)) ??
    lines.findLast((text) => /\berror\b|not found|no space|denied/i.test(text)) ??
    lines.at(-1);
  return line === undefined ? '' : `: ${line.slice(0, 300)}`;
}
