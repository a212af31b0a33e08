// What went wrong between kvgen and a server, in words that name the address and the next step. What a server says is shown
// as it is, shortened; the terminal escapes it. Knows nothing of requests.

import { cutMiddle, errorCode, KvgenError, shown } from '../errors.js';
import { beginningOf, type ServerAnswer } from './server-answer.js';

/** A failure after which the same question may be answered. */
export class PassingError extends KvgenError {
  /** How long the server wants us to wait. */
  readonly waitMs: number | undefined;
  /** What it answered; undefined: nothing. */
  readonly answer: ServerAnswer | undefined;

  constructor(message: string, { waitMs, answer }: Partial<Pick<PassingError, 'waitMs' | 'answer'>> = {}) {
    super(message);
    this.waitMs = waitMs;
    this.answer = answer;
  }
}

/** Codes of Node and OpenSSL for certificates that are not believed. */
const CERTIFICATE = /CERT|SIGNATURE|ISSUER|ALTNAME/;

/** @param error what fetch or its body threw */
export function connectionError(error: unknown, server: string): KvgenError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = errorCode(cause) ?? errorCode((cause as AggregateError)?.errors?.[0]) ?? '';
  if (['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT'].includes(code)) {
    const advice = 'is the server running, and is this its address?';
    return new PassingError(`${server}: no connection${inBrackets(code)}; ${advice}`);
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new KvgenError(`${server}: no such host (${code}); is the address right, and is there a network?`);
  }
  if (cause instanceof Error && cause.message === 'bad port') {
    return new KvgenError(
      `${server}: a port that is kept for other things, and that fetch does not ask; choose another`,
    );
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return new KvgenError(`${server}: its certificate is that of another host`);
  }
  if (CERTIFICATE.test(code)) {
    const advice = 'NODE_EXTRA_CA_CERTS=FILE names an authority that is to be trusted';
    return new KvgenError(`${server}: its certificate is not trusted (${code}); ${advice}`);
  }
  if (/^ERR_SSL|^EPROTO$/.test(code)) {
    return new KvgenError(`${server}: no https there; does it speak http?`);
  }
  if (code.startsWith('HPE_')) {
    return new KvgenError(`${server}: expected HTTP, found something else (${code})`);
  }
  const what = code === '' ? ` (${shown(String((cause as Error)?.message ?? cause))})` : inBrackets(code);
  return new PassingError(`${server}: the connection was closed before the end of the answer${what}`);
}

/** Codes that Node and its fetch have of their own say nothing to others. */
function inBrackets(code: string): string {
  return code.includes('ERR_') ? '' : ` (${code})`;
}

export function silenceError(seconds: number, server: string): KvgenError {
  return new KvgenError(`${server}: nothing came for ${seconds} s; --timeout waits longer`);
}

/** Neither the key nor the prompt goes to an address that nobody named. @param path what was asked for */
export function redirectError(location: string | null, server: string, path: string): KvgenError {
  const asked = server + path;
  if (location === null || !URL.canParse(location, asked)) {
    return new KvgenError(`${server} sends us elsewhere, and does not say where; is this its address?`);
  }
  const { href } = new URL(location, asked);
  const to = cutMiddle(href.endsWith(path) ? href.slice(0, -path.length) : href, 180);
  return new KvgenError(`${server} sends us to ${to}, where neither key nor prompt goes; name that with --server`);
}

/** Bytes of an answer that says why not. */
export const LONGEST_REASON = 65_536;

/** What an answer other than 200 means. */
export async function refusal(answer: ServerAnswer, server: string, hasKey: boolean): Promise<KvgenError> {
  const { status, headers } = answer;
  const said = reasonIn(await saidIn(answer), headers.get('content-type') ?? '');
  const why = said === '' ? '' : `: ${cutMiddle(said, 180)}`;
  return new KvgenError(`${server} answers ${status}${why}${adviceFor(status, hasKey)}`);
}

function adviceFor(status: number, hasKey: boolean): string {
  if (status === 401 || status === 403) {
    return hasKey ? '; is KVGEN_API_KEY its key?' : '; KVGEN_API_KEY=… gives it a key';
  }
  return status === 405 ? '; is it an OpenAI-compatible server?' : '';
}

/** As far as it comes. */
async function saidIn(answer: ServerAnswer): Promise<string> {
  try {
    return (await beginningOf(answer, LONGEST_REASON)).toString();
  } catch (error) {
    if (error instanceof KvgenError) {
      return '';
    }
    throw error;
  }
}

/** The reason in a body: OpenAI's form, others that servers use, or what kind of text it is. */
function reasonIn(body: string, type: string): string {
  const reason = reasonOf(parsed(body));
  if (reason !== undefined) {
    return reason;
  }
  return /^\s*<|html/i.test(body.slice(0, 200) + type) ? 'a page of HTML' : body.trim();
}

/** The reason in JSON of an error; undefined: none of the known forms. */
export function reasonOf(json: unknown): string | undefined {
  if (typeof json === 'string') {
    return json;
  }
  const { error, message, detail } = Object(json);
  const found = error?.message ?? error ?? message ?? detail;
  return found === undefined || found === null ? undefined : typeof found === 'string' ? found : shown(found);
}

/** JSON; undefined: it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
