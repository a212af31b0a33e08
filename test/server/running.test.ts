// Requests that run together: places, the line before them, clients that go away, errors, the end.

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, Pass } from '../../src/engine/engine.js';
import type { KvCache } from '../../src/engine/kv-cache.js';
import type { Model } from '../../src/library/model.js';
import { open } from '../support/open.js';
import { eventsOf, jsonOf, type Serving, type ServingOptions, serving } from '../support/serving.js';

/** An id that no pass gets through. */
const POISON = 4000;
const PROMPT = 'Once upon a time';
const LONG = { prompt: PROMPT, max_tokens: 400, ignore_eos: true, stream: true };
const SHORT = { prompt: PROMPT, max_tokens: 2 };

let model: Model;
let slow: Model;
let passes = 0;
const servers: Serving[] = [];

beforeAll(async () => {
  model = await open('models/stories', { backend: 'simd', engine: 'auto' });
  slow = slowed(model);
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

afterAll(() => model.dispose());

/** The same model, whose passes take some milliseconds at least, or fail. */
function slowed({ engine, name, dir, config, tokenizer }: Model): Model {
  const forward = (pass: Pass, cache: KvCache | null) => {
    passes++;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3);
    if (pass.ids.some((ids) => ids.includes(POISON))) {
      throw new Error('the engine failed');
    }
    return engine.forward(pass, cache);
  };
  const get = (_: Engine, key: keyof Engine) => {
    const value: unknown = key === 'forward' ? forward : engine[key];
    return typeof value === 'function' ? value.bind(engine) : value;
  };
  const proxy = new Proxy({} as Engine, { get: get as ProxyHandler<Engine>['get'] & object });
  return { engine: proxy, name, dir, config, tokenizer, chatTemplate: async () => null } as unknown as Model;
}

async function serve(options: ServingOptions): Promise<Serving> {
  const server = await serving(slow, options);
  servers.push(server);
  return server;
}

/** A stream whose first chunk has come. */
async function begun(server: Serving, body: object = LONG) {
  const controller = new AbortController();
  const response = await server.post('/v1/completions', body, { signal: controller.signal });
  const reader = (response.body as ReadableStream).getReader();
  await reader.read();
  return { abort: () => controller.abort(), reader };
}

async function metric(server: Serving, name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  );
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) {
    await sleep(5);
  }
}

