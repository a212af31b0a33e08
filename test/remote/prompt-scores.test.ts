// Scores of a prompt by a server: of kvgen serve and of one with vLLM's shapes, compared with the engine's own; and what is refused.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../src/library/model.js';
import { Connection } from '../../src/remote/connection.js';
import { PromptScores } from '../../src/remote/prompt-scores.js';
import { servedModel } from '../../src/remote/served-model.js';
import { logprobOf } from '../../src/sampling/logprobs.js';
import { startVllmStub, type VllmOptions } from '../servers/vllm-stub.js';
import { open } from '../support/open.js';
import { serving } from '../support/serving.js';

const NEVER = new AbortController().signal;

let model: Model;
let ids: number[];
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  model = await open('models/stories', { backend: 'simd', engine: 'auto' });
  ids = (await model.tokenizer?.encode('One day, a big dog wanted to play in the park with Lily and Tom.')) as number[];
});
afterAll(() => model.dispose());
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});

async function scoresAt(url: string): Promise<PromptScores> {
  const connection = new Connection({ server: url });
  return new PromptScores(connection, await servedModel(connection, {}, NEVER), null);
}

async function vllm(options: VllmOptions = {}) {
  const stub = await startVllmStub(model, options);
  closing.push(stub.close);
  return { stub, scores: await scoresAt(stub.url) };
}

/** A server that says little of itself and answers every question with this choice; null: it refuses. */
async function answering(choice: object | ((body: Record<string, unknown>) => object | null), owner = 'some') {
  const server = createServer(async (request, response) => {
    const asked = await text(request);
    const isModels = request.url === '/v1/models';
    const found = asked === '' ? null : typeof choice === 'function' ? choice(JSON.parse(asked)) : choice;
    response.writeHead(isModels || found !== null ? 200 : asked === '' ? 404 : 400, {
      'content-type': 'application/json',
    });
    const models = { data: [{ id: 'some', owned_by: owner }] };
    const answer = found === null ? { error: { message: 'no such thing' } } : { choices: [found] };
    response.end(JSON.stringify(isModels ? models : answer));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  closing.push(async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });
  return scoresAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

function expected(): unknown[] {
  const wanted = ids.slice(1).map((_, i) => i);
  const logits = model.engine.forward({ ids: [ids.slice(0, -1)], wanted }, null);
  return ids.slice(1).map((id, i) => expect.closeTo(logprobOf(logits[i] as Float32Array, id), 6));
}

describe('the scores of a prompt', () => {
  it('are those of the engine, from kvgen serve', async () => {
    const server = await serving(model);
    closing.push(server.close);
    const scores = await scoresAt(server.url);
    expect(scores.nCtx).toBe(512);
    expect(await scores.logprobs(ids, NEVER)).toEqual(expected());
  });

  it('are those of the engine, from vLLM, each time with a salt of its own', async () => {
    const { stub, scores } = await vllm({ skipsCachedLogprobs: true });
    expect(scores.nCtx).toBe(511); // a token must follow
    expect(await scores.logprobs(ids, NEVER)).toEqual(expected());
    expect(await scores.logprobs(ids, NEVER)).toEqual(expected());
    const salts = stub.requests.map(({ cache_salt: salt }) => salt);
    expect(new Set(salts).size).toBe(2);
    expect(stub.requests[0]).toMatchObject({ prompt: ids, max_tokens: 1, prompt_logprobs: 1 });
  });

  it('are counted: tokens that are left out are an error', async () => {
    const scores = await answering({
      logprobs: { tokens: ['a', 'b'], token_logprobs: [null, -1], top_logprobs: null, text_offset: [0, 1] },
    });
    await expect(scores.logprobs([1, 2, 3], NEVER)).rejects.toThrow(
      /expected 2 log-probabilities of a prompt of 3 tokens, found 1; does it leave some out\?$/,
    );
    await expect((await answering({ text: 'x' })).logprobs([1, 2, 3], NEVER)).rejects.toThrow(/found 0/);
  });

  it('are of the ids that were sent', async () => {
    const tokens = ['token_id:1', 'token_id:7', 'token_id:3'];
    const scores = await answering({ logprobs: { tokens, token_logprobs: [null, -1, -2] } });
    await expect(scores.logprobs([1, 2, 3], NEVER)).rejects.toThrow(/expected the token id 2 at 1, found 7/);
    expect(await scores.logprobs([1, 7, 3], NEVER)).toEqual([-1, -2]);
  });

  it('are echoed where there are no prompt_logprobs, which is found out once', async () => {
    const bodies: Record<string, unknown>[] = [];
    const echo = { logprobs: { tokens: ['token_id:1', 'token_id:2'], token_logprobs: [null, -2] } };
    const scores = await answering((body) => {
      bodies.push(body);
      return body.echo === true ? echo : { text: 'x' };
    }, 'vllm');
    expect(await scores.logprobs([1, 2], NEVER)).toEqual([-2]);
    expect(await scores.logprobs([1, 2], NEVER)).toEqual([-2]);
    expect(bodies.map(({ echo: isEcho, max_tokens: most }) => [isEcho, most])).toEqual([
      [undefined, 1],
      [true, 0],
      [true, 0],
    ]);
    expect(new Set(bodies.map(({ cache_salt: salt }) => salt)).size).toBe(3);
  });

  it('come with one token more where none is refused', async () => {
    const echo = { logprobs: { tokens: ['a', 'b', 'c'], token_logprobs: [null, -2, -3] } };
    const scores = await answering(({ max_tokens: most }) => (most === 0 ? null : echo));
    expect(await scores.logprobs([1, 2], NEVER)).toEqual([-2]);
  });

  it('are refused with the reason of the server', async () => {
    const scores = await answering(() => null);
    await expect(scores.logprobs([1, 2], NEVER)).rejects.toThrow(/ answers 400: no such thing$/);
  });

  it('are a number each, also where nothing is left of a token', async () => {
    const scores = await answering({ logprobs: { tokens: ['a', 'b'], token_logprobs: [null, null] } });
    await expect(scores.logprobs([1, 2], NEVER)).rejects.toThrow(/found 0/);
  });
});
