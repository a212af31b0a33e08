// What the server refuses: by name, in OpenAI's form, before anything is computed.

import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../src/library/model.js';
import { open } from '../support/open.js';
import { jsonOf, type Serving, serving } from '../support/serving.js';

let model: Model;
let server: Serving;
let locked: Serving;

beforeAll(async () => {
  model = await open('models/stories', { backend: 'simd', engine: 'auto' });
  server = await serving(model, { nCtx: 64 });
  locked = await serving(model, { key: 'secret' });
});

afterAll(async () => {
  await server.close();
  await locked.close();
  model.dispose();
});

/** Status, parameter, code and message of what is refused. */
async function refused(body: unknown, path = '/v1/completions', headers = {}) {
  const response = await server.post(path, body, { headers });
  const { error } = await jsonOf(response);
  return [response.status, error.param, error.message, error.code];
}

const WITH = { prompt: 'Once' };

describe('parameters', () => {
  it.each([
    [{}, 'prompt', 'prompt: expected a text, token ids, or a list of either, found nothing'],
    [{ prompt: 7 }, 'prompt', 'prompt: expected a text, token ids, or a list of either, found 7'],
    [{ prompt: [] }, 'prompt', 'prompt: expected a text, token ids, or a list of either, found []'],
    [{ prompt: ['a', 7] }, 'prompt', 'prompt: expected a text, token ids, or a list of either, found ["a",7]'],
    [{ prompt: [[]] }, 'prompt', 'prompt: expected a text, token ids, or a list of either, found [[]]'],
    [{ prompt: [1.5] }, 'prompt', 'prompt: expected a text, token ids, or a list of either, found [1.5]'],
    [{ prompt: [99999] }, 'prompt', 'token id 99999: expected a whole number from 0 to 4095 (vocab_size − 1)'],
    [{ ...WITH, temperature: -1 }, 'temperature', 'temperature must be in [0, ∞), got -1'],
    [{ ...WITH, temperature: '1' }, 'temperature', "temperature must be a number, got '1'"],
    [{ ...WITH, top_p: 0 }, 'top_p', 'top_p must be in (0, 1], got 0'],
    [{ ...WITH, n: 0 }, 'n', 'n must be a whole number in 1 … 128, got 0'],
    [{ ...WITH, n: 1.5 }, 'n', 'n must be a whole number in 1 … 128, got 1.5'],
    [{ ...WITH, n: 2, best_of: 3 }, 'best_of', 'best_of 3: not done beyond n, which is 2'],
    [{ ...WITH, max_tokens: -2 }, 'max_tokens', 'max_tokens must be a whole number in -1 … 2^53−1, got -2'],
    [{ ...WITH, seed: 2 ** 53 }, 'seed', 'seed must be a whole number in 0 … 2^53−1, got 9007199254740992'],
    [{ ...WITH, stop: [''] }, 'stop', 'stop must not be empty'],
    [{ ...WITH, stop: 7 }, 'stop', 'stop: expected a text or a list of texts, found 7'],
    [{ ...WITH, logprobs: 101 }, 'logprobs', 'logprobs must be a whole number in 0 … 100, got 101'],
    [
      { ...WITH, logit_bias: { x: 1 } },
      'logit_bias',
      'logit_bias: expected an object of token ids and numbers, or "-inf", found {"x":1}',
    ],
    [
      { ...WITH, logit_bias: { 4096: 1 } },
      'logit_bias',
      'token id 4096: expected a whole number from 0 to 4095 (vocab_size − 1)',
    ],
    [{ ...WITH, suffix: 'end' }, 'suffix', 'suffix: not done: kvgen writes at the end of a text'],
    [{ ...WITH, stream: 'yes' }, 'stream', "stream must be true or false, got 'yes'"],
    [{ ...WITH, stream_options: {} }, 'stream_options', 'stream_options: only with stream: true'],
    [
      { ...WITH, stream: true, stream_options: { x: 1 } },
      'stream_options.x',
      '"stream_options.x": unknown parameter; leave it out',
    ],
    [{ ...WITH, guided_json: {} }, 'guided_json', '"guided_json": unknown parameter; leave it out'],
    [{ ...WITH, constructor: 1 }, 'constructor', '"constructor": unknown parameter; leave it out'],
    [
      { ...WITH, repeat_penalty: 2, repetition_penalty: 3 },
      'repeat_penalty',
      'repeat_penalty 2: repetition_penalty is another, 3',
    ],
  ])('%j', async (body, param, message) => {
    expect((await refused(body)).slice(0, 3)).toEqual([400, param, message]);
  });

  it('an answer that would fill the memory', async () => {
    const message =
      'an answer has at most 1048576 tokens in all, asked for: 16384 tokens with 100 of the likeliest each';
    const body = { prompt: ['a', 'b'], n: 128, max_tokens: -1, logprobs: 100 };
    expect((await refused(body)).slice(0, 3)).toEqual([400, 'max_tokens', message]);
  });

  it('a bias that bans every token', async () => {
    const logit_bias = Object.fromEntries(Array.from({ length: 4096 }, (_, id) => [id, '-inf']));
    const message = 'logit_bias: every token is banned; allow some';
    expect((await refused({ ...WITH, logit_bias })).slice(0, 3)).toEqual([400, 'logit_bias', message]);
  });

  it('__proto__ is one like others', async () => {
    const [status, param] = await refused('{"prompt":"a","__proto__":{"n":2}}');
    expect([status, param]).toEqual([400, '__proto__']);
  });

  it('null is none', async () => {
    const body = { ...WITH, max_tokens: 1, n: null, stop: null, user: null, suffix: null, logprobs: null };
    expect((await server.post('/v1/completions', body)).status).toBe(200);
  });

  it('a prompt that leaves no room: both numbers, and the code of OpenAI', async () => {
    const message = 'the prompt has 65 tokens and the context 64: no room for one more; shorten it';
    const body = { prompt: Array.from({ length: 65 }, () => 5) };
    expect(await refused(body)).toEqual([400, 'prompt', message, 'context_length_exceeded']);
  });

  it('another model: what is served', async () => {
    const message = 'the model "gpt-4" is not served here; expected "test"';
    expect(await refused({ ...WITH, model: 'gpt-4' })).toEqual([404, 'model', message, 'model_not_found']);
  });

  it('a chat without a template: what to use', async () => {
    const body = { messages: [{ role: 'user', content: 'Hi' }] };
    const message = 'test has no chat template; use /v1/completions';
    expect(await refused(body, '/v1/chat/completions')).toEqual([400, null, message, 'no_chat_template']);
  });
});

