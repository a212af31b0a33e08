// Why the hub does not give what it was asked for, in words that need no manual. Knows nothing of how it is asked.

import { errorCode, errorMessage, KvgenError } from '../errors.js';

/** What was asked for, and by whom. */
export interface Asked {
  /** The hub's base address. */
  readonly hub: string;
  readonly model: string;
  readonly revision: string;
  readonly hasToken: boolean;
}

/** It may be over in a moment: a cut connection, a server that has too much to do. */
export class PassingError extends KvgenError {
  override readonly name = 'PassingError';
  /** What happened, without what to do about it. */
  readonly what: string;
  /** How long the server asks to wait, in milliseconds; undefined: it does not say. */
  readonly waitMs: number | undefined;
  /** Did no connection come about at all? Then there may be no network. */
  readonly isUnreached: boolean;

  constructor(
    what: string,
    advice: string,
    { waitMs, isUnreached = false }: { waitMs?: number | undefined; isUnreached?: boolean } = {},
  ) {
    super(`${what}; ${advice}`);
    this.what = what;
    this.waitMs = waitMs;
    this.isUnreached = isUnreached;
  }
}

/** A run goes on where the last one ended. */
export const GO_ON = 'run it again to go on';
const LATER = 'run it again later, what is here stays';

/**
 * What an answer that is no success means.
 * @param said what its body says, the beginning of it
 * @param url where it came from: the hub, or a host that the hub sent us to
 */
export function refusal(response: Response, said: string, url: URL, asked: Asked): KvgenError {
  const { status, headers } = response;
  const waitMs = retryAfter(headers.get('retry-after')) ?? untilReset(headers.get('ratelimit'));
  if (status === 429) {
    const advice = asked.hasToken ? LATER : `${LATER}; with HF_TOKEN it allows more`;
    return new PassingError(`${url.host}: too many requests (429)`, advice, { waitMs });
  }
  if (status >= 500 || status === 408) {
    return new PassingError(`${url.host} does not work at the moment (it answers ${status})`, LATER, { waitMs });
  }
  const isHub = url.origin === new URL(asked.hub).origin;
  const reason = { code: headers.get('x-error-code') ?? '', said: headers.get('x-error-message') ?? errorOf(said) };
  return isHub
    ? hubRefusal(status, reason, asked)
    : new KvgenError(`${url.host} refuses the file (it answers ${status})`);
}

/** The hub's JSON has `error`. */
function errorOf(body: string): string {
  const [, error = ''] = /"error"\s*:\s*"((?:[^"\\]|\\.){0,200})/.exec(body) ?? [];
  return error;
}

function hubRefusal(status: number, { code, said }: { code: string; said: string }, asked: Asked): KvgenError {
  const { hub, model, revision, hasToken } = asked;
  const isClosed = status === 401 || status === 403;
  if (
    code === 'GatedRepo' ||
    (code === '' && isClosed && /gated|restricted|authorized list|access to model/i.test(said))
  ) {
    const then = hasToken ? 'with the account of HF_TOKEN' : 'and set HF_TOKEN to a token of that account';
    return new KvgenError(`${model} is gated: ask for access at ${hub}/${model}, ${then}`);
  }
  if (code === 'RevisionNotFound') {
    return new KvgenError(`${model} has no revision '${revision}'; ${hub}/${model}/tree/main shows what it has`);
  }
  if (code === 'EntryNotFound') {
    return new KvgenError(`${model}: a file of the hub's list is not there any more; run it again`);
  }
  if (status === 404 || status === 401) {
    const token = hasToken
      ? 'a private one needs a valid HF_TOKEN with access to it'
      : 'for a private one set HF_TOKEN to a token with access to it';
    return new KvgenError(`${model}: not found on ${hub}, or private; ${token}`);
  }
  const reason = `${status}${said === '' ? '' : `: ${said}`}`;
  return new KvgenError(`${hub} refuses ${model} (it answers ${reason}); ${hub}/${model} may say what it asks for`);
}

/** Seconds, or a date. @returns milliseconds; undefined: it is neither */
export function retryAfter(value: string | null): number | undefined {
  if (value === null || value.trim() === '') {
    return undefined;
  }
  const ms = /^\s*\d+\s*$/.test(value) ? 1000 * Number(value) : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}

/** Of a header such as `"resolvers";r=0;t=55`: nothing remains (r) for so many seconds (t). */
function untilReset(limit: string | null): number | undefined {
  const [, seconds] = /;\s*r=0\s*;\s*t=(\d{1,9})/.exec(limit ?? '') ?? [];
  return seconds === undefined ? undefined : 1000 * Number(seconds);
}

const NO_CONNECTION: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no address for that name',
  EAI_AGAIN: 'its address cannot be looked up',
  ECONNREFUSED: 'nothing answers at that address',
  ENETUNREACH: 'the network cannot be reached',
  EHOSTUNREACH: 'the host cannot be reached',
  ETIMEDOUT: 'no connection in time',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
};

/** @param error what `fetch`, or reading its body, failed with */
export function connectionError(error: unknown, url: URL): KvgenError {
  const cause = rootCause(error);
  const code = errorCode(cause) ?? '';
  const words = NO_CONNECTION[code];
  if (words !== undefined) {
    return new PassingError(`${url.origin} cannot be reached (${words})`, proxyAdvice(), { isUnreached: true });
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO/.test(code)) {
    if (/WRONG_VERSION|EPROTO/.test(code)) {
      return new KvgenError(`${url.origin} does not speak TLS; is its port right?`);
    }
    const advice = 'NODE_EXTRA_CA_CERTS names the certificates of a proxy or mirror of your own';
    return new KvgenError(`${url.origin} cannot be trusted (${errorMessage(cause)}); ${advice}`);
  }
  return new PassingError(`${url.origin}: the connection was cut (${errorMessage(cause)})`, GO_ON);
}

/** fetch wraps what went wrong; trying several addresses wraps it once more. */
function rootCause(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return rootCause(error.errors[0]);
  }
  return error instanceof Error && error.cause instanceof Error ? rootCause(error.cause) : error;
}

/** Node's fetch goes through no proxy unless it is told to, and before Node 22.21 it cannot. */
function proxyAdvice(): string {
  const { HTTPS_PROXY, https_proxy, ALL_PROXY, NODE_USE_ENV_PROXY } = process.env;
  const hasProxy = (HTTPS_PROXY || https_proxy || ALL_PROXY) !== undefined && NODE_USE_ENV_PROXY !== '1';
  return hasProxy
    ? 'a proxy is set, which Node uses only with NODE_USE_ENV_PROXY=1 (Node 22.21 or 24)'
    : 'is there a network? HF_ENDPOINT names a mirror';
}
