// A server that says what a test tells it to: what is asked is kept, each path has its answer. Whatever is not told is a server
// of one model that is OpenAI-compatible and no more.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects in it
  readonly body: any;
}

type Answer = (asked: Asked, response: ServerResponse) => void;

export interface FakeServer {
  readonly url: string;
  readonly asked: Asked[];
  /** Completions that were asked for. */
  readonly completions: Asked[];
  close(): Promise<void>;
}

/** @param answers by path */
export async function fakeServer(answers: Readonly<Record<string, Answer>>): Promise<FakeServer> {
  const asked: Asked[] = [];
  const all: Readonly<Record<string, Answer>> = { '/v1/models': (_, response) => json(response, MODELS), ...answers };
  const server = createServer(async (request, response) => {
    const { method = '', url: path = '', headers } = request;
    let text = '';
    for await (const piece of request.setEncoding('utf8')) {
      text += piece;
    }
    const one = { method, path, headers, body: text === '' ? undefined : JSON.parse(text) };
    asked.push(one);
    const answer = all[path];
    answer === undefined ? json(response, { error: { message: 'Not Found' } }, 404) : answer(one, response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    get completions() {
      return asked.filter(({ path }) => path.endsWith('/v1/completions'));
    },
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

const MODELS = { object: 'list', data: [{ id: 'fake', object: 'model' }] };

export function json(response: ServerResponse, value: unknown, status = 200, headers: object = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

/** A stream of these texts, as they are. */
export function stream(response: ServerResponse, ...pieces: readonly (string | Uint8Array)[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  for (const piece of pieces) {
    response.write(piece);
  }
}

/** An event with one choice. */
export function piece(text: string, rest: object = {}): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, text, finish_reason: null, ...rest }] })}\n\n`;
}

export const LENGTH = piece('', { finish_reason: 'length' });
export const STOP = piece('', { finish_reason: 'stop' });
export const DONE = 'data: [DONE]\n\n';

/** Usage behind the last choice. */
export function usage(prompt: number, completion: number, cached?: number): string {
  const details = cached === undefined ? {} : { prompt_tokens_details: { cached_tokens: cached } };
  const counts = { prompt_tokens: prompt, completion_tokens: completion, ...details };
  return `data: ${JSON.stringify({ choices: [], usage: counts })}\n\n`;
}
