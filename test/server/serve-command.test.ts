// `kvgen serve` as a process: its first line, its exit codes, its signals.

import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { kvgenHere } from '../cli/here.js';
import { type Running, start } from '../cli/run.js';
import { eventsOf } from '../support/serving.js';

const ARGS = ['serve', '--backend', 'simd', '--port', '0'];
const running: Running[] = [];

afterEach(() => {
  for (const { child } of running.splice(0)) {
    child.kill('SIGKILL');
  }
});

/** @returns the address in its first line, and its end */
async function serve(...args: readonly string[]) {
  const process = start([...ARGS, ...args]);
  running.push(process);
  let log = '';
  const url = await new Promise<string>((resolve) => {
    process.child.stderr.on('data', (chunk) => {
      log += chunk;
      const [, found] = /serving stories at (\S+)\/v1 · simd, float32, threads \d+ · 8 texts/.exec(log) ?? [];
      found !== undefined && resolve(found);
    });
  });
  const ended = process.end();
  return { url, child: process.child, ended: async () => ({ ...(await ended), log }) };
}

function post(url: string, body: object): Promise<Response> {
  return fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

const STREAM = { prompt: 'Once upon a time', max_tokens: 200, ignore_eos: true, stream: true };

describe('signals', () => {
  it.each([
    ['SIGTERM', 0],
    ['SIGINT', 130],
  ] as const)('%s: what runs is answered, then exit %d; stdout is empty', async (signal, code) => {
    const { url, child, ended } = await serve();
    const response = await post(url, STREAM);
    child.kill(signal);
    const events = await eventsOf(response);
    expect(events.at(-1).choices[0].finish_reason).toBe('length');
    const end = await ended();
    expect([end.code, end.stdout]).toEqual([code, '']);
    expect(end.log).toMatch(/stopped by SIG\w+: no more requests.*\n.*POST \/v1\/completions 200 · 4 tokens in/s);
  });

  it('a second one ends at once', async () => {
    const { url, child, ended } = await serve();
    const response = await post(url, { ...STREAM, n: 64, max_tokens: 500 });
    child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 100));
    child.kill('SIGTERM');
    expect((await ended()).code).toBe(143);
    await expect(response.text()).rejects.toThrow();
  });
});

describe('refused before anything is loaded', () => {
  it.each([
    [
      ['--host', '0.0.0.0'],
      {},
      2,
      '--host 0.0.0.0 can be reached from other machines: set KVGEN_API_KEY to a key that requests must have',
    ],
    [
      ['--host', '::'],
      {},
      2,
      '--host :: can be reached from other machines: set KVGEN_API_KEY to a key that requests must have',
    ],
    [['--port', '65536'], {}, 2, '--port must be a whole number in 0 … 65535, got 65536'],
    [['--queue', '-1'], {}, 2, '--queue must be a whole number in 0 … 65536, got -1'],
    [['-q', '--verbose'], {}, 2, '--quiet cannot go with --verbose'],
    [['--draft-model', 'x'], {}, 2, '--draft-model needs --draft'],
    [['--keep', 'all'], {}, 2, '--keep needs --prompt-cache, or KVGEN_PROMPT_CACHE=1'],
    [[], { KVGEN_API_KEY: 'a b' }, 2, 'KVGEN_API_KEY must be letters, digits and signs of ASCII, without spaces'],
    [['-c', '513'], {}, 1, '--ctx-size 513: the model has 512 positions; give 512 or less'],
    [
      ['--host', 'no-such-host.invalid'],
      {},
      1,
      expect.stringMatching(/^--host no-such-host.invalid: no such host is known here/),
    ],
  ])('%j %j', async (args, env, code, message) => {
    const ended = await kvgenHere([...ARGS, ...args], { env });
    expect([ended.code, ended.stdout]).toEqual([code, '']);
    expect(ended.stderr.replace(/^kvgen: (.*)\n$/, '$1')).toEqual(message);
  });
});

it('a port that is in use: one line, exit 1, before anything is loaded', async () => {
  const other = createServer();
  const port = await new Promise<number>((resolve) =>
    other.listen(0, '127.0.0.1', () => resolve((other.address() as { port: number }).port)),
  );
  const ended = await kvgenHere(['serve', '-m', './nowhere', '--port', `${port}`]);
  other.close();
  const why = 'another program listens there already; name another port, or 0 for any free one';
  expect([ended.code, ended.stderr]).toEqual([1, `kvgen: --host 127.0.0.1 --port ${port}: ${why}\n`]);
});