describe('bodies', () => {
  const json = { 'content-type': 'application/json' };
  it.each([
    ['nothing', '', json, 400, /not JSON/],
    ['a list', '[]', json, 400, 'the body: expected a JSON object'],
    ['garbage', '{"prompt":', json, 400, /^the body: not JSON \(/],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), json, 400, 'the body: expected UTF-8'],
    [
      'what is nested too deep',
      `{"prompt":${'['.repeat(200)}${']'.repeat(200)}}`,
      json,
      400,
      /nested at most 100 deep/,
    ],
    [
      'what is larger than 4 MB',
      `{"prompt":"${'x'.repeat(2 ** 22)}"}`,
      json,
      413,
      'the body is larger than 4194304 bytes',
    ],
    ['no JSON by its type', '{}', { 'content-type': 'text/plain' }, 415, /content-type application\/json/],
    ['a form', '{}', { 'content-type': 'application/x-www-form-urlencoded' }, 415, /content-type application\/json/],
    ['what is compressed', '{}', { 'content-encoding': 'gzip' }, 415, /not compressed/],
  ])('%s', async (_, body, headers, status, message) => {
    const [found, , words] = await refused(body, '/v1/completions', headers);
    expect([found, words]).toEqual([status, typeof message === 'string' ? message : expect.stringMatching(message)]);
  });

  it('what is too large is refused while it comes, and the connection lasts until its end', async () => {
    const size = 5 * 2 ** 20;
    const socket = connect(server.port, '127.0.0.1');
    socket.write(
      `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${size}\r\n\r\n`,
    );
    let text = '';
    for await (const chunk of socket) {
      const sends = text === '';
      text += chunk;
      if (sends) {
        socket.write(Buffer.alloc(size, 'x'));
        socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      }
    }
    expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200']);
  });

  it('a mark in front of the text is no part of it', async () => {
    const body = `\ufeff${JSON.stringify({ ...WITH, max_tokens: 1 })}`;
    expect((await server.post('/v1/completions', body)).status).toBe(200);
  });
});

