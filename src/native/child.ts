// Runs one program to its end. Its output is kept for the error message, or shown on stderr. A time limit or an AbortSignal
// ends it together with all programs that it started. Knows nothing of what is run.

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

interface RunOptions extends Omit<StepOptions, 'log'> {
  /** The program's name in error messages. */
  readonly name: string;
  readonly cwd?: string;
  readonly timeoutSeconds: number;
  /** Let the program draw progress bars on our stderr if that is a terminal. */
  readonly show?: boolean;
}

/** A program and its arguments. */
export type Command = readonly [string, ...string[]];

/** How much of a program's output is kept, in characters. */
const MAX_OUTPUT = 1 << 20;
/** A file descriptor, because npm's postinstall runs this code too, and has no terminal object of kvgen's. */
const STDERR = 2;

/** Returns the program's output. @throws an error with the most telling line of the output if the program fails */
export async function run([program, ...args]: Command, options: RunOptions): Promise<string> {
  options.signal?.throwIfAborted();
  const shown = options.show === true && isatty(STDERR);
  const child = spawn(program, args, {
    env: childEnv(options.env),
    cwd: options.cwd,
    // A process group of its own, so that make, the compiler and pip's helpers can be ended together with it.
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

/** Waits for the end. Returns how the program failed, or undefined. @throws if it cannot start or is interrupted */
async function watch(child: ChildProcess, options: RunOptions): Promise<string | undefined> {
  let reason: string | undefined;
  const timer = setTimeout(() => {
    reason = `took longer than ${options.timeoutSeconds} s`;
    killGroup(child);
  }, options.timeoutSeconds * 1000);
  const abort = () => killGroup(child);
  options.signal?.addEventListener('abort', abort);
  try {
    const [code, signal] = await once(child, 'close');
    options.signal?.throwIfAborted();
    return reason ?? (code === 0 ? undefined : `failed (${signal ?? `exit ${code}`})`);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', abort);
  }
}

/** Ends a program that was started in a group of its own, with all that it started. */
export function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) {
    return;
  }
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL'); // a negative number means the group
  } catch {
    // It ended by itself in the meantime.
  }
}

/**
 * `npm install -g` gives its scripts npm_config_global, npm_config_prefix, npm_config_dry_run and others, which would change
 * what `npm pack` and node-gyp do. Only the settings of the network and the compiler are kept.
 */
const KEPT =
  /^npm_config_(registry|userconfig|globalconfig|(https?_?)?proxy|noproxy|ca|cafile|cert|key|strict_ssl|cache|python|nodedir|devdir|disturl|dist_url|node_gyp|jobs)$/i;

/** The environment without what npm has put there for itself, if npm runs us. */
export function childEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^npm_/i.test(name) || KEPT.test(name)));
}

/** The first line that names an error (later ones often repeat it), else one that sounds like an error, else the last. */
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
