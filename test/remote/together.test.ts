// Requests at the same time: no more than were asked for, rows in their order, one failure that is of one row alone.

import { afterEach, describe, expect, it } from 'vitest';
import { together } from '../../src/remote/together.js';
import { kvgenHere } from '../cli/here.js';
import { DONE, type FakeServer, fakeServer, json, LENGTH, piece, stream } from './fake-server.js';

let server: FakeServer | undefined;

afterEach(() => server?.close());

describe('a batch', () => {
  it('asks for some at a time and writes them in order; what breaks off is the error of its row, with what came', async () => {
    let [running, most] = [0, 0];
    server = await fakeServer({
      '/v1/completions': ({ body }, response) => {
        most = Math.max(most, ++running);
        const i = Number(body.prompt);
        stream(response, piece(`t${i}`));
        response.on('close', () => running--);
        setTimeout(() => response.end(i === 2 ? '' : LENGTH + DONE), i % 2 === 0 ? 40 : 5);
      },
    });
    const input = [0, 1, 2, 3, 4, 5, 6].map((i) => `{"id":${i},"prompt":"${i}"}\n`).join('');
    const args = ['batch', '--server', server.url, '--temp', '0', '-n', '4', '--concurrency', '3'];
    const { stdout, code } = await kvgenHere(args, { input });
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows.map(({ id, text }) => [id, text])).toEqual([0, 1, 2, 3, 4, 5, 6].map((i) => [i, `t${i}`]));
    expect(rows[2]).toEqual({ id: 2, error: expect.stringMatching(/broke off after 1 tokens/), text: 't2' });
    expect([most, code]).toEqual([3, 1]);
  });

  it('a server that refuses all gives the error of each row', async () => {
    server = await fakeServer({ '/v1/completions': (_, response) => json(response, { error: 'no' }, 400) });
    const input = '{"id":1,"prompt":"a"}\n{"id":2,"prompt":"b","samples":2}\n';
    const { stdout, code } = await kvgenHere(['batch', '--server', server.url, '--temp', '0'], { input });
    const error = `${server.url} answers 400: no`;
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { id: 1, error },
      { id: 2, error },
    ]);
    expect(code).toBe(1);
  });
});

describe('together', () => {
  const source = (...items: readonly number[]) => {
    const left = [...items];
    return { take: () => left.shift(), wait: async () => left.length > 0 };
  };

  it('an event waits until the one before it is taken', async () => {
    const made: number[] = [];
    const events = together(source(1), 4, async function* () {
      for (let i = 0; i < 3; i++) {
        made.push(i);
        yield i;
      }
    });
    expect(await events.next()).toEqual({ value: 0, done: false });
    await new Promise((done) => setTimeout(done, 20));
    expect(made).toEqual([0]);
    expect(await events.next()).toEqual({ value: 1, done: false });
    await events.return(undefined);
  });

  it('ends all that run when nobody wants more, and when the source fails', async () => {
    const aborted: number[] = [];
    const run = async function* (item: number, signal: AbortSignal) {
      signal.addEventListener('abort', () => aborted.push(item));
      yield item;
      await new Promise<void>((done) => signal.addEventListener('abort', () => done()));
    };
    for await (const event of together(source(1, 2, 3), 2, run)) {
      expect(event).toBe(1);
      break;
    }
    expect(aborted).toEqual([1, 2]);
    const failing = { take: () => undefined, wait: () => Promise.reject(new Error('no more')) };
    await expect(together(failing, 2, run).next()).rejects.toThrow('no more');
  });
});
