// `kvgen pull` as a person runs it: what it prints where, exit codes, signals; and what becomes of a pull that is killed.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeHub } from '../hub/fake-hub.js';
import { blobs, COMMIT, randomBytes } from '../hub/pulls.js';
import { tempDirs } from '../support/temp-dir.js';
import { BYTES } from './folders.js';
import { kvgenHere as kvgen } from './here.js';
import { hasPython, kvgenOnTerminal, type SpawnOptions, start } from './run.js';

const tempDir = tempDirs();
const WEIGHTS = randomBytes(2_000_000);
const CONFIG = readFileSync(join(BYTES, 'config.json'), 'utf8');
let hub: FakeHub;
let home: string;
let cache: string;

beforeEach(async () => {
  hub = await new FakeHub().listen();
  hub.add('me/model', { 'config.json': CONFIG, 'model.safetensors': WEIGHTS });
  home = tempDir();
  cache = join(home, 'hub');
});
afterEach(() => hub.close());

const environment = (env: SpawnOptions['env'] = {}) => ({
  HF_ENDPOINT: hub.url,
  HF_HOME: home,
  HF_HUB_CACHE: undefined,
  HUGGINGFACE_HUB_CACHE: undefined,
  HF_TOKEN: undefined,
  ...env,
});
const pull = (args: string[], env: SpawnOptions['env'] = {}) => kvgen(['pull', ...args], { env: environment(env) });

describe('output', () => {
  it('is the folder on stdout, a line a file on stderr', async () => {
    const first = await pull(['me/model']);
    const dir = join(cache, 'models--me--model', 'snapshots', COMMIT);
    expect(first.stdout).toBe(`${dir}\n`);
    expect(first.stderr).toBe(
      `kvgen: config.json: ${(CONFIG.length / 1000).toFixed(1)} kB\nkvgen: model.safetensors: 2.0 MB\n`,
    );
    expect(first.code).toBe(0);
    const second = await pull(['me/model']);
    expect(second.stdout).toBe(first.stdout);
    expect(second.stderr).toBe('kvgen: me/model is here already, all 2 files: nothing was fetched\n');
    expect(await pull(['-q', 'me/model'])).toMatchObject({ stdout: first.stdout, stderr: '', code: 0 });
  });

  it('of a model that kvgen does not run says so first', async () => {
    hub.add('me/bert', { 'config.json': '{"model_type":"bert"}', 'model.safetensors': WEIGHTS });
    const { stderr, code } = await pull(['me/bert']);
    expect(stderr).toMatch(
      /^kvgen: config.json: 0.0 kB\nkvgen: kvgen does not run me\/bert: config.json: .*"bert"\nkvgen: model/,
    );
    expect(code).toBe(0);
  });

  it('of --verbose has what was tried again, and how much came', async () => {
    let left = 1;
    hub.misbehave = ({ host }, response) => {
      if (host === 'lfs' && left > 0) {
        response.writeHead(503).end();
      }
      return host === 'lfs' && left-- > 0;
    };
    const { stderr, code } = await pull(['--verbose', 'me/model']);
    expect(stderr).toMatch(/does not work at the moment \(it answers 503\); trying again in 0\.\d s/);
    expect(stderr).toMatch(/2 files · 2\.0 MB fetched · \d+\.\d s/);
    expect(code).toBe(0);
  });

  it.runIf(hasPython)('on a terminal has a bar, which is gone at the end', async () => {
    hub.delay = 15;
    const request = { terminal: ['stderr'] as const, columns: 120, env: environment() };
    const { terminal, stdout } = await kvgenOnTerminal(['pull', 'me/model'], request);
    expect(stdout).toContain('snapshots');
    expect(terminal).toMatch(/model\.safetensors █+░+ \d+ % · \d\.\d MB of 2\.0 MB · \d+\.\d MB\/s/);
    expect(terminal).toMatch(/2 files · 2\.0 MB fetched/);
  });

  it('without a hub is what is here, with a note', async () => {
    const { stdout } = await pull(['-q', 'me/model']);
    await hub.close();
    const again = await pull(['me/model']);
    expect(again).toMatchObject({ stdout, code: 0 });
    expect(again.stderr).toMatch(/cannot be reached \(nothing answers at that address\); me\/model is here as it was/);
  });

  it('of an error is one line, and nothing on stdout', async () => {
    expect(await pull(['me/none'])).toMatchObject({
      stdout: '',
      stderr: `kvgen: me/none: not found on ${hub.url}, or private; for a private one set HF_TOKEN to a token with access to it\n`,
      code: 1,
    });
  });
});

