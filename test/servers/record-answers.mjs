// Asks a server one question of each kind and writes what it says, headers and bytes, for test/fixtures/servers.
// Usage: node test/servers/record-answers.mjs URL MODEL FILE [QUESTIONS THAT ARE NOT ASKED, such as textsTwice,n9]

import { writeFileSync } from 'node:fs';

const [url, model, file, without = ''] = process.argv.slice(2);
const GREEDY = { model, prompt: 'Once upon a time', max_tokens: 4, temperature: 0 };
const IDS = [481, 480, 259, 423]; // of that prompt, as stories has them
const CHAT = { model, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 4, temperature: 0 };

const QUESTIONS = {
  props: ['GET', '/props'],
  version: ['GET', '/version'],
  models: ['GET', '/v1/models'],
  health: ['GET', '/health'],
  unknownPath: ['GET', '/v1/nothing'],
  text: ['POST', '/v1/completions', GREEDY],
  again: ['POST', '/v1/completions', GREEDY],
  sampled: ['POST', '/v1/completions', { ...GREEDY, temperature: 0.8, top_k: 40, top_p: 0.95, min_p: 0, seed: 7 }],
  ids: ['POST', '/v1/completions', { ...GREEDY, prompt: IDS }],
  idsTwice: ['POST', '/v1/completions', { ...GREEDY, prompt: [IDS, IDS] }],
  textsTwice: ['POST', '/v1/completions', { ...GREEDY, prompt: ['Once', 'Twice'] }],
  noTokens: ['POST', '/v1/completions', { ...GREEDY, max_tokens: 0 }],
  minusOne: ['POST', '/v1/completions', { ...GREEDY, max_tokens: -1, stop: ['.'] }],
  stop: ['POST', '/v1/completions', { ...GREEDY, max_tokens: 20, stop: [' little'] }],
  echo: ['POST', '/v1/completions', { ...GREEDY, echo: true }],
  echoLogprobs: ['POST', '/v1/completions', { ...GREEDY, echo: true, logprobs: 1, max_tokens: 0 }],
  logprobs0: ['POST', '/v1/completions', { ...GREEDY, logprobs: 0 }],
  logprobsTrue: ['POST', '/v1/completions', { ...GREEDY, logprobs: true, top_logprobs: 2, max_tokens: 2 }],
  logprobs2: ['POST', '/v1/completions', { ...GREEDY, logprobs: 2, max_tokens: 2 }],
  logprobs100: ['POST', '/v1/completions', { ...GREEDY, logprobs: 100, max_tokens: 1 }],
  n2: ['POST', '/v1/completions', { ...GREEDY, n: 2 }],
  n9: ['POST', '/v1/completions', { ...GREEDY, n: 9 }],
  bias: ['POST', '/v1/completions', { ...GREEDY, logit_bias: { 12: -100 } }],
  promptLogprobs: ['POST', '/v1/completions', { ...GREEDY, prompt_logprobs: 1 }],
  tokenIds: ['POST', '/v1/completions', { ...GREEDY, return_token_ids: true, return_tokens: true }],
  unknownField: ['POST', '/v1/completions', { ...GREEDY, no_such_field: 1 }],
  unknownModel: ['POST', '/v1/completions', { ...GREEDY, model: 'no-such-model' }],
  badValue: ['POST', '/v1/completions', { ...GREEDY, temperature: 'warm' }],
  negativeTemperature: ['POST', '/v1/completions', { ...GREEDY, temperature: -1 }],
  badJson: ['POST', '/v1/completions', '{"prompt": '],
  tooLong: ['POST', '/v1/completions', { ...GREEDY, prompt: 'one two '.repeat(400) }],
  emptyPrompt: ['POST', '/v1/completions', { ...GREEDY, prompt: '' }],
  stream: ['POST', '/v1/completions', { ...GREEDY, stream: true }],
  streamUsage: ['POST', '/v1/completions', { ...GREEDY, stream: true, stream_options: { include_usage: true } }],
  streamLogprobs: ['POST', '/v1/completions', { ...GREEDY, stream: true, logprobs: 1, max_tokens: 2 }],
  streamLogprobsTrue: ['POST', '/v1/completions', { ...GREEDY, stream: true, logprobs: true, max_tokens: 2 }],
  streamN: ['POST', '/v1/completions', { ...GREEDY, stream: true, n: 2, max_tokens: 2 }],
  chat: ['POST', '/v1/chat/completions', { ...CHAT, logprobs: true, top_logprobs: 1 }],
  chatStream: ['POST', '/v1/chat/completions', { ...CHAT, stream: true, max_tokens: 2 }],
};

const answers = {};
for (const [name, [method, path, body]] of Object.entries(QUESTIONS)) {
  if (without.split(',').includes(name)) {
    continue;
  }
  answers[name] = await ask(method, path, body);
}
writeFileSync(file, `${JSON.stringify(answers, null, 1)}\n`);

async function ask(method, path, body) {
  const sent = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const question = { method, path, ...(body !== undefined && { body }) };
  try {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url + path, { method, headers, body: sent, signal: AbortSignal.timeout(20_000) });
    const type = response.headers.get('content-type');
    return { question, status: response.status, type, answer: readable(await response.text()) };
  } catch (error) {
    return { question, failed: String(error.cause ?? error) };
  }
}

/** JSON as such, anything else as its text. */
function readable(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
