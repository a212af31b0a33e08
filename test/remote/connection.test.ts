// How a server is reached: the address, the key, what is tried again and what is not, how long it is waited for.

import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Connection, type Tries } from '../../src/remote/connection.js';
import { unlimited } from '../../src/remote/dispatcher.js';
import { kvgenHere } from '../cli/here.js';
import { DONE, type FakeServer, fakeServer, json, LENGTH, piece, stream } from './fake-server.js';

let server: FakeServer;

afterEach(() => server.close());

type Answer = Parameters<typeof fakeServer>[0][string];

const QUICK: Tries = { firstDelay: 1, silent: 2, busy: 3, longestWait: 1000 };
const TEXT: Answer = (_, response) => response.end(void stream(response, piece('text'), LENGTH, DONE));
const GREEDY = ['--temp', '0', '-n', '3'];

/** One answer after the other; the last one again and again. */
function inTurn(...answers: readonly Answer[]): Answer {
  let at = 0;
  return (asked, response) => answers[Math.min(at++, answers.length - 1)]?.(asked, response);
}

describe('what is tried again, before anything came', () => {
  const busy =
    (status: number, headers = {}): Answer =>
    (_, response) =>
      json(response, { error: 'busy' }, status, headers);
  const reset: Answer = (_, response) => response.destroy();

  it.each<[string, Answer, number]>([
    ['429', inTurn(busy(429, { 'retry-after': '0' }), TEXT), 2],
    ['503 three times', inTurn(busy(503), busy(502), busy(504), TEXT), 4],
    ['a connection that is closed', inTurn(reset, reset, TEXT), 3],
  ])('%s', async (_, answer, times) => {
    server = await fakeServer({ '/v1/completions': answer });
    const notes: string[] = [];
    const connection = new Connection({ server: server.url, tries: QUICK, onNote: (line) => notes.push(line) });
    const { status } = await connection.post('/v1/completions', {});
    expect([status, server.completions.length, notes.length]).toEqual([200, times, times - 1]);
    expect(notes[0]).toMatch(/^http:\/\/127.*; trying again in 0\.0 s$/);
  });

  it('not for ever: the last answer is the answer, and nothing else is an error', async () => {
    server = await fakeServer({ '/v1/completions': busy(503), '/reset': reset });
    const connection = new Connection({ server: server.url, tries: QUICK });
    expect(await connection.post('/v1/completions', {})).toMatchObject({ status: 503 });
    expect(server.completions).toHaveLength(4);
    await expect(connection.get('/reset')).rejects.toThrow('closed before the end of the answer');
    expect(server.asked.filter(({ path }) => path === '/reset')).toHaveLength(3);
  });

  it.each([['3600'], [new Date(Date.now() + 3_600_000).toUTCString()]])(
    'not what would be waited for too long: %s',
    async (wait) => {
      server = await fakeServer({ '/v1/completions': busy(429, { 'retry-after': wait }) });
      const { status } = await new Connection({ server: server.url, tries: QUICK }).post('/v1/completions', {});
      expect([status, server.completions.length]).toEqual([429, 1]);
    },
  );

  it('as long as Retry-After says', async () => {
    server = await fakeServer({ '/v1/completions': inTurn(busy(429, { 'retry-after': '1' }), TEXT) });
    const notes: string[] = [];
    const connection = new Connection({ server: server.url, tries: QUICK, onNote: (line) => notes.push(line) });
    await connection.post('/v1/completions', {});
    expect(notes).toEqual([`${server.url} answers 429; trying again in 1.0 s`]);
  });

  it('a server that says when to come again is asked as long as --timeout', async () => {
    const later = busy(429, { 'retry-after': '0.01' });
    server = await fakeServer({ '/v1/completions': inTurn(later, later, later, later, later, later, TEXT) });
    const patient = await new Connection({ server: server.url, tries: QUICK }).post('/v1/completions', {});
    expect([patient.status, server.completions.length]).toEqual([200, 7]); // QUICK has three tries without it
    await server.close();
    server = await fakeServer({ '/v1/completions': later });
    const hasty = await new Connection({ server: server.url, tries: QUICK, timeout: 0.1 }).post('/v1/completions', {});
    expect(hasty.status).toBe(429);
  });

  it('no other refusal', async () => {
    server = await fakeServer({ '/v1/completions': busy(500) });
    await new Connection({ server: server.url, tries: QUICK }).post('/v1/completions', {});
    expect(server.completions).toHaveLength(1);
  });

  it('an interrupt ends the wait', async () => {
    server = await fakeServer({ '/v1/completions': busy(503, { 'retry-after': '1' }) });
    const controller = new AbortController();
    const onNote = () => controller.abort(new Error('enough'));
    const connection = new Connection({ server: server.url, tries: QUICK, onNote });
    await expect(connection.post('/v1/completions', {}, controller.signal)).rejects.toThrow('enough');
  });
});

