// `npm run stress:serve -- --requests 10000`: many clients at once on `kvgen serve`, some of which go away at random moments, read
// slowly or send what is no request. Every text must be the one that `kvgen batch` writes, nothing may be lost or hang, and the
// server's memory must be what it was after the first tenth. Exits 1 when something was found.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Random } from './random.js';

const BIN = fileURLToPath(new URL('../bin/kvgen.js', import.meta.url));
const MACHINE = ['-m', 'stories', '--backend', 'simd', '--weights', 'int8'];
/** A request that takes longer hangs. */
const LONGEST_MS = 60_000;
const MEMORY_TOLERANCE = 0.05;
/** By this signal the server gives back what it no longer needs: when Node does so by itself is a matter of minutes, and of chance. */
const TIDIES = ['--expose-gc', '--import', "data:text/javascript,process.on('SIGUSR2',()=>{gc();gc()})"];

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '10000' },
    clients: { type: 'string', default: '48' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
});
const [requests, clients, seed] = [values.requests, values.clients, values.seed].map(Number);
const say = (line) => process.stdout.write(`${line}\n`);

/** What is asked, in the words of both. */
const BEGINNINGS = ['Once upon a time', 'The dog', 'Tom and Sue went to the park. They', 'One day, a small bird '];
const QUESTIONS = Array.from({ length: 48 }, (_, i) => ({
  prompt: BEGINNINGS[i % BEGINNINGS.length].repeat(1 + (i % 7)),
  max_tokens: 1 + ((i * 5) % 24),
  temperature: i % 3 === 0 ? 0 : 0.9,
  top_p: 0.95,
  seed: i,
}));
/** Bodies that are no request. */
const GARBAGE = [
  '',
  '{',
  '[]',
  'null',
  '{"prompt":1}',
  '{"prompt":"a","max_tokens":-5}',
  '{"prompt":"a","temperature":"hot"}',
  '{"prompt":"a","nonsense":1}',
  '{"prompt":[99999999]}',
  '{"prompt":"a","n":100000}',
  `{"prompt":"${'word '.repeat(3000)}"}`,
  '{"model":"another","prompt":"a"}',
  '{"prompt":"\\ud800","stop":[1]}',
  `${'['.repeat(5000)}`,
];
/** How often each kind of client comes. */
const KINDS = { whole: 46, stream: 18, leave: 16, slow: 4, garbage: 12, noise: 4 };

const CLIENTS = { whole, stream, leave, slow, garbage, noise };
const counts = Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, 0]));
let findings = 0;
let begun = 0;
let slowest = 0;

say(`stress:serve: seed ${seed}, ${requests} requests of ${clients} clients`);
const expected = textsOfBatch();
const server = await start();
await load(requests / 10);
const before = await memoryAtRest();
await load(requests);
const after = await memoryAtRest();
say(`memory at rest: ${megabytes(before)} after a tenth, ${megabytes(after)} at the end`);
if (Math.abs(after - before) > MEMORY_TOLERANCE * before) {
  finding('memory is not what it was');
}
server.child.kill('SIGTERM');
const [code] = await once(server.child, 'exit');
if (code !== 0) {
  finding(`the server ended with ${code}`);
}
const kinds = Object.entries(counts).map(([kind, count]) => `${kind} ${count}`);
say(
  `stress:serve: ${begun} requests (${kinds.join(', ')}), the slowest ${Math.round(slowest)} ms, ${findings} findings`,
);
process.exitCode = findings === 0 ? 0 : 1;

/** The texts of all questions, by the command. */
function textsOfBatch() {
  const lines = QUESTIONS.map((question, id) => JSON.stringify({ id, ...question, top_k: 0 }));
  const options = { input: lines.join('\n'), encoding: 'utf8', maxBuffer: 2 ** 28 };
  const { stdout, status } = spawnSync(process.execPath, [BIN, 'batch', ...MACHINE], options);
  if (status !== 0) {
    throw new Error(`kvgen batch ended with ${status}`);
  }
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).text);
}

async function start() {
  const args = [...TIDIES, BIN, 'serve', ...MACHINE, '--port', '0', '--queue', String(clients)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const lines = createInterface(child.stderr);
  const [first] = await once(lines, 'line');
  lines.on('line', () => {}); // read, so that it does not wait for us
  const { port } = new URL(/http:\/\/\S+/.exec(first)?.[0] ?? '');
  return { child, port: Number(port) };
}

/** All clients, until so many requests have been sent. */
async function load(until) {
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (begun < until) {
        await one(begun++);
      }
    }),
  );
}

