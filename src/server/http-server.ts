// The HTTP server: who may ask, what is read, how it is answered and written down, how it ends. Fastify does the transport:
// limits, timeouts, waiting for slow readers. Knows nothing of how texts are made.

import { STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Readable } from 'node:stream';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { errorCode } from '../errors.js';
import type { Access } from './access.js';
import { ApiError, asApiError } from './api-error.js';
import { listenProblem } from './free-port.js';
import { type JsonObject, readJsonBody } from './json-body.js';
import type { Metrics } from './metrics.js';
import { RequestRecord } from './request-record.js';
import { answerChat, answerCompletion, type Endpoints, modelNotFound, type TextAnswer } from './text-endpoints.js';

/** Bytes of a body. */
const BODY_LIMIT = 4 * 1024 * 1024;
/** Milliseconds for a client to send the head of a request, and all of it. */
const HEAD_MS = 10_000;
const REQUEST_MS = 30_000;
/** Milliseconds that a connection is kept for the client's next request: longer than nginx would use it again. */
const KEEP_ALIVE_MS = 72_000;
const READER_MS = 60_000;
const CONNECTIONS = 1024;
/** What nginx writes down for a client that went away. */
const CLIENT_GONE = 499;
const CLIENT_GONE_WORDS = 'the client went away';

export interface HttpOptions {
  readonly endpoints: Endpoints;
  readonly access: Access;
  readonly metrics: Metrics;
  /** Takes a line for each request. */
  readonly onLine: (line: string) => void;
  /** Takes what went wrong and is no client's doing. */
  readonly onError: (error: unknown) => void;
  /** Are prompts written down? */
  readonly verbose: boolean;
  /** Milliseconds that an answer waits for a reader that takes nothing (default: a minute). */
  readonly readerMs?: number | undefined;
}

declare module 'fastify' {
  interface FastifyRequest {
    record: RequestRecord;
    /** Aborts when the client goes away. */
    gone: AbortController;
  }
}

const PATHS: Readonly<Record<string, string>> = {
  '/v1/completions': 'POST',
  '/v1/chat/completions': 'POST',
  '/v1/models': 'GET',
  '/health': 'GET',
  '/metrics': 'GET',
};

