// The parameters of /v1/chat/completions, and its messages. Knows nothing of HTTP, of templates, or of how it is answered.

import type { ChatMessage } from '../chat/messages.js';
import { shown } from '../errors.js';
import { flag, integer } from '../kinds.js';
import { wrongParameter } from './api-error.js';
import type { JsonObject } from './json-body.js';
import { notDone, readParameters, setting } from './parameters.js';
import { MAX_TOP, SHARED_PARAMETERS, type TextQuery, textQuery } from './text-query.js';

const NO_TOOLS = 'tools are not done; leave it out';

const PARAMETERS = {
  ...SHARED_PARAMETERS,
  messages: readMessageList,
  max_completion_tokens: setting(integer({ min: -1 })),
  logprobs: setting(flag),
  top_logprobs: setting(integer({ min: 0, max: MAX_TOP })),
  response_format: notDone('text is all that is done', [{ type: 'text' }]),
  modalities: notDone('text is all that is done', [['text']]),
  tools: notDone(NO_TOOLS, [[]]),
  tool_choice: notDone(NO_TOOLS, ['none']),
  parallel_tool_calls: notDone(NO_TOOLS),
  functions: notDone(NO_TOOLS, [[]]),
  function_call: notDone(NO_TOOLS, ['none']),
  audio: notDone('text is all that is done'),
  reasoning_effort: notDone('not done; leave it out'),
  store: notDone('nothing is stored; leave it out', [false]),
} as const;

export interface ChatQuery extends TextQuery {
  readonly messages: readonly ChatMessage[];
}

/** @param draft how many ids are guessed @throws ApiError that names the parameter */
export function readChatQuery(json: JsonObject, draft: number): ChatQuery {
  const given = readParameters(PARAMETERS, json);
  const { messages, max_tokens: older, max_completion_tokens: newer = older, logprobs = false } = given;
  if (messages === undefined) {
    throw wrongParameter('messages', 'messages: expected a list of at least one message, found nothing');
  }
  if (older !== undefined && older !== newer) {
    throw wrongParameter('max_tokens', `max_tokens ${older}: max_completion_tokens is another, ${newer}`);
  }
  const { top_logprobs: top } = given;
  if (top !== undefined && !logprobs) {
    throw wrongParameter('top_logprobs', 'top_logprobs: only with logprobs: true');
  }
  const own = { maxTokens: newer ?? -1, logprobs: logprobs ? (top ?? 0) : undefined, bos: false, echo: false };
  return { ...textQuery(given, own, draft), messages };
}

function readMessageList(json: unknown, name: string): readonly ChatMessage[] {
  if (!Array.isArray(json) || json.length === 0) {
    throw wrongParameter(name, `${name}: expected a list of at least one message, found ${shown(json)}`);
  }
  return json.map((message: unknown, i) => readMessage(message, `${name}[${i}]`));
}

const MESSAGE = {
  role: (json: unknown, name: string) => textOf(json, name),
  content: readContent,
  tool_calls: notDone(NO_TOOLS, [[]]),
  annotations: notDone('not done; leave it out', [[]]),
} as const;

function readMessage(json: unknown, place: string): ChatMessage {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw wrongParameter(place, `${place}: expected an object with role and content, found ${shown(json)}`);
  }
  const named = Object.entries(MESSAGE).map(([key, read]) => [`${place}.${key}`, read] as const);
  const within = Object.entries(json).map(([key, value]) => [`${place}.${key}`, value] as const);
  const read: Readonly<Record<string, unknown>> = readParameters(Object.fromEntries(named), Object.fromEntries(within));
  const [role, content] = ['role', 'content'].map((key) => textOf(read[`${place}.${key}`], `${place}.${key}`));
  return { role: asTemplatesSay(role as string), content: content as string };
}

/** OpenAI's newer word for what templates call the system. */
function asTemplatesSay(role: string): string {
  return role === 'developer' ? 'system' : role;
}

/** A text, or parts that are texts: as other servers do it, each on lines of its own. */
function readContent(json: unknown, name: string): string {
  return Array.isArray(json) ? json.map((part, i) => partText(part, `${name}[${i}]`)).join('\n') : textOf(json, name);
}

function partText(json: unknown, name: string): string {
  const { type, text, ...others } = Object(json);
  const [other] = Object.keys(others);
  if (type !== 'text' || other !== undefined) {
    throw wrongParameter(name, `${name}: expected {"type":"text","text":…} alone, found ${shown(json)}`);
  }
  return textOf(text, `${name}.text`);
}

function textOf(json: unknown, name: string): string {
  if (typeof json !== 'string') {
    throw wrongParameter(name, `${name}: expected a text, found ${shown(json)}`);
  }
  return json;
}