describe('paths and methods', () => {
  it.each([
    ['GET', '/v1/completions', 405, 'POST'],
    ['DELETE', '/v1/models/test', 405, 'GET'],
    ['POST', '/v1/embeddings', 404, null],
    ['GET', '/', 404, null],
    ['GET', '/v1/models/other', 404, null],
    ['GET', '/v1/models/%zz', 400, null],
  ])('%s %s', async (method, path, status, allow) => {
    const response = await fetch(`${server.url}${path}`, { method });
    const { error } = await jsonOf(response);
    expect([response.status, response.headers.get('allow'), typeof error.message]).toEqual([status, allow, 'string']);
  });
});

describe('who may ask', () => {
  /** fetch sets Host itself. */
  async function statusFor(port: number, host: string, path = '/v1/models', more = ''): Promise<string> {
    const socket = connect(port, '127.0.0.1');
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${more}\r\n`);
    let text = '';
    for await (const chunk of socket) {
      text += chunk;
    }
    return text.split(' ')[1] ?? '';
  }

  it.each([
    ['localhost', '200'],
    ['LOCALHOST:8080', '200'],
    ['127.0.0.1:1', '200'],
    ['[::1]:8080', '200'],
    ['evil.example', '403'],
    ['127.0.0.1.evil.example', '403'],
    ['localhost.evil.example:8080', '403'],
    ['192.168.1.2', '403'],
    ['', '403'],
  ])('without a key: a request that names this machine, not %s', async (host, status) => {
    expect(await statusFor(server.port, host)).toBe(status);
  });

  it('with a key: whoever sends it, under any name', async () => {
    const bearer = (key: string) => `Authorization: Bearer ${key}\r\n`;
    const statuses = await Promise.all([
      statusFor(locked.port, 'any.example', '/v1/models', bearer('secret')),
      statusFor(locked.port, 'localhost', '/v1/models', bearer('secrets')),
      statusFor(locked.port, 'localhost', '/metrics'),
      statusFor(locked.port, 'localhost', '/v1/unknown'),
      statusFor(locked.port, 'localhost', '/health'),
    ]);
    expect(statuses).toEqual(['200', '401', '401', '401', '200']);
  });

  it('is asked before a body is read', async () => {
    const response = await locked.post('/v1/completions', 'x'.repeat(100), { headers: { authorization: 'Basic x' } });
    const { error } = await jsonOf(response);
    expect([response.status, error.code, error.type]).toEqual([401, 'invalid_api_key', 'authentication_error']);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
  });

  it('no page of another site may read an answer', async () => {
    const headers = { origin: 'http://evil.example', 'content-type': 'application/json' };
    const response = await server.post('/v1/completions', { ...WITH, max_tokens: 1 }, { headers });
    expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
    const asked = await fetch(`${server.url}/v1/completions`, {
      method: 'OPTIONS',
      headers: { origin: headers.origin },
    });
    expect(asked.status).toBe(405);
  });
});

describe('what is no HTTP', () => {
  it.each([
    ['garbage', 'garbage\r\n\r\n', '400'],
    ['a head too large', `GET / HTTP/1.1\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`, '431'],
  ])('%s', async (_, bytes, status) => {
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {}); // it may be closed before all is written
    socket.write(bytes);
    let text = '';
    for await (const chunk of socket) {
      text += chunk;
    }
    expect(text.split(' ')[1]).toBe(status);
    expect(text).toContain('{"error":{"message":');
  });
});