async function one(number) {
  const random = new Random(seed, number);
  const kind = kindFor(random.below(100));
  counts[kind]++;
  const start = performance.now();
  const wrong = await Promise.race([
    CLIENTS[kind](random).catch((error) => `it failed: ${error.message}`),
    sleep(LONGEST_MS, 'it hangs', { ref: false }),
  ]);
  slowest = Math.max(slowest, performance.now() - start);
  if (wrong !== undefined) {
    finding(`request ${number}, ${kind}: ${wrong}`);
  }
}

/** @param {number} place 0 … 99 */
function kindFor(place) {
  let end = 0;
  return Object.keys(KINDS).find((kind) => {
    end += KINDS[kind];
    return place < end;
  });
}

/** Each client returns what was wrong; undefined: nothing. */
async function whole(random) {
  const asked = random.below(QUESTIONS.length);
  const { status, body } = await answered(send(QUESTIONS[asked]));
  return status === 200 ? differs(JSON.parse(body).choices[0].text, asked) : `${status} ${body}`;
}

async function stream(random) {
  const asked = random.below(QUESTIONS.length);
  const { status, body } = await answered(send({ ...QUESTIONS[asked], stream: true }));
  return status === 200 ? differs(textOf(body), asked) : `${status} ${body}`;
}

/** Goes away: before the answer, at its beginning or within it. */
async function leave(random) {
  const sent = send({
    ...random.pick(QUESTIONS),
    max_tokens: 200,
    stream: random.chance(0.8),
    n: random.between(1, 3),
  });
  const gone = new Promise((resolve) => sent.once('close', resolve));
  sent.on('error', () => {});
  if (random.chance(0.5)) {
    await sleep(random.below(60));
  } else {
    const [response] = await Promise.race([once(sent, 'response'), sleep(2000, [])]);
    let left = random.below(8);
    response?.on('error', () => {});
    response?.on('data', () => {
      left-- > 0 || sent.destroy();
    });
    await Promise.race([gone, sleep(1000)]);
  }
  sent.destroy();
  await gone;
}

/** Reads a little, then waits. */
async function slow(random) {
  const asked = random.below(QUESTIONS.length);
  const sent = send({ ...QUESTIONS[asked], stream: true });
  const [response] = await once(sent, 'response');
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) {
    body += chunk;
    await sleep(random.below(40));
  }
  return differs(textOf(body), asked);
}

async function garbage(random) {
  const { status, body } = await answered(sendBody(random.pick(GARBAGE)));
  const { error } = JSON.parse(body);
  return status >= 400 && status < 500 && typeof error.message === 'string' ? undefined : `${status} ${body}`;
}

/** Bytes that are no HTTP, or the beginning of a request and no more. */
async function noise(random) {
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  const head =
    'POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{"pro';
  socket.write(
    random.chance(0.5) ? random.bytes(random.between(1, 300)) : head.slice(0, random.below(head.length + 1)),
  );
  await sleep(random.below(100));
  socket.destroy();
}

function send(question) {
  return sendBody(JSON.stringify({ model: 'stories', ...question }));
}

function sendBody(body) {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const sent = request({ port: server.port, path: '/v1/completions', method: 'POST', agent: false, headers });
  sent.end(body);
  return sent;
}

async function answered(sent) {
  const [response] = await once(sent, 'response');
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) {
    body += chunk;
  }
  return { status: response.statusCode, body };
}

/** The text of a stream; it must have come to its end. */
function textOf(body) {
  const events = body.split('\n\n').filter((event) => event !== '');
  if (events.pop() !== 'data: [DONE]') {
    throw new Error('the stream has no end');
  }
  return events.map((event) => JSON.parse(event.slice('data: '.length)).choices[0]?.text ?? '').join('');
}

function differs(text, asked) {
  return text === expected[asked]
    ? undefined
    : `expected ${JSON.stringify(expected[asked])}, found ${JSON.stringify(text)}`;
}

/** When nothing runs any more, bytes of the server's memory. */
async function memoryAtRest() {
  for (let tries = 0; ; tries++) {
    const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
    const busy = ['kvgen_requests_waiting', 'kvgen_texts_running'].filter((name) => !text.includes(`\n${name} 0\n`));
    if (busy.length === 0) {
      break;
    }
    if (tries === 100) {
      finding(`at rest there are still ${busy.join(' and ')}`);
      break;
    }
    await sleep(100);
  }
  server.child.kill('SIGUSR2');
  await sleep(3000);
  const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8')) ?? [];
  return 1024 * Number(kilobytes);
}

function finding(what) {
  findings++;
  say(`finding: ${what}`);
}

function megabytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}
