// Spawns the built command as a shell would and collects its stdout and stderr apart, as bytes and as text.

import { type ChildProcessWithoutNullStreams, execFile, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const BIN = fileURLToPath(new URL('../../bin/kvgen.js', import.meta.url));
const ON_TERMINAL = fileURLToPath(new URL('on-terminal.py', import.meta.url));

export const hasPython = spawnSync('python3', ['--version']).status === 0;
export const hasProc = process.platform === 'linux';

export interface Ended {
  /** null: ended by `signal`. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly bytes: Buffer;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SpawnOptions {
  /** What is piped to stdin; undefined: stdin is empty. */
  input?: string | Uint8Array;
  /** Added to the environment; undefined removes a variable. */
  env?: Record<string, string | undefined>;
  /** The whole environment instead. */
  onlyEnv?: Record<string, string>;
  cwd?: string;
  /** Milliseconds after which the command is killed (signal SIGKILL in the result). */
  timeout?: number;
}

export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly pid: number;
  /** Starts to read what has not been read, and waits for the end. */
  end(): Promise<Ended>;
}

/** The environment of the command, without what the machine of the test would say otherwise. */
export function environment({ env = {}, onlyEnv }: SpawnOptions): NodeJS.ProcessEnv {
  if (onlyEnv !== undefined) {
    return onlyEnv;
  }
  const cleared = { NO_COLOR: undefined, FORCE_COLOR: undefined };
  const ours = Object.keys(process.env).filter((name) => name.startsWith('KVGEN_'));
  const merged = {
    ...process.env,
    ...Object.fromEntries(ours.map((name) => [name, undefined])),
    ...cleared,
    CI: undefined,
    TERM: 'xterm',
    ...env,
  };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined));
}

/** Starts the command with stdin open and nothing read yet. */
export function start(args: readonly string[], options: SpawnOptions = {}): Running {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: environment(options),
    cwd: options.cwd,
    timeout: options.timeout ?? 40_000,
    killSignal: 'SIGKILL',
  });
  child.stdin.on('error', () => {}); // the command may end before it has read everything
  const closed = new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on('close', (code, signal) => resolve([code, signal])),
  );
  const end = async () => {
    const [bytes, stderr, [code, signal]] = await Promise.all([all(child.stdout), all(child.stderr), closed]);
    return { code, signal, bytes, stdout: bytes.toString(), stderr: stderr.toString() };
  };
  return { child, pid: child.pid as number, end };
}

async function all(stream: NodeJS.ReadableStream & { destroyed?: boolean }): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise((resolve) => (stream.destroyed ? resolve(null) : stream.once('close', resolve)));
  return Buffer.concat(chunks);
}

/** Runs the command to its end. */
export function kvgen(args: readonly string[], options: SpawnOptions = {}): Promise<Ended> {
  const running = start(args, options);
  running.child.stdin.end(options.input);
  return running.end();
}

/** The one object of --json. */
export async function kvgenJson(args: readonly string[], options: SpawnOptions = {}) {
  const command = args[0] === 'generate' ? 1 : 0;
  const ended = await kvgen([...args.slice(0, command), '--json', ...args.slice(command)], options);
  return { ...ended, json: JSON.parse(ended.stdout) };
}

/** Waits until the process has nothing to do: it sleeps and uses no time. */
export async function untilIdle(pid: number): Promise<void> {
  for (let before = ''; ; ) {
    const [, state, ticks] = /\) (\w)(?: \S+){10} (\d+ \d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
    const now = `${state} ${ticks}`;
    if (now === before && state === 'S') {
      return;
    }
    before = now;
    await sleep(400);
  }
}

export interface OnTerminal {
  /** Which streams are on the terminal. */
  terminal: readonly ('stdin' | 'stdout' | 'stderr')[];
  /** Typed once `after` shows on the terminal; `\u0003` is Ctrl-C. */
  input?: string;
  after?: string;
  /** Instead of both: one after the other, each when its `after` shows in what came since the one before. */
  steps?: readonly { after?: string; input?: string; columns?: number; signal?: number }[];
  columns?: number;
  env?: Record<string, string | undefined>;
}

export interface TerminalEnded {
  readonly code: number;
  /** All that the terminal got, ESC as `␛`. */
  readonly terminal: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** With ESC as `␛`. */
export function visible(text: string): string {
  return text.replaceAll('\u001b', '␛');
}

/** Runs the command with some of its streams on a terminal of its own. */
export function kvgenOnTerminal(args: readonly string[], { env, ...request }: OnTerminal): Promise<TerminalEnded> {
  const argv = [process.execPath, BIN, ...args];
  return new Promise((resolve, reject) => {
    execFile(
      'python3',
      [ON_TERMINAL, JSON.stringify({ argv, ...request })],
      { env: environment(env === undefined ? {} : { env }), maxBuffer: 1e9 },
      (error, stdout) => {
        if (error !== null) {
          reject(error);
          return;
        }
        const { code, ...streams } = JSON.parse(stdout);
        const texts = Object.entries(streams).map(([name, bytes]) => [
          name,
          Buffer.from(bytes as string, 'latin1').toString(),
        ]);
        const { terminal, ...rest } = Object.fromEntries(texts);
        resolve({ code, terminal: visible(terminal), ...rest });
      },
    );
  });
}