describe('arguments', () => {
  it.each<[string[], string, Record<string, string>?]>([
    [[], 'expected the name of a model'],
    [['../x'], '"../x" is no name of a model'],
    [['a', 'b'], 'expected at most 1 argument'],
    [['a/b', '--hub', 'http://example.org'], '--hub must be https'],
    [['a/b'], 'HF_ENDPOINT must be an address', { HF_ENDPOINT: 'hub' }],
    [['a/b', '--revision', '../x'], '--revision must be a branch'],
    [['a/b', '--file', ''], '--file must not be empty'],
    [['a/b', '-q', '--verbose'], '--quiet cannot go with --verbose'],
    [['a/b'], 'HF_TOKEN has characters that no token has', { HF_TOKEN: 'hf_a\nb: c' }],
  ])('%j are refused: %s', async (args, words, env = {}) => {
    const { stderr, stdout, code } = await pull(args, env);
    expect({ stdout, code }).toEqual({ stdout: '', code: 2 });
    expect(stderr).toContain(words);
    expect(stderr).not.toContain('hf_a');
    expect(hub.seen).toEqual([]);
  });

  it('may be the address of a page, or of a file', async () => {
    const page = await pull(['-q', `${hub.url}/me/model/tree/main`]);
    expect(readdirSync(page.stdout.trim()).sort()).toEqual(['config.json', 'model.safetensors']);
    hub.add('me/quants', { 'config.json': '{}', 'q/a.gguf': WEIGHTS });
    const file = await pull(['-q', `${hub.url}/me/quants/blob/main/q/a.gguf`]);
    expect(readdirSync(file.stdout.trim(), { recursive: true }).sort()).toEqual(['q', 'q/a.gguf']);
    const both = await pull([`${hub.url}/me/model/tree/main`, '--revision', 'v1']);
    expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('--revision cannot go with an address') });
  });

  it('take the token from the environment, to the hub alone', async () => {
    const { code, stderr } = await pull(['--verbose', 'me/model'], { HF_TOKEN: ' hf_secret\n' });
    expect(code).toBe(0);
    expect(stderr).not.toContain('secret');
    const tokens = hub.seen.map(({ host, authorization }) => `${host} ${authorization}`);
    expect([...new Set(tokens)]).toEqual(['hub Bearer hf_secret', 'lfs undefined']);
  });
});

it('what was pulled is a model that -m finds; what was not is told how', async () => {
  const files = readdirSync(BYTES).map((name) => [name, readFileSync(join(BYTES, name))] as const);
  hub.add('me/bytes', Object.fromEntries(files));
  const env = environment();
  const generate = () => kvgen(['-m', 'me/bytes', '--backend', 'simd', '-n', '3', '--temp', '0', 'Hi'], { env });
  const before = await generate();
  expect(before).toMatchObject({ code: 1, stderr: expect.stringContaining('`kvgen pull me/bytes` fetches it') });
  expect(hub.seen).toEqual([]); // nothing is fetched unasked
  expect(await pull(['-q', 'me/bytes'])).toMatchObject({ code: 0 });
  expect(await generate()).toMatchObject({ code: 0, stderr: '' });
});

/** Waits until the hub has sent so many bytes more, or the time is over. */
async function untilSent(bytes: number, timeout = 20_000): Promise<void> {
  const goal = hub.sent + bytes;
  for (const end = performance.now() + timeout; hub.sent < goal && performance.now() < end; ) {
    await sleep(2);
  }
}

const hashOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

describe('a pull that is ended', () => {
  const LARGE = randomBytes(5_000_000);
  beforeEach(() => {
    hub.add('me/model', { 'config.json': CONFIG, 'model.safetensors': LARGE });
    hub.delay = 8; // slow enough that a busy machine keeps up with it
    hub.pieceBytes = 1 << 14;
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('by %s exits with %i, and the next one goes on', async (signal, code) => {
    const running = start(['pull', 'me/model'], { env: environment() });
    await untilSent(300_000);
    running.child.kill(signal);
    const ended = await running.end();
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(blobs(cache).filter((name) => name.endsWith('.incomplete'))).toHaveLength(1);
    hub.delay = 1;
    const { stdout } = await pull(['-q', 'me/model']);
    expect(readFileSync(join(stdout.trim(), 'model.safetensors')).equals(LARGE)).toBe(true);
    expect(hub.sent).toBeLessThan(1.2 * LARGE.length);
  });

  it('by kill -9, ten times at random, ends with the right hash after at most 1.2 times the bytes', async () => {
    for (let kill = 0; kill < 10; kill++) {
      const running = start(['pull', 'me/model'], { env: environment() });
      await (kill === 0 ? sleep(Math.random() * 300) : untilSent(Math.random() * 0.12 * LARGE.length));
      running.child.kill('SIGKILL');
      expect((await running.end()).signal).toBe('SIGKILL');
    }
    hub.delay = 1;
    const { stdout, code } = await pull(['-q', 'me/model']);
    expect(code).toBe(0);
    expect(hashOf(join(stdout.trim(), 'model.safetensors'))).toBe(createHash('sha256').update(LARGE).digest('hex'));
    expect(blobs(cache).filter((name) => name.includes('.'))).toEqual([]);
    expect(hub.sent).toBeLessThanOrEqual(1.2 * LARGE.length);
  });

  it('is taken over by one that runs at the same time', async () => {
    const first = start(['pull', 'me/model'], { env: environment() });
    await untilSent(200_000);
    const second = pull(['me/model']);
    await untilSent(300_000);
    first.child.kill('SIGKILL');
    await first.end();
    hub.delay = 1;
    const { stdout, code } = await second;
    expect(code).toBe(0);
    expect(readFileSync(join(stdout.trim(), 'model.safetensors')).equals(LARGE)).toBe(true);
    expect(hub.sent).toBeLessThanOrEqual(1.2 * LARGE.length);
  });
});