describe('places', () => {
  it('who finds none waits, and one too many is told when to come back', async () => {
    const server = await serve({ concurrency: 1, queue: 1 });
    const running = await begun(server);
    const waiting = server.post('/v1/completions', SHORT);
    await until(async () => (await metric(server, 'kvgen_requests_waiting')) === 1);
    const refused = await server.post('/v1/completions', SHORT);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
    expect((await jsonOf(refused)).error).toMatchObject({ type: 'rate_limit_error', code: 'queue_full' });
    running.abort();
    expect((await waiting).status).toBe(200);
  });

  it('a client that goes away leaves its place within a step, running or waiting', async () => {
    const server = await serve({ concurrency: 1, queue: 1 });
    const running = await begun(server);
    const waiting = new AbortController();
    server.post('/v1/completions', SHORT, { signal: waiting.signal }).catch(() => {});
    await until(async () => (await metric(server, 'kvgen_requests_waiting')) === 1);
    waiting.abort();
    await until(async () => (await metric(server, 'kvgen_requests_waiting')) === 0);
    running.abort();
    await until(() => server.lines.filter((line) => line.includes('the client went away')).length === 2);
    expect(server.lines).toContainEqual(expect.stringMatching(/ 499 · [1-9]\d* out · \d+ ms · the client went away$/));
    const atEnd = passes;
    await until(async () => (await metric(server, 'kvgen_texts_running')) === 0);
    expect(passes - atEnd).toBeLessThanOrEqual(2);
    expect(await metric(server, 'kvgen_generated_tokens_total')).toBeLessThan(400);
    expect(server.errors).toEqual([]);
  });

  it('a client that goes away within a body is no error', async () => {
    const server = await serve({});
    const socket = connect(server.port, '127.0.0.1');
    const head =
      'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100';
    socket.write(`${head}\r\n\r\n{`);
    await sleep(50);
    socket.destroy();
    await until(() => server.lines.length === 1);
    await sleep(20);
    expect([server.lines[0]?.replace(/\d+ ms/, 'n ms'), server.errors]).toEqual([
      'POST /v1/completions 499 · n ms · the client went away',
      [],
    ]);
  });

  it('a reader who takes nothing loses the connection, and its place', async () => {
    const server = await serve({ readerMs: 100 });
    const socket = connect(server.port, '127.0.0.1');
    socket.pause();
    const body = JSON.stringify({ ...LONG, n: 8, logprobs: 100 });
    const head = `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
    socket.write(`${head}\r\n\r\n${body}`);
    await until(() => server.lines.some((line) => line.includes('the client went away')));
    await until(async () => (await metric(server, 'kvgen_texts_running')) === 0);
    socket.destroy();
    expect(server.errors).toEqual([]);
  });

  it('of a request with many texts, others come between', async () => {
    const server = await serve({ concurrency: 1, queue: 8 });
    const many = server.post('/v1/completions', { ...SHORT, max_tokens: 20, n: 6 });
    await until(async () => (await metric(server, 'kvgen_texts_running')) === 1);
    await server.post('/v1/completions', SHORT);
    expect(await metric(server, 'kvgen_texts_running')).toBe(1);
    expect((await jsonOf(await many)).choices).toHaveLength(6);
  });
});

describe('errors', () => {
  it('of the engine are those of one request: 500, told in the log', async () => {
    const server = await serve({});
    const [good, bad] = await Promise.all([
      server.post('/v1/completions', { ...SHORT, max_tokens: 20 }),
      server.post('/v1/completions', { prompt: [5, POISON] }),
    ]);
    expect([good.status, bad.status]).toEqual([200, 500]);
    expect((await jsonOf(bad)).error).toMatchObject({ type: 'server_error', param: null });
    expect(server.errors).toEqual([new Error('the engine failed')]);
    expect((await server.post('/v1/completions', SHORT)).status).toBe(200);
  });

  it('behind the first token are the last event of the stream', async () => {
    const server = await serve({});
    const body = { ...SHORT, max_tokens: 5, stream: true, logit_bias: { [POISON]: 100 } };
    const text = await (await server.post('/v1/completions', body)).text();
    const last = text.trimEnd().split('\n\n').at(-1) ?? '';
    expect(JSON.parse(last.replace('data: ', ''))).toMatchObject({ error: { type: 'server_error' } });
  });
});

describe('the end', () => {
  it('answers what runs and what waits, and takes no more', async () => {
    const server = await serve({ concurrency: 1 });
    const body = { ...LONG, max_tokens: 40 };
    const [one, two] = [server.post('/v1/completions', body), server.post('/v1/completions', body)];
    await until(async () => (await metric(server, 'kvgen_requests_waiting')) === 1);
    const closed = server.server.close();
    const late = await server.post('/v1/completions', SHORT).then(
      ({ status }) => status,
      () => 'no connection',
    );
    expect([503, 'no connection']).toContain(late);
    expect((await eventsOf(await one)).at(-1).choices[0].finish_reason).toBe('length');
    expect((await eventsOf(await two)).at(-1).choices[0].finish_reason).toBe('length');
    await closed;
  });
});

describe('what is written down', () => {
  it('a line for each request, with its numbers and without its prompt', async () => {
    const server = await serve({});
    await server.post('/v1/completions?key=secret', { ...SHORT, user: 'me\u001b[31m' });
    await until(() => server.lines.length === 1);
    expect(server.lines).toEqual([
      expect.stringMatching(
        /^POST \/v1\/completions 200 · 4 tokens in \(0 reused\) · 2 out · \d+ ms · length · user "me\\u001b\[31m"$/,
      ),
    ]);
  });

  it('with --verbose the prompt, too', async () => {
    const server = await serve({ verbose: true });
    await server.post('/v1/completions', { ...SHORT, prompt: ['Once\nupon', 'a time'] });
    await until(() => server.lines.length === 1);
    expect(server.lines[0]).toMatch(/ · "Once\\nupon", "a time"$/);
  });

  it('the metrics count', async () => {
    const server = await serve({});
    await server.post('/v1/completions', SHORT);
    await server.post('/v1/completions', SHORT);
    await server.post('/v1/completions', { ...SHORT, n: 0 });
    await fetch(`${server.url}/nowhere`);
    const text = await (await fetch(`${server.url}/metrics`)).text();
    for (const line of [
      'kvgen_requests_total{path="/v1/completions",status="200"} 2',
      'kvgen_requests_total{path="/v1/completions",status="400"} 1',
      'kvgen_requests_total{path="other",status="404"} 1',
      'kvgen_prompt_tokens_total 8',
      'kvgen_prompt_tokens_reused_total 4',
      'kvgen_generated_tokens_total 4',
      'kvgen_requests_waiting 0',
      'kvgen_texts_running 0',
      'kvgen_time_to_first_token_seconds_count 2',
      'kvgen_time_between_tokens_seconds_count 2',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
  });
});

describe('what it says of itself', () => {
  it('health and models', async () => {
    const server = await serve({ nCtx: 100 });
    const health = await fetch(`${server.url}/health`);
    expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }]);
    const card = { id: 'test', object: 'model', created: expect.any(Number), owned_by: 'kvgen', max_model_len: 100 };
    expect(await jsonOf(await fetch(`${server.url}/v1/models`))).toEqual({ object: 'list', data: [card] });
    expect(await jsonOf(await fetch(`${server.url}/v1/models/test`))).toEqual(card);
  });
});
