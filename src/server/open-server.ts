// A server from a loaded model: the loop, the endpoints over it, the HTTP server before them; and how the two end. Knows
// nothing of the command.

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