describe('--timeout', () => {
  it.each<[string, Answer, string]>([
    ['no head of an answer', () => {}, ''],
    ['no more of it', (_, response) => stream(response, piece('a')), 'a\n'],
  ])('%s', async (_, answer, stdout) => {
    server = await fakeServer({ '/v1/completions': answer });
    const ended = await kvgenHere(['--server', server.url, '--timeout', '0.3', ...GREEDY, 'Hi']);
    const stderr = `kvgen: ${server.url}: nothing came for 0.3 s; --timeout waits longer\n`;
    expect(ended).toMatchObject({ stdout, stderr, code: 1 });
  });

  it('is of silence: a comment is a sign of life', async () => {
    server = await fakeServer({
      '/v1/completions': (asked, response) => {
        stream(response, ': alive\n\n');
        let left = 6;
        const timer = setInterval(() => {
          response.write(': alive\n\n');
          if (--left === 0) {
            clearInterval(timer);
            response.end(piece('slow') + LENGTH);
          }
        }, 100);
        void asked;
      },
    });
    const ended = await kvgenHere(['--server', server.url, '--timeout', '0.4', ...GREEDY, 'Hi']);
    expect(ended).toMatchObject({ stdout: 'slow\n', code: 0 });
  });

  it('holds beyond the limits of fetch, which are those of its agent', async () => {
    server = await fakeServer({});
    expect(unlimited()).toEqual({ dispatcher: expect.any(Object) });
  });
});

describe('the key', () => {
  it('goes to the named host alone, as a bearer', async () => {
    server = await fakeServer({ '/v1/completions': TEXT });
    await kvgenHere(['--server', server.url, ...GREEDY, 'Hi'], { env: { KVGEN_API_KEY: 'secret' } });
    expect(server.asked.map(({ headers }) => headers.authorization)).toEqual(server.asked.map(() => 'Bearer secret'));
  });

  it('is not sent where there is none', async () => {
    server = await fakeServer({ '/v1/completions': TEXT });
    await kvgenHere(['--server', server.url, ...GREEDY, 'Hi'], { env: { KVGEN_API_KEY: '' } });
    expect(server.asked.some(({ headers }) => 'authorization' in headers)).toBe(false);
  });

  it.each(['se\ncret', 'schlüssel…'])('that no header can hold is refused: %j', async (key) => {
    server = await fakeServer({});
    const { stderr, code } = await kvgenHere(['--server', server.url, 'Hi'], { env: { KVGEN_API_KEY: key } });
    expect({ stderr, code, asked: server.asked }).toEqual({
      stderr: 'kvgen: KVGEN_API_KEY must be letters, digits and signs of ASCII, without spaces\n',
      code: 2,
      asked: [],
    });
  });
});

describe('the address', () => {
  it.each(['', '/', '/v1', '/v1/', '/v1//'])('with %j behind it', async (end) => {
    server = await fakeServer({ '/v1/completions': TEXT });
    const { stdout } = await kvgenHere(['--server', server.url + end, ...GREEDY, 'Hi']);
    expect(stdout).toBe('text\n');
  });

  it('with a path of its own', async () => {
    server = await fakeServer({
      '/llm/v1/models': (_, response) => json(response, { data: [{ id: 'm' }] }),
      '/llm/v1/completions': TEXT,
    });
    const { stdout } = await kvgenHere(['--server', `${server.url}/llm/v1`, ...GREEDY, 'Hi']);
    expect(stdout).toBe('text\n');
    expect(server.asked.every(({ path }) => path.startsWith('/llm/'))).toBe(true);
  });

  it.each([
    ['127.0.0.1:8080', 'must be an address such as http://127.0.0.1:8080, got "127.0.0.1:8080"'],
    ['localhost:8080', 'must be an address such as http://127.0.0.1:8080, got "localhost:8080"'],
    ['ftp://a', 'must be an address such as http://127.0.0.1:8080, got "ftp://a"'],
    ['http://me:secret@a', 'must be an address without a user and a password; a key goes into KVGEN_API_KEY'],
    ['http://me:secret@a:b', 'must be an address such as http://127.0.0.1:8080, got "http://…@a:b"'],
    ['http://a?b', 'must be an address without ? and #, got "http://a?b"'],
  ])('%s is refused', async (url, words) => {
    server = await fakeServer({});
    const ended = await kvgenHere(['--server', url, 'Hi']);
    expect(ended).toMatchObject({ stdout: '', stderr: `kvgen: --server ${words}\n`, code: 2 });
  });

  it('where nothing listens', async () => {
    server = await fakeServer({});
    const { url } = server;
    await server.close();
    server = await fakeServer({});
    const { stdout, stderr, code } = await kvgenHere(['--server', url, 'Hi']);
    expect({ stdout, stderr, code }).toEqual({
      stdout: '',
      stderr: `kvgen: ${url}: no connection (ECONNREFUSED); is the server running, and is this its address?\n`,
      code: 1,
    });
  });

  it('where something else speaks', async () => {
    server = await fakeServer({});
    const other = createServer((socket) => socket.on('error', () => {}).end('SSH-2.0-OpenSSH\r\n'));
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
    const { port } = other.address() as { port: number };
    const plain = await kvgenHere(['--server', `http://127.0.0.1:${port}`, 'Hi']);
    const secure = await kvgenHere(['--server', `https://127.0.0.1:${port}`, 'Hi']);
    other.close();
    expect(plain).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/: expected HTTP, found something else \(HPE_\w+\)\n$/),
    });
    expect(secure).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/: no https there; does it speak http\?\n$/),
    });
  });
});
