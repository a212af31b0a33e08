// The client that most programs use, OpenAI's own npm package, talks to kvgen serve: what it sends is understood, and what it gets
// is what it expects.

import OpenAI, {
  APIConnectionError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generate } from '../../src/library/generate-text.js';
import type { Model } from '../../src/library/model.js';
import { writeChatModel } from '../support/chat-folder.js';
import { open } from '../support/open.js';
import { type Serving, serving } from '../support/serving.js';
import { tempDirs } from '../support/temp-dir.js';

const PROMPT = 'Once upon a time';
const GREEDY = { model: 'test', prompt: PROMPT, max_tokens: 24, temperature: 0 } as const;

/** The machine may have much else to do. */
const PATIENT = { timeout: 20_000 };

const tempDir = tempDirs();
let stories: Model;
let chatModel: Model;
let server: Serving;
let chatServer: Serving;

beforeAll(async () => {
  stories = await open('models/stories', { backend: 'simd', engine: 'auto' });
  chatModel = await open(writeChatModel(tempDir()), { backend: 'simd', engine: 'auto' });
  server = await serving(stories);
  chatServer = await serving(chatModel, { key: 'secret', concurrency: 1, queue: 0 });
});

afterAll(async () => {
  await Promise.all([server.close(), chatServer.close()]);
  stories.dispose();
  chatModel.dispose();
});

const client = () => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any', maxRetries: 0 });
const chatClient = (apiKey = 'secret') => new OpenAI({ baseURL: `${chatServer.url}/v1`, apiKey, maxRetries: 0 });

/** The tokens that the library gives. */
async function tokensOf(model: Model, prompt: string, maxTokens: number, logprobs?: number) {
  const tokens = [];
  for await (const token of generate(model, prompt, {
    temperature: 0,
    maxTokens,
    ...(logprobs !== undefined && { logprobs }),
  })) {
    tokens.push(token);
  }
  return tokens;
}

async function greedyText(): Promise<string> {
  return (await tokensOf(stories, PROMPT, 24)).map(({ text }) => text).join('');
}

describe('completions', () => {
  it('are the text of the library, with usage', async () => {
    const { choices, usage, object } = await client().completions.create(GREEDY);
    expect(choices.map(({ text, finish_reason: reason }) => [text, reason])).toEqual([[await greedyText(), 'length']]);
    expect([object, usage?.prompt_tokens, usage?.completion_tokens, usage?.total_tokens]).toEqual([
      'text_completion',
      4,
      24,
      28,
    ]);
  });

  it('stream to the same text, and end with usage', async () => {
    const stream = await client().completions.create({
      ...GREEDY,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) {
      chunks.push(chunk);
    }
    expect(chunks.flatMap(({ choices }) => choices.map(({ text }) => text)).join('')).toBe(await greedyText());
    expect(chunks.length).toBeGreaterThan(20); // a chunk a token, not one at the end
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 24 } });
  });

  it('take ids as a prompt, and several prompts', async () => {
    const [{ ids, text }] = [await encoded(PROMPT)];
    const { choices } = await client().completions.create({ ...GREEDY, prompt: [ids, ids] });
    expect(choices.map((choice) => choice.text)).toEqual([text, text]);
  });

  it('give log-probabilities as lists', async () => {
    const { choices } = await client().completions.create({ ...GREEDY, max_tokens: 3, logprobs: 2 });
    const tokens = await tokensOf(stories, PROMPT, 3, 2);
    const { logprobs } = choices[0] as OpenAI.CompletionChoice;
    expect(logprobs?.tokens).toEqual(tokens.map(({ text }) => text));
    expect(logprobs?.token_logprobs).toEqual(tokens.map(({ logprob }) => expect.closeTo(logprob as number, 9)));
    expect(Object.values(logprobs?.top_logprobs?.[0] ?? {})).toEqual(
      tokens[0]?.top?.map(({ logprob }) => expect.closeTo(logprob, 9)),
    );
  });

  it('give n different texts of a seed, the same ones again', async () => {
    const ask = () => client().completions.create({ ...GREEDY, temperature: 1, seed: 3, n: 3 });
    const [once, twice] = [await ask(), await ask()];
    const texts = once.choices.map(({ text }) => text);
    expect(new Set(texts).size).toBe(3);
    expect(twice.choices.map(({ text }) => text)).toEqual(texts);
  });

  it('end in a stream that the client leaves, and the place is free again', async () => {
    const stream = await client().completions.create({ ...GREEDY, max_tokens: 400, stream: true });
    for await (const _ of stream) {
      break; // leaves it
    }
    const abort = new AbortController();
    const aborted = client().completions.create({ ...GREEDY, max_tokens: 400, n: 4 }, { signal: abort.signal });
    aborted.catch(() => {}); // until it is looked at
    await expect.poll(() => running(server), PATIENT).toBeGreaterThan(1);
    abort.abort();
    await expect(aborted).rejects.toThrow(APIUserAbortError);
    const { choices } = await client().completions.create(GREEDY);
    expect(choices[0]?.text).toBe(await greedyText());
    const gone = () => server.lines.filter((line) => line.includes('the client went away')).length;
    await expect.poll(gone, PATIENT).toBe(2);
  });
});

