// What a process decides while a server makes its texts: signals, closed pipes, the spinner. In real processes.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasPython, kvgenOnTerminal, start } from '../cli/run.js';
import { DONE, type FakeServer, fakeServer, LENGTH, piece, stream } from './fake-server.js';

let server: FakeServer;
/** Requests that their clients have left. */
let left: number;

beforeEach(async () => {
  left = 0;
  server = await fakeServer({
    '/v1/completions': ({ body }, response) => {
      if (body.prompt !== 'silent') {
        stream(response, piece('one '), piece('two '));
      }
      if (body.prompt === 'endless') {
        const timer = setInterval(() => response.write(piece('more ')), 10);
        response.on('close', () => clearInterval(timer));
      }
      response.on('close', () => left++);
    },
  });
});

afterEach(() => server.close());

const GREEDY = ['--temp', '0', '-n', '100000'];

describe('an interrupt', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends the text and leaves the server', async (signal, code) => {
    const running = start(['--server', server.url, ...GREEDY, 'Hi']);
    running.child.stdout.once('readable', () => running.child.kill(signal));
    expect(await running.end()).toMatchObject({ code, stdout: 'one two \n', stderr: '' });
    await expect.poll(() => left).toBe(1);
  });

  it('the JSON forms have their last object, also before anything came', async () => {
    const running = start(['--server', server.url, ...GREEDY, '--json', 'silent']);
    await expect.poll(() => server.completions.length, { timeout: 20_000 }).toBe(1);
    running.child.kill('SIGINT');
    const { stdout, code } = await running.end();
    expect(JSON.parse(stdout)).toMatchObject({ text: '', finish_reason: 'abort' });
    expect(code).toBe(130);
  });
});

it('a closed pipe ends the request, without a word', async () => {
  const running = start(['--server', server.url, ...GREEDY, 'endless']);
  running.child.stdout.once('data', () => running.child.stdout.destroy());
  expect(await running.end()).toMatchObject({ code: 0, stderr: '' });
  await expect.poll(() => left).toBe(1);
});

it.skipIf(!hasPython)('the spinner says what is waited for, and is gone before the text', async () => {
  await server.close();
  server = await fakeServer({
    '/v1/completions': (_, response) =>
      void setTimeout(() => response.end(void stream(response, piece('text'), LENGTH, DONE)), 300),
  });
  const { stdout, terminal } = await kvgenOnTerminal(['--server', server.url, '--temp', '0', '-n', '1', 'Hi'], {
    terminal: ['stderr'],
  });
  expect(stdout).toBe('text\n');
  expect(terminal).toContain(`waiting for ${new URL(server.url).host}`);
  expect(terminal).toMatch(/waiting for .*at least 1 token · .* · prompt of unknown length \(reused: not reported\)/s);
});
