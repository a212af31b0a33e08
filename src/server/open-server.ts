// A server from a loaded model: the loop, the endpoints over it, the HTTP server before them; and how the two end. Knows
// nothing of the command.

import { NoChatTemplate } from '../chat/open-template.js';
import type { TemplatedPrompts } from '../chat/templated-prompts.js';
import { errorMessage } from '../errors.js';
import type { Access } from './access.js';
import { HttpServer } from './http-server.js';
import { Metrics } from './metrics.js';
import type { Endpoints } from './text-endpoints.js';
import { type LoopLimits, TextLoop } from './text-loop.js';

export interface ServerOptions extends Omit<Endpoints, 'loop'> {
  readonly access: Access;
  readonly limits: LoopLimits;
  /** Are prompts written down? */
  readonly verbose: boolean;
  readonly readerMs?: number | undefined;
  /** Takes a line for each request. */
  readonly onLine: (line: string) => void;
  /** Takes what went wrong and is no client's doing. */
  readonly onError: (error: unknown) => void;
}

export interface RunningServer {
  /** @returns the port @throws KvgenError where it cannot be listened at */
  listen(host: string, port: number): Promise<number>;
  /** Takes no more requests, and resolves when those that run are answered. */
  close(): Promise<void>;
}

/** Opens the template of a model. @returns why it does not chat; undefined: it does @throws what `signal` aborts with */
export async function whyNoChat(
  chats: TemplatedPrompts,
  name: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  try {
    await chats.open(signal);
    return undefined;
  } catch (error) {
    signal?.throwIfAborted();
    return error instanceof NoChatTemplate ? `${name} has no chat template` : errorMessage(error);
  }
}

export function openServer(options: ServerOptions): RunningServer {
  const { access, limits, verbose, readerMs, onLine, onError, ...endpoints } = options;
  const metrics = new Metrics();
  const loop = new TextLoop(endpoints.of.model, limits, metrics, onError);
  const http = new HttpServer({
    endpoints: { ...endpoints, loop },
    access,
    metrics,
    verbose,
    readerMs,
    onLine,
    onError,
  });
  return {
    listen: (host, port) => http.listen(host, port),
    async close() {
      await http.close();
      await loop.close();
    },
  };
}
