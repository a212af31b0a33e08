// Can it be listened at a port? Asked before a model is loaded, which may take long. Knows nothing of HTTP.

import { once } from 'node:events';
import { createServer } from 'node:net';
import { errorCode, errorMessage, KvgenError } from '../errors.js';

const WORDS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there already; name another port, or 0 for any free one',
  EACCES: 'this user may not listen there; name a port from 1024 on',
  EADDRNOTAVAIL: 'this machine has no such address',
};

/** @throws KvgenError where it cannot */
export async function checkPort(host: string, port: number): Promise<void> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    throw listenProblem(host, port, error);
  } finally {
    server.close();
  }
}

/** The error for a person; what is no system's error stays what it is. */
export function listenProblem(host: string, port: number, error: unknown): unknown {
  const code = errorCode(error);
  return code === undefined
    ? error
    : new KvgenError(`--host ${host} --port ${port}: ${WORDS[code] ?? errorMessage(error)}`);
}
