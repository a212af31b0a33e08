// /v1/completions over a real socket: the same texts as the command's, in OpenAI's form.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../src/library/model.js';
import { kvgenJsonHere } from '../cli/here.js';
import { open } from '../support/open.js';
import { eventsOf, jsonOf, type Serving, serving } from '../support/serving.js';

const STORIES = 'models/stories';
const PROMPT = 'Once upon a time';
const BOX = { prompt: PROMPT, max_tokens: 24, seed: 7, ignore_eos: true };

let model: Model;
let server: Serving;

beforeAll(async () => {
  model = await open(STORIES, { backend: 'simd', engine: 'auto' });
  server = await serving(model);
});

afterAll(async () => {
  await server.close();
  model.dispose();
});

async function complete(body: object) {
  const response = await server.post('/v1/completions', body);
  const json = await jsonOf(response);
  expect(response.status, JSON.stringify(json)).toBe(200);
  return json;
}

/** With the values that a request has where it does not say. */
async function command(...args: readonly string[]) {
  const given = ['-m', 'stories', '--backend', 'simd', '--temp', '1', '--top-k', '0', '--top-p', '1'];
  const { json } = await kvgenJsonHere([...given, '-n', '24', '--seed', '7', '--ignore-eos', ...args, PROMPT]);
  return json;
}

describe('a whole answer', () => {
  it('is the text of the command, in the form of OpenAI', async () => {
    const answer = await complete(BOX);
    const same = await command();
    expect(answer).toEqual({
      id: expect.stringMatching(/^cmpl-[0-9a-f]{32}$/),
      object: 'text_completion',
      created: expect.any(Number),
      model: 'test',
      system_fingerprint: 'test',
      choices: [{ index: 0, text: same.text, logprobs: null, finish_reason: same.finish_reason }],
      usage: {
        prompt_tokens: 4,
        completion_tokens: same.generation_tokens,
        total_tokens: 4 + same.generation_tokens,
        prompt_tokens_details: { cached_tokens: expect.any(Number) },
      },
    });
  });

  it('says 16 tokens where the request does not', async () => {
    expect((await complete({ prompt: PROMPT })).usage.completion_tokens).toBe(16);
  });

  it('gives n texts, of which text i has seed + i', async () => {
    const { choices, usage } = await complete({ ...BOX, n: 3 });
    const third = await command('--seed', '9');
    expect(choices.map(({ index }: { index: number }) => index)).toEqual([0, 1, 2]);
    expect(choices[2].text).toBe(third.text);
    expect(usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 72 });
  });

  it('takes texts, ids, and lists of either', async () => {
    const { prompt_ids: ids, text } = await command();
    const answers = await Promise.all([
      complete({ ...BOX, prompt: [PROMPT, PROMPT] }),
      complete({ ...BOX, prompt: ids }),
      complete({ ...BOX, prompt: [ids, ids] }),
    ]);
    const texts = answers.map(({ choices }) => choices.map((choice: { text: string }) => choice.text));
    expect(texts).toEqual([[text, text], [text], [text, text]]);
    expect(answers.map(({ usage }) => usage.prompt_tokens)).toEqual([8, 4, 8]);
  });

  it('stops before a stop string, which is no part of it', async () => {
    const { text } = await command();
    const stop = text.slice(20, 26);
    const { choices } = await complete({ ...BOX, stop: [stop] });
    expect(choices[0]).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finish_reason: 'stop' });
  });

  it('gives the ids where they are asked for', async () => {
    const same = await command();
    const { choices } = await complete({ ...BOX, return_token_ids: true });
    expect(choices[0]).toMatchObject({ token_ids: same.ids, prompt_token_ids: same.prompt_ids });
  });

  it('says what of the prompt was reused', async () => {
    await complete({ prompt: 'The dog saw a very big cat', max_tokens: 1 });
    const { usage } = await complete({ prompt: 'The dog saw a very small cat', max_tokens: 1 });
    expect(usage.prompt_tokens_details.cached_tokens).toBe(5);
  });
});

it('a prompt that goes on from an answer is not run again', async () => {
  const body = { prompt: 'In a small house there lived', max_tokens: 10, seed: 1, ignore_eos: true };
  const { choices } = await complete({ ...body, return_token_ids: true });
  const { prompt_token_ids: before, token_ids: answer } = choices[0];
  const { usage } = await complete({ prompt: [...before, ...answer, 5, 6], max_tokens: 1 });
  expect(usage.prompt_tokens_details.cached_tokens).toBe(before.length + answer.length - 1); // the last was not run
});

describe('log-probabilities', () => {
  it('are those of the command, in lists beside each other', async () => {
    const { tokens } = await command('--logprobs', '2');
    const { choices } = await complete({ ...BOX, logprobs: 2 });
    const { logprobs, text } = choices[0];
    expect(logprobs.token_logprobs).toEqual(tokens.map(({ logprob }: { logprob: number }) => logprob));
    expect(logprobs.tokens.join('').replace('<|endoftext|>', '')).toBe(text);
    expect(logprobs.text_offset.slice(0, 2)).toEqual([0, logprobs.tokens[0].length]);
    const [{ top }] = tokens;
    expect(logprobs.top_logprobs[0]).toMatchObject(
      Object.fromEntries(top.map((one: { text: string; logprob: number }) => [one.text, one.logprob])),
    );
  });

  it('score a prompt with echo and no new token', async () => {
    const same = await command('--logprobs', '0', '--echo', '-n', '0');
    const { choices, usage } = await complete({ ...BOX, max_tokens: 0, echo: true, logprobs: 0 });
    expect(choices[0].text).toBe(PROMPT);
    expect(choices[0].logprobs).toEqual({
      tokens: ['Once', ' upon', ' a', ' time'],
      token_logprobs: same.prompt_tokens_detail.map(({ logprob }: { logprob: number | null }) => logprob),
      top_logprobs: null,
      text_offset: [0, 4, 9, 11],
    });
    expect(usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 0, total_tokens: 4 });
  });

  it('name tokens by their ids where that is asked for', async () => {
    const { choices } = await complete({ ...BOX, max_tokens: 1, logprobs: 0, return_tokens_as_token_ids: true });
    expect(choices[0].logprobs.tokens).toEqual([expect.stringMatching(/^token_id:\d+$/)]);
  });
});

describe('a stream', () => {
  it('is joined the whole text, with its end and its usage', async () => {
    const { text } = await command();
    const body = { ...BOX, stream: true, echo: true, stream_options: { include_usage: true } };
    const response = await server.post('/v1/completions', body);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const events = await eventsOf(response);
    const last = events.pop();
    expect(last).toMatchObject({ choices: [], usage: { prompt_tokens: 4, completion_tokens: 24 } });
    const choices = events.map((event) => event.choices[0]);
    expect(choices.map((choice) => choice.text).join('')).toBe(PROMPT + text);
    expect(choices.map((choice) => choice.finish_reason)).toEqual([...choices.slice(1).map(() => null), 'length']);
    expect(events.every(({ usage }) => usage === null)).toBe(true);
  });

  it('gives the same log-probabilities as a whole answer', async () => {
    const body = { ...BOX, logprobs: 1, echo: true, n: 2 };
    const { choices } = await complete(body);
    const events = await eventsOf(await server.post('/v1/completions', { ...body, stream: true }));
    for (const whole of choices) {
      const parts = events.map((event) => event.choices[0]).filter(({ index }) => index === whole.index);
      for (const list of ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset']) {
        expect(parts.flatMap(({ logprobs }) => logprobs?.[list] ?? [])).toEqual(whole.logprobs[list]);
      }
    }
  });
});
