// What goes wrong with a request, in the form that OpenAI's clients read: status, message, type, parameter, code. Knows
// nothing of HTTP's transport.

import { errorCode, errorMessage, KvgenError, oneLine } from '../errors.js';

/** What of an error is not always there. */
interface ApiErrorFacts {
  /** The parameter that is wrong. */
  readonly param?: string | undefined;
  /** What a program can tell the error by. */
  readonly code?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export class ApiError extends Error {
  readonly status: number;
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, { param, code, headers = {} }: ApiErrorFacts = {}) {
    super(oneLine(message));
    this.status = status;
    this.param = param ?? null;
    this.code = code ?? null;
    this.headers = headers;
  }

  get body(): object {
    const { message, param, code } = this;
    return { error: { message, type: TYPES[this.status] ?? typeOfOthers(this.status), param, code } };
  }
}

const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  503: 'service_unavailable_error',
};

function typeOfOthers(status: number): string {
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

/** A parameter that is not what was expected. */
export function wrongParameter(param: string, message: string, code?: string): ApiError {
  return new ApiError(400, message, { param, code });
}

/** Runs what reads a parameter; an error that a person can mend becomes one about it. */
export function aboutParameter<T>(param: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof KvgenError ? wrongParameter(param, error.message) : error;
  }
}

/** Codes of the HTTP library for what a client did wrong. */
const OF_CLIENTS: Readonly<Record<string, number>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 413,
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 415,
  FST_ERR_CTP_EMPTY_TYPE: 415,
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 400,
  FST_ERR_CTP_EMPTY_JSON_BODY: 400,
  FST_ERR_BAD_URL: 400,
  FST_ERR_MAX_PARAM_LENGTH: 404,
};

/** Whatever was thrown, as an error of a request. What is no client's doing is told without its details. */
export function asApiError(error: unknown, bodyLimit: number): ApiError {
  if (error instanceof ApiError) {
    return error;
  }
  const status = OF_CLIENTS[errorCode(error) ?? ''];
  if (status === 413) {
    return new ApiError(413, `the body is larger than ${bodyLimit} bytes`);
  }
  if (status === 415) {
    return new ApiError(415, 'expected a body of content-type application/json');
  }
  if (status !== undefined) {
    return new ApiError(status, errorMessage(error));
  }
  const message = error instanceof KvgenError ? error.message : 'the server failed; its log says more';
  return new ApiError(500, message);
}
