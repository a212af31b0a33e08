// A server in the process of the test, on a free port of this machine, and requests to it.

import { TemplatedPrompts } from '../../src/chat/templated-prompts.js';
import { contextSize, idsWithoutToken } from '../../src/completion/request.js';
import type { Model } from '../../src/library/model.js';
import { Access } from '../../src/server/access.js';
import { openServer, type RunningServer, whyNoChat } from '../../src/server/open-server.js';

export interface Serving {
  readonly url: string;
  readonly port: number;
  readonly server: RunningServer;
  /** The lines of its log. */
  readonly lines: string[];
  readonly errors: unknown[];
  post(path: string, body: unknown, options?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

export interface ServingOptions {
  readonly concurrency?: number;
  readonly queue?: number;
  readonly key?: string;
  readonly nCtx?: number;
  readonly draft?: number;
  readonly verbose?: boolean;
  readonly readerMs?: number;
}

/** @param model stays the caller's */
export async function serving(model: Model, options: ServingOptions = {}): Promise<Serving> {
  const { concurrency = 4, queue = 64, key, nCtx, draft = 0, verbose = false, readerMs } = options;
  const [lines, errors]: [string[], unknown[]] = [[], []];
  const chats = new TemplatedPrompts(model.dir, model.tokenizer, () => model.chatTemplate());
  const noChat = await whyNoChat(chats, model.name);
  const server = openServer({
    served: { name: model.name, names: [model.name], fingerprint: 'test' },
    of: { model, banned: idsWithoutToken(model.tokenizer, model.config), drafter: undefined, savedPrompts: () => null },
    nCtx: contextSize(nCtx, model.config),
    draft,
    chats,
    noChat,
    access: new Access('127.0.0.1', key),
    limits: { concurrency, queue },
    verbose,
    readerMs,
    onLine: (line) => lines.push(line),
    onError: (error) => errors.push(error),
  });
  const port = await server.listen('127.0.0.1', 0);
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    port,
    server,
    lines,
    errors,
    post: (path, body, { headers, ...rest } = {}) =>
      fetch(`${url}${path}`, {
        method: 'POST',
        body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
        ...rest,
      }),
    async close() {
      await server.close();
      chats.dispose();
    },
  };
}

/** The JSON of an answer. */
// biome-ignore lint/suspicious/noExplicitAny: a test says what it expects in it
export async function jsonOf(response: Response): Promise<any> {
  return response.json();
}

/** The events of a stream, without the last. @throws Error where that is not [DONE] */
export async function eventsOf(response: Response) {
  const lines = (await response.text()).split('\n\n').filter((line) => line !== '');
  const data = lines.map((line) => line.replace(/^data: /, ''));
  if (data.pop() !== '[DONE]') {
    throw new Error(`no end: ${lines.at(-1)}`);
  }
  return data.map((json) => JSON.parse(json));
}
