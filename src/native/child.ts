// Runs one program to its end: output kept for the error message or shown on stderr, a time limit, and an
// AbortSignal that ends the program with all its children. Knows nothing of what is run.

import { type ChildProcess, spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';

export interface RunOptions {
  /** What errors call the program. */
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutSeconds: number;
  /** Let the program write to our stderr where that is a terminal (progress bars). */
  readonly show?: boolean;
  /** Asked every second; a text ends the program with that reason. */
  readonly stalled?: (seconds: number) => string | undefined;
}

/** The program's whole output; an error with its most telling line if it failed. */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<string> {
  options.signal?.throwIfAborted();
  const shown = options.show === true && isatty(STDERR);
  const child = spawn(command, args, {
    env: options.env,
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
  const ended = await watch(child, options);
  if (ended === 'ok') {
    return output;
  }
  if (options.env.KVGEN_DEBUG === '1') {
    writeSync(STDERR, output);
  }
  throw new Error(`${options.name} ${ended}${tellingLine(output)}`);
}

const MAX_OUTPUT = 1 << 20;
/** The file descriptor: this code also runs where there is no terminal object, in npm's postinstall. */
const STDERR = 2;

/** `ok`, or how the program ended. Rejects when it cannot start or is aborted. */
function watch(child: ChildProcess, options: RunOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    let reason: string | undefined;
    let seconds = 0;
    const end = (why: string) => {
      reason ??= why;
      killGroup(child);
    };
    const timer = setInterval(() => {
      seconds += 1;
      if (seconds >= options.timeoutSeconds) {
        end(`took longer than ${options.timeoutSeconds} s`);
      }
      const stalled = options.stalled?.(seconds);
      if (stalled !== undefined) {
        end(stalled);
      }
    }, 1000);
    const abort = () => end('was interrupted');
    options.signal?.addEventListener('abort', abort, { once: true });
    const finish = (settle: () => void) => {
      clearInterval(timer);
      options.signal?.removeEventListener('abort', abort);
      settle();
    };
    child.on('error', (error) => finish(() => reject(error)));
    child.on('close', (code, signal) => {
      if (options.signal?.aborted) {
        finish(() => reject(options.signal?.reason));
      } else {
        finish(() => resolve(reason ?? (code === 0 ? 'ok' : `failed (${signal ?? `exit ${code}`})`)));
      }
    });
  });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) {
    return;
  }
  try {
    if (process.platform === 'win32') {
      child.kill();
    } else {
      process.kill(-child.pid, 'SIGKILL');
    }
  } catch {
    // It ended by itself in the meantime.
  }
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
