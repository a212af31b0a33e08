// The body of a request: bytes into an object of JSON. Refused is what is no UTF-8, no object, or nested too deep to be
// walked. Knows nothing of parameters.

import { errorMessage } from '../errors.js';
import { ApiError } from './api-error.js';

export type JsonObject = Readonly<Record<string, unknown>>;

/** No parameter needs so much. */
const MAX_DEPTH = 100;

/** @throws ApiError that says what was expected */
export function readJsonBody(bytes: Uint8Array): JsonObject {
  const json = parse(decode(bytes));
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ApiError(400, 'the body: expected a JSON object');
  }
  checkDepth(json);
  return json as JsonObject;
}

/** A byte order mark in front is no part of the text. */
function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ApiError(400, 'the body: expected UTF-8');
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiError(400, `the body: not JSON (${errorMessage(error)})`);
  }
}

function checkDepth(json: object): void {
  let level: unknown[] = [json];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) {
      throw new ApiError(400, `the body: expected JSON nested at most ${MAX_DEPTH} deep, found more`);
    }
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
}