export class HttpServer {
  readonly #options: HttpOptions;
  readonly #app: FastifyInstance;
  /** Requests of each connection that are not answered yet. */
  readonly #connections = new Map<Socket, number>();
  #closing = false;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#app = fastify({
      bodyLimit: BODY_LIMIT,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      return503OnClosing: false,
      http: { headersTimeout: HEAD_MS, connectionsCheckingInterval: 1000 },
      frameworkErrors: (error, _, reply) => this.#refuse(error, reply),
      clientErrorHandler: refuseUnreadable,
    });
    this.#app.server.maxConnections = CONNECTIONS;
    this.#app.server.on('connection', (socket) => {
      this.#connections.set(socket, 0);
      socket.once('close', () => this.#connections.delete(socket));
    });
    this.#hooks();
    this.#routes();
  }

  /** @returns the port @throws KvgenError where it cannot be listened at */
  async listen(host: string, port: number): Promise<number> {
    try {
      await this.#app.listen({ host, port });
    } catch (error) {
      throw listenProblem(host, port, error);
    }
    return (this.#app.server.address() as AddressInfo).port;
  }

  /** Takes no more requests, and resolves when those that run are answered. A connection without one keeps nothing up. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const [socket, requests] of this.#connections) {
      requests === 0 && socket.destroy();
    }
    await this.#app.close();
  }

  #hooks(): void {
    this.#app.removeAllContentTypeParsers();
    this.#app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_: FastifyRequest, body: Buffer) =>
      readJsonBody(body),
    );
    this.#app.addHook('onRequest', async (request, reply) => {
      this.#watch(request, reply);
      this.#admit(request, reply);
    });
    this.#app.setErrorHandler((error, _, reply) => this.#refuse(error, reply));
    this.#app.setNotFoundHandler((request, reply) => this.#refuse(notFound(request), reply));
  }

  #routes(): void {
    const { endpoints, metrics } = this.#options;
    const app = this.#app;
    app.post('/v1/completions', (request, reply) => this.#answer(request, reply, answerCompletion));
    app.post('/v1/chat/completions', (request, reply) => this.#answer(request, reply, answerChat));
    app.get('/health', async () => ({ status: 'ok' }));
    app.get('/metrics', async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()));
    const { name, names } = endpoints.served;
    const created = Math.floor(Date.now() / 1000);
    const model = { id: name, object: 'model', created, owned_by: 'kvgen', max_model_len: endpoints.nCtx };
    app.get('/v1/models', async () => ({ object: 'list', data: [model] }));
    app.get<{ Params: { '*': string } }>('/v1/models/*', async ({ params: { '*': asked } }) => {
      if (!names.includes(asked)) {
        throw modelNotFound(asked, name);
      }
      return model;
    });
  }

  /** When the connection is over with this request, it is written down; who has gone away costs nothing more. */
  #watch(request: FastifyRequest, reply: FastifyReply): void {
    const { metrics, onLine, verbose } = this.#options;
    const { method, url, routeOptions } = request;
    const record = new RequestRecord(method, url);
    const gone = new AbortController();
    request.record = record;
    request.gone = gone;
    const { socket } = request;
    this.#count(socket, 1);
    reply.raw.once('close', () => {
      const isWhole = reply.raw.writableFinished;
      const status = isWhole ? reply.statusCode : CLIENT_GONE;
      record.why = isWhole ? record.why : CLIENT_GONE_WORDS;
      gone.abort(new ApiError(CLIENT_GONE, CLIENT_GONE_WORDS));
      metrics.request(routeOptions.url ?? 'other', status);
      onLine(record.line(status, verbose));
      this.#count(socket, -1);
    });
  }

  #count(socket: Socket, change: number): void {
    const requests = (this.#connections.get(socket) ?? 0) + change;
    if (this.#closing && requests === 0) {
      socket.destroySoon();
    } else if (!socket.destroyed) {
      this.#connections.set(socket, requests);
    }
  }

  /** @throws ApiError for who may not ask, and while the server ends */
  #admit({ headers, routeOptions }: FastifyRequest, reply: FastifyReply): void {
    if (this.#closing) {
      reply.header('connection', 'close');
      throw new ApiError(503, 'the server is ending');
    }
    if (routeOptions.url !== '/health') {
      this.#options.access.check(headers);
    }
    const { 'content-encoding': encoding = 'identity' } = headers;
    if (encoding !== 'identity') {
      throw new ApiError(415, `content-encoding ${encoding}: expected a body that is not compressed`);
    }
  }

  async #answer(
    request: FastifyRequest,
    reply: FastifyReply,
    answer: (endpoints: Endpoints, asked: Parameters<typeof answerChat>[1]) => Promise<TextAnswer>,
  ): Promise<FastifyReply> {
    const { record, gone } = request;
    const body = request.body as JsonObject | undefined;
    if (body === undefined) {
      throw new ApiError(400, 'the body: expected a JSON object, found nothing');
    }
    this.#mindReader(reply);
    const answered = await answer(this.#options.endpoints, { body, record, signal: gone.signal });
    if ('whole' in answered) {
      return reply.send(answered.whole);
    }
    return reply
      .type('text/event-stream; charset=utf-8')
      .header('cache-control', 'no-cache')
      .header('x-accel-buffering', 'no') // nginx would hold back what it could pass on
      .send(Readable.from(this.#lines(answered.chunks, reply), { objectMode: false }));
  }

  /** Ends the connection of a reader who takes nothing of what is written for a while. */
  #mindReader({ raw, request: { socket } }: FastifyReply): void {
    const { readerMs = READER_MS } = this.#options;
    raw.setTimeout(readerMs, () => {
      socket.writableLength > 0 ? socket.destroy() : socket.setTimeout(readerMs); // nothing is written: it waits for us
    });
  }

  /** The lines of a stream. An error behind the first of them cannot be its status any more. */
  async *#lines(chunks: AsyncIterable<object>, reply: FastifyReply): AsyncGenerator<string, void> {
    try {
      for await (const chunk of chunks) {
        yield line(chunk);
      }
      yield 'data: [DONE]\n\n';
    } catch (error) {
      if (!reply.request.gone.signal.aborted) {
        yield line(this.#noted(error, reply.request).body);
      }
    }
  }

  #refuse(error: unknown, reply: FastifyReply): FastifyReply {
    const refused = this.#noted(error, reply.request);
    if (refused.status === 413 && !this.#closing) {
      reply.removeHeader('connection'); // closed at once, the client that still sends would get an error and no answer
    }
    return reply
      .code(refused.status)
      .headers(refused.headers)
      .type('application/json; charset=utf-8')
      .send(refused.body);
  }

  #noted(error: unknown, request: FastifyRequest): ApiError {
    const refused = asApiError(error, BODY_LIMIT);
    if (request.record !== undefined) {
      request.record.why = refused.message;
    }
    if (refused.status >= 500 && !(error instanceof ApiError) && !request.socket.destroyed) {
      this.#options.onError(error);
    }
    return refused;
  }
}

function line(event: object): string {
  return `data: ${JSON.stringify(event)}\n\n`;
}

function notFound({ method, url }: FastifyRequest): ApiError {
  const path = url.replace(/\?.*$/s, '');
  const allowed = path.startsWith('/v1/models/') ? 'GET' : PATHS[path];
  if (allowed === undefined) {
    return new ApiError(404, `${path.slice(0, 80)}: there is no such path; expected ${Object.keys(PATHS).join(', ')}`);
  }
  return new ApiError(405, `${path}: expected ${allowed}, found ${method}`, { headers: { allow: allowed } });
}

/** What is no HTTP, or comes too slowly, or has too large a head. */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  const statuses: Readonly<Record<string, number>> = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 };
  const status = statuses[errorCode(error) ?? ''] ?? 400;
  if (socket.writable && errorCode(error) !== 'ECONNRESET') {
    const words = STATUS_CODES[status] as string;
    const body = JSON.stringify(new ApiError(status, words).body);
    const head = `HTTP/1.1 ${status} ${words}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
    socket.write(`${head}\r\nconnection: close\r\n\r\n${body}`);
  }
  socket.destroySoon();
}
