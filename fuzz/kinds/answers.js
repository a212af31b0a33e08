// Answers of servers that `--server` asks: sound ones, changed ones, cut ones, in pieces of any size. Whatever comes, there is a
// text or one line that says what is wrong, and what was sound is written as it is.

import { createServer } from 'node:http';
import { breaches, readObjects, short } from '../contract.js';
import { kvgen } from '../inside.js';
import { mutateBytes, mutateJson, mutateJsonText } from '../mutate.js';
import { JSON_TEXTS } from '../nasty.js';

const TOKEN = { id: 12, token: 'ä', bytes: [195, 164], logprob: -0.5 };
const LISTS = {
  tokens: [' b', 'token_id:7'],
  token_logprobs: [-1, null],
  top_logprobs: [{ c: -2 }, null],
  text_offset: [0, 2],
};
const USAGE = { prompt_tokens: 3, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 2 } };
const EVENTS = [
  {
    choices: [
      { index: 0, text: 'ä', logprobs: { content: [{ ...TOKEN, top_logprobs: [TOKEN] }] }, finish_reason: null },
    ],
  },
  {
    choices: [
      { index: 0, text: ' b', token_ids: [5, 7], prompt_token_ids: [1, 2], logprobs: LISTS, finish_reason: null },
    ],
  },
  { choices: [{ index: 0, text: '', logprobs: null, finish_reason: 'stop', stop_reason: null }] },
  { choices: [], usage: USAGE, timings: { cache_n: 2 } },
];
const MODELS = [
  { data: [{ id: 'm' }] },
  { data: [{ id: 'm', owned_by: 'vllm', max_model_len: 50 }] },
  { data: [{ id: 'm', owned_by: 'kvgen', max_model_len: 50 }] },
  { data: [{ id: 'm', owned_by: 'llamacpp', meta: { n_ctx: 50 } }] },
];
const SOUND = 'ä b';

/** Started once; ends with the process. */
let started;
/** What the server says in this case: by path, how it answers. */
let answers;

/** @type {import('./index.js').Kind} */
export const answersKind = {
  name: 'answers',
  weight: 15,
  async run(random, _place, tell) {
    started ??= start();
    const url = await started;
    const isSound = random.chance(0.1);
    const models =
      isSound || random.chance(0.8) ? JSON.stringify(random.pick(MODELS)) : nearly(random, random.pick(MODELS));
    const body = isSound ? Buffer.from(streamOf(EVENTS)) : changed(random);
    const type =
      isSound || random.chance(0.9) ? 'text/event-stream' : random.pick(['application/json', 'text/html', '']);
    const status = isSound || random.chance(0.9) ? 200 : random.pick([204, 301, 400, 401, 500]);
    answers = {
      '/v1/models': { status: 200, type: 'application/json', pieces: [Buffer.from(models)] },
      '/v1/completions': { status, type, pieces: piecesOf(random, body), isCut: !isSound && random.chance(0.1) },
    };
    const form = random.pick([[], ['--json'], ['--jsonl'], ['--json', '--logprobs', '2']]);
    const ended = await kvgen(['--server', url, '--temp', '0', '-n', '9', ...form, 'Hi']);
    tell(
      `${status} ${type} ${models}\n${body.toString().slice(0, 3000)}\n→ ${ended.code} ${ended.stderr}\n${ended.stdout}`,
    );
    return { wrong: judge(ended, form, isSound), refused: ended.code !== 0 };
  },
};

function judge(ended, form, isSound) {
  const wrong = breaches(ended, [0, 1]);
  const texts = form.length === 0 ? [ended.stdout] : [];
  if (form.length > 0) {
    const read = readObjects(ended.stdout);
    wrong.push(...(ended.stdout === '' && ended.code === 1 ? [] : read.wrong));
    texts.push(...read.objects.filter(({ type = 'done' }) => type === 'done').map(({ text }) => `${text}\n`));
  }
  if (isSound && (ended.code !== 0 || texts.join() !== `${SOUND}\n`)) {
    wrong.push(`a sound answer gave ${ended.code} ${short(texts.join())} ${short(ended.stderr)}`);
  }
  return wrong;
}

function streamOf(events) {
  return `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}data: [DONE]\n\n`;
}

function changed(random) {
  const some = EVENTS.filter(() => random.chance(0.9));
  return random.pick([
    () => Buffer.from(streamOf(some.map((event) => (random.chance(0.5) ? mutateJson(random, event) : event)))),
    () => Buffer.from(some.map((event) => `data: ${nearly(random, event)}\n\n`).join('')),
    () => mutateBytes(random, Buffer.from(streamOf(some))),
    () => Buffer.from(JSON.stringify(mutateJson(random, random.pick(EVENTS)))),
    () => Buffer.from(JSON.stringify({ error: mutateJson(random, { message: 'no\u001b', type: 'x', code: 400 }) })),
    () => random.bytes(random.between(0, 300)),
  ])();
}

function nearly(random, value) {
  return random.pick([() => mutateJsonText(random, JSON.stringify(value)), () => random.pick(JSON_TEXTS)])();
}

function piecesOf(random, body) {
  const size = random.pick([1, 7, 100, body.length + 1]);
  return Array.from({ length: Math.ceil(body.length / size) }, (_, i) => body.subarray(i * size, (i + 1) * size));
}

async function start() {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () =>
      send(answers[request.url] ?? { status: 404, type: 'application/json', pieces: [] }, response),
    );
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  server.unref();
  return `http://127.0.0.1:${server.address().port}`;
}

function send({ status, type, pieces, isCut }, response) {
  response.writeHead(status, type === '' ? {} : { 'content-type': type });
  for (const piece of pieces) {
    response.write(piece);
  }
  isCut ? response.destroy() : response.end();
}