describe('chats', () => {
  const CHAT = { model: 'test', messages: [{ role: 'user', content: 'Hello' }], temperature: 0 } as const;
  const RENDERED = '<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n';

  it('are the text that follows the template', async () => {
    const tokens = await tokensOf(chatModel, RENDERED, 8, 1);
    const completion = await chatClient().chat.completions.create({
      ...CHAT,
      messages: [...CHAT.messages],
      max_completion_tokens: 8,
      logprobs: true,
      top_logprobs: 1,
    });
    const [choice] = completion.choices;
    expect(choice?.message).toMatchObject({ role: 'assistant', content: tokens.map(({ text }) => text).join('') });
    expect(choice?.logprobs?.content?.map(({ logprob }) => logprob)).toEqual(
      tokens.map(({ logprob }) => expect.closeTo(logprob as number, 9)),
    );
    expect(choice?.logprobs?.content?.[0]?.top_logprobs).toHaveLength(1);
    expect(completion.usage?.completion_tokens).toBe(8);
  });

  it('stream, with the helpers of the package', async () => {
    const runner = chatClient().chat.completions.stream({ ...CHAT, messages: [...CHAT.messages], max_tokens: 8 });
    const pieces: string[] = [];
    runner.on('content', (delta) => pieces.push(delta));
    const text = await runner.finalContent();
    expect(text).toBe((await tokensOf(chatModel, RENDERED, 8)).map((token) => token.text).join(''));
    expect(pieces.join('')).toBe(text);
    expect((await runner.finalChatCompletion()).choices[0]?.finish_reason).toBe('length');
  });

  it('are refused by name for a model without a template', async () => {
    const asked = client().chat.completions.create({ ...CHAT, messages: [...CHAT.messages] });
    await expect(asked).rejects.toThrow(/chat template/);
    await expect(asked).rejects.toThrow(BadRequestError);
  });
});

describe('models and errors', () => {
  it('are listed, and found by name', async () => {
    const names = [];
    for await (const { id } of client().models.list()) {
      names.push(id);
    }
    expect(names).toEqual(['test']);
    expect((await client().models.retrieve('test')).owned_by).toBe('kvgen');
    await expect(client().models.retrieve('none')).rejects.toThrow(NotFoundError);
  });

  it('are those of the classes of the package, with the parameter', async () => {
    const wrong = client().completions.create({ ...GREEDY, temperature: -1 });
    await expect(wrong).rejects.toMatchObject({ status: 400, param: 'temperature', type: 'invalid_request_error' });
    await expect(wrong).rejects.toThrow(BadRequestError);
    await expect(client().completions.create({ ...GREEDY, suffix: 'x' })).rejects.toMatchObject({ param: 'suffix' });
    await expect(client().completions.create({ ...GREEDY, model: 'gpt-5' })).rejects.toThrow(NotFoundError);
    await expect(chatClient('wrong').models.list()).rejects.toThrow(AuthenticationError);
  });

  it('say when to come again where the queue is full, and the package does', async () => {
    const long = { model: 'test', prompt: 'a', max_tokens: 900, temperature: 0, extra: undefined };
    const abort = new AbortController();
    const first = chatClient()
      .completions.create({ ...long }, { signal: abort.signal })
      .catch(() => {});
    await expect.poll(() => running(chatServer), PATIENT).toBe(1);
    await expect(chatClient().completions.create(long)).rejects.toThrow(RateLimitError);
    const patient = new OpenAI({ baseURL: `${chatServer.url}/v1`, apiKey: 'secret', maxRetries: 5 });
    const waiting = patient.completions.create({ ...long, max_tokens: 1 });
    abort.abort();
    await first;
    expect((await waiting).usage?.completion_tokens).toBe(1);
  });

  it('is a connection error where nobody listens', async () => {
    const nobody = new OpenAI({ baseURL: 'http://127.0.0.1:1/v1', apiKey: 'any', maxRetries: 0 });
    await expect(nobody.models.list()).rejects.toThrow(APIConnectionError);
  });
});

async function encoded(text: string) {
  const ids = (await stories.tokenizer?.encode(text)) as number[];
  return { ids, text: await greedyText() };
}

/** Texts that are generated at the moment. */
async function running({ url }: Serving): Promise<number> {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: 'Bearer secret' } });
  return Number(/^kvgen_texts_running (\d+)/m.exec(await response.text())?.[1]);
}
