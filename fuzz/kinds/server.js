// Bodies of requests to `kvgen serve`: sound ones among broken ones. Each has an answer in OpenAI's form, none is an error of the
// server, and a broken one harms no other.

import { join } from 'node:path';
import { TemplatedPrompts } from '../../dist/chat/templated-prompts.js';
import { idsWithoutToken } from '../../dist/completion/request.js';
import { folderSource, openModel } from '../../dist/library/model.js';
import { Access } from '../../dist/server/access.js';
import { openServer } from '../../dist/server/open-server.js';
import { messageBreaches, short } from '../contract.js';
import { mutateBytes, mutateJson, mutateJsonText, mutateText } from '../mutate.js';
import { JSON_TEXTS } from '../nasty.js';

const MESSAGES = [
  { role: 'user', content: 'Once upon' },
  { role: 'assistant', content: [{ type: 'text', text: 'a time' }] },
];
const BODIES = [
  { prompt: 'Once upon', max_tokens: 4, n: 2, best_of: 2, stop: ['x', 'on'], seed: 3, temperature: 0.5, top_p: 0.9 },
  { prompt: [[1, 2], [3]], max_tokens: 3, logprobs: 2, echo: true, top_k: 5, min_p: 0.1, repetition_penalty: 1.1 },
  { prompt: ['a', 'b'], max_tokens: 2, stream: true, stream_options: { include_usage: true }, logprobs: 1, echo: true },
  { prompt: [1, 2, 3], max_tokens: 0, logit_bias: { 3: -1, 4: '-inf' }, presence_penalty: 1, frequency_penalty: 1 },
  { prompt: 'a', max_tokens: -1, user: 'me', return_token_ids: true, ignore_eos: true, suffix: null, model: 'm' },
  { messages: MESSAGES, max_completion_tokens: 3, logprobs: true, top_logprobs: 2, response_format: { type: 'text' } },
].map((body) => JSON.stringify(body));
const SOUND = JSON.stringify({ prompt: 'Once upon', max_tokens: 4, temperature: 0 });
const PATHS = ['/v1/completions', '/v1/completions', '/v1/completions', '/v1/chat/completions', '/v1/models', '/v1/x'];
const STATUSES = [200, 400, 404, 405, 413, 415];
/** Of an error, in characters. */
const MAX_ERROR = 300;

/** Started once; ends with the process. */
let started;
/** What a sound body gives; asked for once. */
let truth;

/** @type {import('./index.js').Kind} */
export const serverKind = {
  name: 'server',
  weight: 25,
  async run(random, { base }, tell) {
    started ??= start(join(base, 'models', 'float32'));
    const server = await started;
    truth ??= (await ask(server, PATHS[0], SOUND)).text;
    server.errors.length = 0;
    const [path, body] = [random.pick(PATHS), broken(random)];
    const [answer, sound] = await Promise.all([ask(server, path, body), ask(server, PATHS[0], SOUND)]);
    tell(`${path} ${body.toString().slice(0, 3000)}\n→ ${answer.status} ${answer.text.slice(0, 3000)}`);
    const wrong = [...answerBreaches(answer), ...server.errors.map((error) => `an error of the server: ${error}`)];
    if (choicesOf(sound.text) !== choicesOf(truth)) {
      wrong.push(`a sound body gave ${short(sound.text)}`);
    }
    return { wrong, refused: answer.status !== 200 };
  },
};

async function start(dir) {
  const model = await openModel(await folderSource({ name: 'm', dir, source: 'path' }), {
    backend: 'simd',
    threads: 1,
  });
  const errors = [];
  const server = openServer({
    served: { name: 'm', names: ['m'], fingerprint: 'f' },
    of: { model, banned: idsWithoutToken(model.tokenizer, model.config), drafter: undefined, savedPrompts: () => null },
    nCtx: model.config.nPositions,
    draft: 0,
    chats: new TemplatedPrompts(dir, model.tokenizer, () => model.chatTemplate()),
    noChat: undefined,
    access: new Access('127.0.0.1', undefined),
    limits: { concurrency: 4, queue: 64 },
    verbose: true,
    onLine: () => {},
    onError: (error) => errors.push(error?.stack ?? error),
  });
  return { url: `http://127.0.0.1:${await server.listen('127.0.0.1', 0)}`, errors };
}

async function ask({ url }, path, body) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}${path}`, { method: 'POST', headers, body });
  return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() };
}

function broken(random) {
  const body = random.pick(BODIES);
  const text = random.pick([
    () => JSON.stringify(mutateJson(random, JSON.parse(body))),
    () => JSON.stringify(mutateJson(random, JSON.parse(body))),
    () => JSON.stringify(mutateJson(random, mutateJson(random, JSON.parse(body)))),
    () => mutateJsonText(random, body),
    () => mutateText(random, body),
    () => random.pick(JSON_TEXTS),
    () => body,
  ])();
  const bytes = Buffer.from(text);
  return random.chance(0.1) ? mutateBytes(random, bytes) : bytes;
}

function answerBreaches({ status, type, text }) {
  const wrong = STATUSES.includes(status) ? [] : [`status ${status}`];
  const events = type.startsWith('text/event-stream') ? text.trimEnd().split('\n\n') : [text];
  if (events.length > 1 && events.pop() !== 'data: [DONE]') {
    wrong.push(`a stream without its end: ${short(text.slice(-300))}`);
  }
  for (const event of events) {
    try {
      const { error, choices, data } = JSON.parse(event.replace(/^data: /, ''));
      wrong.push(...(error === undefined ? [] : errorBreaches(error)));
      if ((error === undefined) !== (status === 200) || (status === 200 && !Array.isArray(choices ?? data))) {
        wrong.push(`status ${status} with ${short(event)}`);
      }
    } catch {
      wrong.push(`not JSON: ${short(event)}`);
    }
  }
  return wrong;
}

function errorBreaches({ message, type, param, code }) {
  const isWhole = [message, type, param ?? '', code ?? ''].every((part) => typeof part === 'string') && message !== '';
  const form = isWhole ? [] : [`the error is ${short(JSON.stringify({ message, type, param, code }))}`];
  const long = message?.length > MAX_ERROR ? [`an error of ${message.length} characters: ${short(message)}`] : [];
  return [...form, ...long, ...messageBreaches(String(message))];
}

function choicesOf(text) {
  return /"choices":.*/.exec(text)?.[0].replace(/"cached_tokens":\d+/, '');
}
