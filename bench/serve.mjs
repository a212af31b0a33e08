// Load on `kvgen serve`, and on llama.cpp's server with the same model: clients that each send a request as soon as the one
// before is answered, over loopback. Every prompt begins with the same ids and has some of its own. Prints a Markdown table.
// Best run with nothing else running: clients and server share the cores.
//
//     node bench/serve.mjs [options]                                  (needs `npm run build`)
//       --model stories            what kvgen serves; a GGUF file can be given to both
//       --weights int8  --backend simd
//       --llama FILE.gguf          llama.cpp's server too, on this file; with
//       --python PATH              a Python that has xllamacpp (default: python3)
//       --clients 1,8,32  --requests 4     of each client
//       --shared 80  --own 20  --tokens 64
//       --concurrency 0            texts that a server decodes together; 0: as many as there are clients

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'stories' },
    weights: { type: 'string', default: 'int8' },
    backend: { type: 'string', default: 'simd' },
    llama: { type: 'string' },
    python: { type: 'string', default: 'python3' },
    clients: { type: 'string', default: '1,8,32' },
    requests: { type: 'string', default: '4' },
    shared: { type: 'string', default: '80' },
    own: { type: 'string', default: '20' },
    tokens: { type: 'string', default: '64' },
    concurrency: { type: 'string', default: '0' },
  },
});
const [requests, shared, own, tokens] = [options.requests, options.shared, options.own, options.tokens].map(Number);
const CLIENTS = options.clients.split(',').map(Number);
const BIN = fileURLToPath(new URL('../bin/kvgen.js', import.meta.url));
const LLAMA = fileURLToPath(new URL('peers/llama_cpp_server.py', import.meta.url));
const IDS = 2000; // ids that every vocabulary here has
let asked = 0;

const SERVERS = [
  { name: 'kvgen', start: startKvgen },
  ...(options.llama === undefined ? [] : [{ name: 'llama.cpp', start: startLlama }]),
];

console.log(
  `${options.model}: prompts of ${shared} + ${own} ids, ${tokens} new tokens, ${requests} requests of each client\n`,
);
console.log(
  '| server | clients | tokens/s | first token p50, ms | p95 | between tokens p50, ms | p95 | reused |\n|---|---:|---:|---:|---:|---:|---:|---:|',
);
for (const clients of CLIENTS) {
  for (const { name, start } of SERVERS) {
    const server = await start(Number(options.concurrency) || clients);
    await measure(server, clients, 1); // one round warms up
    const result = await measure(server, clients, requests);
    await server.stop();
    console.log(`| ${[name, clients, ...rowOf(result)].join(' | ')} |`);
  }
}

function startKvgen(concurrency) {
  const args = [
    'serve',
    '-m',
    options.model,
    '--backend',
    options.backend,
    '--weights',
    options.weights,
    '--port',
    '0',
  ];
  const child = spawn(process.execPath, [BIN, ...args, '--concurrency', String(concurrency), '--queue', '1000'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return started(child, child.stderr, /http:\/\/[^/]+/);
}

function startLlama(concurrency) {
  const context = Math.max(256, shared + own + tokens + 8);
  const child = spawn(options.python, [LLAMA, options.llama, String(concurrency), String(context)], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  return started(child, child.stdout, /http:\/\/\S+/);
}

/** A server, when a line says where it listens. */
async function started(child, output, address) {
  const said = [];
  for await (const line of createInterface(output)) {
    said.push(line);
    const [url] = address.exec(line) ?? [];
    if (url !== undefined) {
      output.resume();
      const { data } = await (await fetch(`${url}/v1/models`)).json();
      return { url, model: data[0].id, stop: () => stop(child) };
    }
  }
  throw new Error(`the server did not start: ${said.join(' ')}`);
}

async function stop(child) {
  const ended = once(child, 'exit');
  child.kill();
  await ended;
}

/** All requests, as many clients at a time. */
async function measure(server, clients, each) {
  const agent = new Agent({ maxSockets: clients });
  const start = performance.now();
  const answers = await Promise.all(
    Array.from({ length: clients }, async () => {
      const own = [];
      for (let i = 0; i < each; i++) {
        own.push(await ask(server, agent));
      }
      return own;
    }),
  );
  agent.destroy();
  return { answers: answers.flat(), ms: performance.now() - start };
}

/** One request; when each of its tokens came. */
async function ask(server, agent) {
  const number = asked++;
  const prompt = [
    ...Array.from({ length: shared }, (_, i) => (i * 7919) % IDS),
    ...Array.from({ length: own }, (_, i) => (i * 104729 + number * 31 + 7) % IDS),
  ];
  const body = JSON.stringify({
    model: server.model,
    prompt,
    max_tokens: tokens,
    temperature: 0.8,
    top_k: 40,
    top_p: 0.95,
    min_p: 0,
    seed: number,
    stream: true,
    stream_options: { include_usage: true },
  });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const { start, response } = await answered(() => {
    const sent = request(`${server.url}/v1/completions`, { method: 'POST', agent, headers });
    sent.on('error', () => {}); // `once` hears the first; a closed connection may tell of more
    sent.end(body);
    return sent;
  });
  const times = [];
  let text = '';
  let last = '';
  for await (const chunk of response.setEncoding('utf8')) {
    const now = performance.now() - start;
    text += chunk;
    const events = text.split('\n\n');
    text = events.pop();
    for (const event of events) {
      if (event.includes('"finish_reason":null')) {
        times.push(now);
      }
      last = event.includes('"usage":{') ? event : last;
    }
  }
  if (response.statusCode !== 200 || last === '') {
    throw new Error(`${response.statusCode}: ${text}`);
  }
  const { usage } = JSON.parse(last.slice(last.indexOf('{')));
  return { times, count: usage.completion_tokens, reused: usage.prompt_tokens_details?.cached_tokens ?? 0 };
}

/** llama.cpp's server now and then closes a new connection without a word: such a request is sent again. */
async function answered(send) {
  for (let tries = 1; ; tries++) {
    const start = performance.now();
    try {
      const [response] = await once(send(), 'response');
      return { start, response };
    } catch (error) {
      if (tries === 20) {
        throw error;
      }
    }
  }
}

function rowOf({ answers, ms }) {
  const first = answers.map(({ times: [time] }) => time);
  const between = answers.flatMap(({ times }) => times.slice(1).map((time, i) => time - times[i]));
  const count = answers.reduce((sum, answer) => sum + answer.count, 0);
  const reused = answers.reduce((sum, answer) => sum + answer.reused, 0) / answers.length;
  const at = (times, share) => round(times.toSorted((a, b) => a - b)[Math.floor(share * (times.length - 1))]);
  return [
    round((1000 * count) / ms),
    at(first, 0.5),
    at(first, 0.95),
    at(between, 0.5),
    at(between, 0.95),
    `${Math.round(reused)} of ${shared + own}`,
  ];
}

function round(value) {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
