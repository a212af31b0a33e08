// Other programs' servers for the tests that talk to them: installed by pip into environments of their own, which are kept in
// the user's cache, and started on a free port.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import envPaths from 'env-paths';

const run = promisify(execFile);
const TEN_MINUTES = 600_000;
const START_MS = 60_000;

/** An environment by name, and what is installed into it. A changed version is another environment. */
const ENVIRONMENTS = {
  llama: ['xllamacpp==2026.10.11549', 'gguf==0.19.0'],
  mlx: ['mlx[cpu]==0.32.4', 'mlx-lm==0.32.2'],
} as const;

export interface PythonServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** @returns the Python of an environment; or why it cannot be had here */
export async function pythonWith(name: keyof typeof ENVIRONMENTS): Promise<{ python: string } | { missing: string }> {
  const packages = ENVIRONMENTS[name];
  const versions = packages.map((one) => one.replace(/^.*==/, '')).join('-');
  const dir = join(envPaths('kvgen', { suffix: '' }).cache, 'test-servers', `${name}-${versions}`);
  const done = join(dir, 'installed');
  const python = join(dir, 'bin', 'python');
  if (existsSync(done)) {
    return { python };
  }
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  try {
    await run('python3', ['-m', 'venv', dir], { timeout: TEN_MINUTES });
    await run(python, ['-m', 'pip', 'install', '--quiet', '--only-binary=:all:', ...packages], {
      timeout: TEN_MINUTES,
    });
  } catch (error) {
    const { stderr = '', message } = error as { stderr?: string; message: string };
    const [last = message] = stderr.trim().split('\n').slice(-1);
    return { missing: `pip installs no ${packages.join(' ')} (${last})` };
  }
  writeFileSync(done, '');
  return { python };
}

/** llama.cpp's own server, with as many slots as requests may run at the same time. */
export async function startLlama(python: string, file: string, slots: number, context: number): Promise<PythonServer> {
  const child = spawn(python, [script('llama-server.py'), file, `${slots}`, `${context}`]);
  const url = await firstLine(child);
  return { url, stop: () => stopped(child) };
}

export async function startMlx(python: string, folder: string, hubCache: string): Promise<PythonServer> {
  const port = await freePort();
  const env = { ...process.env, HF_HOME: hubCache };
  const child = spawn(python, ['-m', 'mlx_lm.server', '--model', folder, '--port', `${port}`], { env });
  const url = `http://127.0.0.1:${port}`;
  await answers(child, `${url}/health`);
  return { url, stop: () => stopped(child) };
}

/** `models/stories` or a folder like it, as a GGUF file in float32. */
export async function writeGguf(python: string, folder: string, file: string): Promise<void> {
  await run(python, [script('to-gguf.py'), folder, file], { timeout: TEN_MINUTES });
}

function script(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** What it says on stdout when it listens. @throws when it ends before, with what it said on stderr */
function firstLine(child: ChildProcess): Promise<string> {
  const said = stderrOf(child);
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) {
        resolve(text.slice(0, text.indexOf('\n')));
      }
    });
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${said().slice(-2000)}`)));
  });
}

async function answers(child: ChildProcess, url: string): Promise<void> {
  const said = stderrOf(child);
  child.stdout?.resume();
  for (const end = Date.now() + START_MS; Date.now() < end; await wait(100)) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) {
      return;
    }
    if (child.exitCode !== null) {
      break;
    }
  }
  await stopped(child);
  throw new Error(`${url}: no answer; the server said: ${said().slice(-2000)}`);
}

function stderrOf(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return () => text;
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
}
