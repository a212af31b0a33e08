// /v1/chat/completions over a real socket, with a model whose tokens are bytes.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../src/library/model.js';
import { kvgenJsonHere } from '../cli/here.js';
import { hasProc } from '../cli/run.js';
import { END, IDS, START, writeChatModel } from '../support/chat-folder.js';
import { open } from '../support/open.js';
import { eventsOf, jsonOf, type Serving, serving } from '../support/serving.js';
import { tempDirs } from '../support/temp-dir.js';

const dir = tempDirs()();
const MESSAGES = [{ role: 'user', content: 'Hi' }];
const BOX = { messages: MESSAGES, max_completion_tokens: 12, seed: 3, ignore_eos: true };

let model: Model;
let server: Serving;

beforeAll(async () => {
  writeChatModel(dir);
  model = await open(dir, { backend: 'simd', engine: 'auto' });
  server = await serving(model, { concurrency: 2 });
});

afterAll(async () => {
  await server.close();
  model.dispose();
});

async function chat(body: object) {
  const response = await server.post('/v1/chat/completions', body);
  const json = await jsonOf(response);
  expect(response.status, JSON.stringify(json)).toBe(200);
  return json;
}

async function refused(body: object) {
  const response = await server.post('/v1/chat/completions', body);
  const { error } = await jsonOf(response);
  return [response.status, error.param, error.message];
}

describe('a chat', () => {
  it('is answered as the command does it', async () => {
    const { json } = await kvgenJsonHere(
      // biome-ignore format: as it is typed
      ['-m', dir, '--backend', 'simd', '--chat', '--temp', '1', '--top-k', '0', '--top-p', '1', '-n', '12', '--seed', '3', '--ignore-eos', 'Hi'],
    );
    const { choices, usage, ...head } = await chat(BOX);
    expect(choices).toEqual([
      {
        index: 0,
        message: { role: 'assistant', content: json.text, refusal: null },
        logprobs: null,
        finish_reason: 'length',
      },
    ]);
    expect(usage).toMatchObject({ prompt_tokens: json.prompt_tokens, completion_tokens: 12 });
    expect(head).toMatchObject({ object: 'chat.completion', id: expect.stringMatching(/^chatcmpl-/), model: 'test' });
  });

  it('renders all turns, parts of text on lines of their own', async () => {
    const parts = ['a', 'b'].map((text) => ({ type: 'text', text }));
    const messages = [
      { role: 'developer', content: 'Be brief.' },
      { role: 'user', content: parts },
      { role: 'assistant', content: 'c', refusal: null, tool_calls: [] },
      { role: 'user', content: 'd' },
    ];
    const { choices } = await chat({ ...BOX, messages, max_completion_tokens: 1, return_token_ids: true });
    const ids: number[] = choices[0].prompt_token_ids;
    const special = new Map<number, string>([
      [IDS[START], START],
      [IDS[END], END],
    ]);
    const turns = [
      ['system', 'Be brief.'],
      ['user', 'a\nb'],
      ['assistant', 'c'],
      ['user', 'd'],
    ];
    const text = turns.map(([role, content]) => `${START}${role}\n${content}${END}\n`).join('');
    expect(ids.length).toBe(`${text}${START}assistant\n`.replaceAll(START, 'S').replaceAll(END, 'E').length);
    expect(ids.filter((id) => special.has(id)).length).toBe(9);
  });

  it('has log-probabilities with the bytes of each token', async () => {
    const { choices } = await chat({ ...BOX, logprobs: true, top_logprobs: 2, max_completion_tokens: 2 });
    const { content } = choices[0].logprobs;
    expect(content).toHaveLength(2);
    const token = { id: expect.any(Number), token: expect.any(String), logprob: expect.any(Number) };
    const named = { ...token, bytes: [expect.any(Number)] };
    expect(content[0]).toEqual({ ...named, bytes: expect.any(Array), top_logprobs: expect.any(Array) });
    expect(content[0].top_logprobs).toHaveLength(2);
    expect(content[0].top_logprobs[0].logprob).toBeGreaterThanOrEqual(content[0].top_logprobs[1].logprob);
  });

  it('streams the role first, and then the same text', async () => {
    const { choices } = await chat({ ...BOX, n: 2 });
    const events = await eventsOf(await server.post('/v1/chat/completions', { ...BOX, n: 2, stream: true }));
    for (const { index, message } of choices) {
      const own = events.map((event) => event.choices[0]).filter((choice) => choice.index === index);
      expect(own[0].delta).toEqual({ role: 'assistant', content: '' });
      expect(own.map(({ delta }) => delta.content ?? '').join('')).toBe(message.content);
      expect(own.at(-1)).toMatchObject({ delta: {}, finish_reason: 'length' });
    }
    expect(events[0].object).toBe('chat.completion.chunk');
  });

  it('goes to the end of the context where it does not say', async () => {
    const { usage } = await chat({ ...BOX, max_completion_tokens: undefined });
    expect(usage.total_tokens).toBe(1024);
  });
});

describe('refused by name', () => {
  it.each([
    [{}, 'messages', 'messages: expected a list of at least one message, found nothing'],
    [{ messages: [] }, 'messages', 'messages: expected a list of at least one message, found []'],
    [{ messages: ['x'] }, 'messages[0]', 'messages[0]: expected an object with role and content, found "x"'],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content', 'messages[0].content: expected a text, found nothing'],
    [
      { messages: [{ role: 'user', content: 'a', name: 'b' }] },
      'messages[0].name',
      '"messages[0].name": unknown parameter; leave it out',
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      'messages[0].content[0]',
      'messages[0].content[0]: expected {"type":"text","text":…} alone, found {"type":"image_url"}',
    ],
    [{ ...BOX, tools: [{}] }, 'tools', 'tools: tools are not done; leave it out'],
    [
      { ...BOX, response_format: { type: 'json_object' } },
      'response_format',
      'response_format: text is all that is done',
    ],
    [{ ...BOX, top_logprobs: 2 }, 'top_logprobs', 'top_logprobs: only with logprobs: true'],
    [{ ...BOX, max_tokens: 3 }, 'max_tokens', 'max_tokens 3: max_completion_tokens is another, 12'],
    [{ ...BOX, prompt: 'x' }, 'prompt', '"prompt": unknown parameter; leave it out'],
    [{ ...BOX, echo: true }, 'echo', '"echo": unknown parameter; leave it out'],
  ])('%j', async (body, param, message) => {
    expect(await refused(body)).toEqual([400, param, message]);
  });

  it('asks for nothing: accepted', async () => {
    await chat({ ...BOX, tools: [], tool_choice: 'none', response_format: { type: 'text' }, max_tokens: 12 });
  });
});

/** Of the process that renders templates. */
function rendererPid(): number | undefined {
  const own = readdirSync('/proc').filter((name) => {
    try {
      const isChild = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === `${process.pid}`;
      return isChild && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes('template-worker');
    } catch {
      return false; // no process, or it has ended
    }
  });
  return own[0] === undefined ? undefined : Number(own[0]);
}

describe.runIf(hasProc)('the process that renders', () => {
  it('is started again after its end', async () => {
    await chat({ ...BOX, max_completion_tokens: 1 });
    const pid = rendererPid() as number;
    process.kill(pid, 'SIGKILL');
    while (existsSync(`/proc/${pid}`)) {
      await sleep(10);
    }
    await chat({ ...BOX, max_completion_tokens: 1 });
    expect(rendererPid()).toBeDefined();
  });
});
