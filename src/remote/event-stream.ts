// The events of a stream (text/event-stream), or the one answer of a server that does not stream, as values of JSON. Knows
// nothing of what they say.

import { createParser } from 'eventsource-parser';
import { KvgenError, shown } from '../errors.js';
import type { ServerAnswer } from './server-answer.js';

/** Characters of one event, and bytes of an answer in one piece: a line of a thousand likeliest tokens has 100 kB. */
const LONGEST_EVENT = 2 ** 24;
const LONGEST_ANSWER = 2 ** 27;

/** What a stream ends with. */
export const DONE = Symbol('[DONE]');

/** @throws KvgenError for what is neither; what the answer's pieces throw */
export async function* valuesOf(answer: ServerAnswer, server: string): AsyncGenerator<unknown, void> {
  const type = answer.headers.get('content-type') ?? '';
  if (/^text\/event-stream\b/i.test(type)) {
    yield* eventsOf(answer, server);
  } else {
    yield await jsonOf(answer, server);
  }
}

async function* eventsOf(answer: ServerAnswer, server: string): AsyncGenerator<unknown, void> {
  const events: string[] = [];
  let isTooLong = false;
  const parser = createParser({
    maxBufferSize: LONGEST_EVENT,
    onEvent: ({ data }) => events.push(data),
    onError: ({ type }) => {
      isTooLong ||= type === 'max-buffer-size-exceeded';
    },
  });
  const decoder = new TextDecoder();
  for await (const piece of answer.pieces()) {
    parser.feed(decoder.decode(piece, { stream: true }));
    if (isTooLong) {
      throw new KvgenError(`${server}: an event of its stream is longer than ${LONGEST_EVENT} characters`);
    }
    for (const data of events.splice(0)) {
      yield data.trim() === '[DONE]' ? DONE : parse(data, server);
    }
  }
}

/** A body of JSON. @throws KvgenError */
export async function jsonOf(answer: ServerAnswer, server: string): Promise<unknown> {
  const read: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of answer.pieces()) {
    read.push(piece);
    bytes += piece.length;
    if (bytes > LONGEST_ANSWER) {
      throw new KvgenError(`${server} answers with more than ${LONGEST_ANSWER} bytes`);
    }
  }
  return parse(Buffer.concat(read).toString(), server);
}

function parse(text: string, server: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new KvgenError(`${server}: expected JSON, found ${shown(text)}; is it an OpenAI-compatible server?`);
  }
}
