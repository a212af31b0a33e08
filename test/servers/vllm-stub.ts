// A server with vLLM's shapes over a model of kvgen, so that its texts can be checked: vLLM itself wants a GPU and 8 GB of
// packages. It answers what is in test/servers/README.md in vLLM's column, and refuses what vLLM refuses.
// Reference: vllm/entrypoints/openai/completion/protocol.py and serving.py of vllm-project/vllm.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CompletionToken } from '../../src/completion/complete.js';
import { generate } from '../../src/library/generate-text.js';
import type { GenerateOptions } from '../../src/library/library-options.js';
import type { Model } from '../../src/library/model.js';
import { type TokenLogprob, tokenLogprob } from '../../src/sampling/logprobs.js';
import { decodeAll, tokenText } from '../../src/text/detokenizer.js';
import type { Tokenizer } from '../../src/text/tokenizer.js';

/** As `vllm serve` is started. */
export interface VllmOptions {
  /** `--served-model-name`. */
  readonly name?: string;
  /** `--api-key`. */
  readonly key?: string;
  /** `--max-logprobs`. */
  readonly maxLogprobs?: number;
  /** `--enable-prompt-tokens-details`: without it no reused tokens are reported. */
  readonly details?: boolean;
  /** `--stream-interval`: tokens in a chunk. */
  readonly interval?: number;
  /** An older engine gives no log-probabilities of tokens that its prefix cache holds, and says nothing about it. */
  readonly skipsCachedLogprobs?: boolean;
  /** Ends every stream after so many chunks, as a server that dies does. */
  readonly diesAfter?: number;
}

export interface VllmStub {
  readonly url: string;
  /** The bodies that it was sent, oldest first. */
  readonly requests: readonly Body[];
  close(): Promise<void>;
}

/** The fields that are read. Others are ignored, as vLLM ignores them. */
export interface Body {
  readonly model?: string;
  readonly prompt?: string | number[] | string[] | number[][];
  readonly max_tokens?: number | null;
  readonly n?: number;
  readonly echo?: boolean;
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean };
  readonly logprobs?: number | null;
  readonly prompt_logprobs?: number | null;
  readonly return_token_ids?: boolean;
  readonly return_tokens_as_token_ids?: boolean;
  readonly cache_salt?: string;
  readonly temperature?: number | null;
  readonly top_k?: number | null;
  readonly top_p?: number | null;
  readonly min_p?: number | null;
  readonly repetition_penalty?: number | null;
  readonly frequency_penalty?: number | null;
  readonly presence_penalty?: number | null;
  readonly logit_bias?: Record<string, number> | null;
  readonly seed?: number | null;
  readonly stop?: string | string[] | null;
  readonly ignore_eos?: boolean;
  readonly skip_special_tokens?: boolean;
}

/** Tokens that the prefix cache shares: whole blocks alone. */
const BLOCK = 16;

export async function startVllmStub(model: Model, options: VllmOptions = {}): Promise<VllmStub> {
  const answers = new Answers(model, options);
  const server = createServer((request, response) => {
    answers.answer(request, response).catch((error) => response.destroy(error));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests: answers.requests, close: () => closed(server) };
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((done) => server.close(() => done()));
}

/** What vLLM refuses, with its words. */
class Refusal extends Error {
  readonly status: number;
  readonly type: string;

  constructor(message: string, status = 400, type = 'BadRequestError') {
    super(message);
    this.status = status;
    this.type = type;
  }
}

/** One prompt of a request. */
interface Prompt {
  readonly ids: readonly number[];
  readonly cached: number;
}

/** Why a text ended. */
interface End {
  readonly reason: 'stop' | 'length';
  /** The stop string that ended it. */
  readonly stop: string | null;
}

class Answers {
  readonly requests: Body[] = [];
  readonly #model: Model;
  readonly #options: VllmOptions;
  /** Prompts that were run, by salt. */
  readonly #seen = new Map<string, (readonly number[])[]>();

  constructor(model: Model, options: VllmOptions) {
    this.#model = model;
    this.#options = options;
  }

  get #name(): string {
    return this.#options.name ?? this.#model.name;
  }

  get #tokenizer(): Tokenizer {
    return this.#model.tokenizer as Tokenizer;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url, method, headers } = request;
    try {
      if (url === '/health') {
        response.end();
      } else if (url === '/version') {
        send(response, 200, { version: '0.18.0' });
      } else if (this.#options.key !== undefined && headers.authorization !== `Bearer ${this.#options.key}`) {
        send(response, 401, { error: 'Unauthorized' });
      } else if (url === '/v1/models') {
        send(response, 200, { object: 'list', data: [this.#card()] });
      } else if (url === '/v1/completions' && method === 'POST') {
        await this.#complete(await bodyOf(request), response);
      } else {
        send(response, 404, { detail: 'Not Found' });
      }
    } catch (error) {
      if (!(error instanceof Refusal)) {
        throw error;
      }
      const { message, type, status } = error;
      send(response, status, { error: { message, type, param: null, code: status } });
    }
  }

  #card(): object {
    const max_model_len = this.#model.config.nPositions;
    return {
      id: this.#name,
      object: 'model',
      created: 0,
      owned_by: 'vllm',
      root: this.#name,
      parent: null,
      max_model_len,
    };
  }

  async #complete(body: Body, response: ServerResponse): Promise<void> {
    this.requests.push(body);
    this.#check(body);
    const prompts: Prompt[] = [];
    for (const prompt of promptsOf(body.prompt)) {
      const ids = typeof prompt === 'string' ? await this.#encode(prompt) : prompt;
      prompts.push({ ids: this.#fitting(ids, body), cached: this.#remember(ids, body.cache_salt ?? '') });
    }
    const leaving = new AbortController();
    response.on('close', () => leaving.abort());
    await (body.stream ? this.#stream(body, prompts, response, leaving.signal) : this.#whole(body, prompts, response));
  }

  #check(body: Body): void {
    const { model = this.#name, prompt = '', logprobs, prompt_logprobs: ofPrompt, max_tokens: most = 16 } = body;
    const limit = this.#options.maxLogprobs ?? 20;
    const refusals: [boolean, string][] = [
      [prompt.length === 0, 'Either prompt or prompt_embeds must be provided and non-empty.'],
      [body.stream === true && (ofPrompt ?? 0) > 0, '`prompt_logprobs` are not available when `stream=True`.'],
      [!body.stream && body.stream_options !== undefined, 'Stream options can only be defined when `stream=True`.'],
      [
        (logprobs ?? 0) > limit,
        `Requested sample logprobs of ${logprobs}, which is greater than max allowed: ${limit}`,
      ],
      [
        (ofPrompt ?? 0) > limit,
        `Requested prompt logprobs of ${ofPrompt}, which is greater than max allowed: ${limit}`,
      ],
      [most !== null && most < 1 && !(body.echo && most === 0), `max_tokens must be at least 1, got ${most}.`],
      [(body.temperature ?? 0) < 0, `temperature must be non-negative, got ${body.temperature}.`],
      [body.cache_salt === '', "Parameter 'cache_salt' must be a non-empty string if provided."],
    ];
    const refused = refusals.find(([holds]) => holds);
    if (refused !== undefined) {
      throw new Refusal(refused[1]);
    }
    if (model !== this.#name) {
      throw new Refusal(`The model \`${model}\` does not exist.`, 404, 'NotFoundError');
    }
  }

  #fitting(ids: readonly number[], { max_tokens: most }: Body): readonly number[] {
    const { nPositions } = this.#model.config;
    if (ids.length + Math.min(1, most ?? 1) > nPositions) {
      throw new Refusal(
        `This model's maximum context length is ${nPositions} tokens. However, your request has ${ids.length} input tokens. ` +
          'Please reduce the length of the input messages.',
      );
    }
    return ids;
  }

  async #encode(text: string): Promise<number[]> {
    return [...this.#tokenizer.around.before, ...(await this.#tokenizer.encode(text))];
  }

  /** @returns how many tokens of whole blocks the prefix cache had */
  #remember(ids: readonly number[], salt: string): number {
    const before = this.#seen.get(salt) ?? [];
    this.#seen.set(salt, [...before, ids]);
    const shared = before.map((other) => sharedLength(ids.slice(0, -1), other)); // the last is always run
    return BLOCK * Math.floor(Math.max(0, ...shared) / BLOCK);
  }

  /** The end-of-text token is one of the tokens there, without a text; the end of the context is one of length. */
  async *#generate(
    body: Body,
    prompt: Prompt,
    sample: number,
    signal?: AbortSignal,
  ): AsyncGenerator<CompletionToken, End> {
    const { eosId } = this.#tokenizer;
    const tokens = generate(this.#model, prompt.ids, this.#wished(body, sample, signal));
    const ids: number[] = [];
    for (;;) {
      const next = await tokens.next();
      if (next.done) {
        const stop = stopsOf(body).find((one) => decodeAll(this.#tokenizer, ids).includes(one)) ?? null;
        return { reason: stop === null ? 'length' : 'stop', stop };
      }
      ids.push(next.value.id);
      yield next.value;
      if (next.value.id === eosId && !body.ignore_eos) {
        await tokens.return(undefined as never);
        return { reason: 'stop', stop: null };
      }
    }
  }

  #wished(body: Body, sample: number, signal?: AbortSignal): GenerateOptions {
    const topK = body.top_k ?? 0;
    return {
      temperature: body.temperature ?? 1,
      topK: topK < 0 ? 0 : topK,
      topP: body.top_p ?? 1,
      minP: body.min_p ?? 0,
      repeatPenalty: body.repetition_penalty ?? 1,
      frequencyPenalty: body.frequency_penalty ?? 0,
      presencePenalty: body.presence_penalty ?? 0,
      repeatLastN: -1,
      logitBias: new Map(Object.entries(body.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias])),
      ...(typeof body.seed === 'number' && { seed: body.seed + sample }),
      ignoreEos: true,
      special: body.skip_special_tokens === false,
      stop: stopsOf(body),
      maxTokens: body.max_tokens === 0 ? 0 : (body.max_tokens ?? 16),
      logprobs: body.logprobs ?? 0,
      ...(signal && { signal }),
    };
  }

  async #whole(body: Body, prompts: readonly Prompt[], response: ServerResponse): Promise<void> {
    const choices: object[] = [];
    let written = 0;
    for (const prompt of prompts) {
      for (let sample = 0; sample < (body.n ?? 1); sample++) {
        const { tokens, end } = await finished(this.#generate(body, prompt, sample));
        choices.push(this.#choice(body, prompt, choices.length, tokens, end));
        written += tokens.length;
      }
    }
    const empty = { service_tier: null, system_fingerprint: null, kv_transfer_params: null };
    send(response, 200, { ...this.#head(), choices, ...empty, usage: this.#usage(prompts, written) });
  }

  #choice(body: Body, prompt: Prompt, index: number, tokens: readonly CompletionToken[], end: End): object {
    const { echo, return_token_ids: wantsIds = false } = body;
    const ids = tokens.map(({ id }) => id);
    const wanted = body.prompt_logprobs ?? (echo ? body.logprobs : null) ?? null;
    const ofPrompt = wanted === null ? null : this.#promptLogprobs(prompt, wanted);
    const echoed = echo && !wantsIds ? decodeAll(this.#tokenizer, prompt.ids) : '';
    const shown = echo ? [...prompt.ids, ...ids] : ids;
    const logprobs = [...(echo ? (ofPrompt ?? []) : []), ...tokens.map(withLogprob)];
    return {
      index,
      text: echoed + tokens.map((one) => one.text).join(''),
      logprobs: typeof body.logprobs === 'number' ? this.#logprobs(body, shown, logprobs, 0) : null,
      finish_reason: end.reason,
      stop_reason: end.stop,
      token_ids: wantsIds ? ids : null,
      prompt_logprobs: ofPrompt === null ? null : ofPrompt.map((one, i) => this.#named(one, prompt.ids[i] as number)),
      prompt_token_ids: wantsIds ? prompt.ids : null,
    };
  }

  async #stream(body: Body, prompts: readonly Prompt[], response: ServerResponse, signal: AbortSignal): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    let written = 0;
    let sent = 0;
    for (const [p, prompt] of prompts.entries()) {
      for (let sample = 0; sample < (body.n ?? 1); sample++) {
        const index = p * (body.n ?? 1) + sample;
        for await (const chunk of this.#chunks(body, prompt, index, this.#generate(body, prompt, sample, signal))) {
          if (sent++ === this.#options.diesAfter) {
            response.destroy();
            return;
          }
          written += chunk.length;
          response.write(`data: ${JSON.stringify({ ...this.#head(), choices: [chunk.choice] })}\n\n`);
        }
      }
    }
    if (body.stream_options?.include_usage) {
      const usage = this.#usage(prompts, written);
      response.write(`data: ${JSON.stringify({ ...this.#head(), choices: [], usage })}\n\n`);
    }
    response.end('data: [DONE]\n\n');
  }

  /** Chunks of `interval` tokens; the first has the prompt where it was asked for, the last the reason. */
  async *#chunks(body: Body, prompt: Prompt, index: number, tokens: AsyncGenerator<CompletionToken, End>) {
    const { echo, return_token_ids: wantsIds, logprobs: k } = body;
    const ofPrompt = echo && typeof k === 'number' ? this.#promptLogprobs(prompt, k) : [];
    let waiting: CompletionToken[] = [];
    let offset = 0;
    let isFirst = true;
    const chunk = (end: End | null) => {
      const echoed = isFirst && echo;
      const ids = waiting.map(({ id }) => id);
      const shown = echoed ? [...prompt.ids, ...ids] : ids;
      const logprobs = [...(echoed ? ofPrompt : []), ...waiting.map(withLogprob)];
      const text =
        (echoed && !wantsIds ? decodeAll(this.#tokenizer, prompt.ids) : '') + waiting.map((one) => one.text).join('');
      const choice = {
        index,
        text,
        logprobs: typeof k === 'number' ? this.#logprobs(body, shown, logprobs, offset) : null,
        finish_reason: end?.reason ?? null,
        stop_reason: end?.stop ?? null,
        prompt_token_ids: isFirst && wantsIds ? prompt.ids : null,
        token_ids: wantsIds ? ids : null,
      };
      isFirst = false;
      waiting = [];
      offset += text.length;
      return { choice, length: ids.length };
    };
    for (;;) {
      const next = await tokens.next();
      if (next.done) {
        yield chunk(next.value);
        return;
      }
      waiting.push(next.value);
      if (waiting.length > (this.#options.interval ?? 1)) {
        const newest = waiting.pop() as CompletionToken; // so that the last chunk has a token
        yield chunk(null);
        waiting = [newest];
      }
    }
  }

  /** null for the first token, which nothing predicts. */
  #promptLogprobs({ ids, cached }: Prompt, k: number): (TokenLogprob | null)[] {
    const { engine } = this.#model;
    const wanted = ids.slice(1).map((_, i) => i);
    const logits = wanted.length === 0 ? [] : engine.forward({ ids: [ids.slice(0, -1)], wanted }, null);
    const all = [null, ...ids.slice(1).map((id, i) => tokenLogprob(logits[i] as Float32Array, id, Math.max(1, k)))];
    return this.#options.skipsCachedLogprobs && cached > 0 ? [null, ...all.slice(cached + 1)] : all;
  }

  /** An entry of `prompt_logprobs`: the token itself and the likeliest, by id. */
  #named(logprob: TokenLogprob | null, id: number): object | null {
    if (logprob === null) {
      return null;
    }
    const top = logprob.top ?? [];
    const rankOf = (wanted: number) => top.findIndex((one) => one.id === wanted) + 1 || top.length + 1;
    const entries = [{ id, logprob: logprob.logprob }, ...top.filter((one) => one.id !== id)];
    return Object.fromEntries(
      entries.map((one) => [
        one.id,
        { logprob: one.logprob, rank: rankOf(one.id), decoded_token: tokenText(this.#tokenizer, one.id) },
      ]),
    );
  }

  #logprobs(body: Body, ids: readonly number[], logprobs: readonly (TokenLogprob | null)[], offset: number): object {
    const name = (id: number) => (body.return_tokens_as_token_ids ? `token_id:${id}` : tokenText(this.#tokenizer, id));
    const tokens = ids.map(name);
    const offsets = tokens.map((_, i) => offset + tokens.slice(0, i).join('').length);
    const top = logprobs.map((one, i) => {
      const best = one === null ? [] : [{ id: ids[i] as number, logprob: one.logprob }, ...(one.top ?? [])];
      return one === null ? null : Object.fromEntries(best.map(({ id, logprob }) => [name(id), logprob]));
    });
    return {
      text_offset: offsets,
      token_logprobs: logprobs.map((one) => one?.logprob ?? null),
      tokens,
      top_logprobs: top,
    };
  }

  #head(): object {
    return { id: 'cmpl-0', object: 'text_completion', created: 0, model: this.#name };
  }

  #usage(prompts: readonly Prompt[], written: number): object {
    const read = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
    const cached = { cached_tokens: prompts.at(-1)?.cached ?? 0 };
    const details = this.#options.details ? cached : null;
    return {
      prompt_tokens: read,
      total_tokens: read + written,
      completion_tokens: written,
      prompt_tokens_details: details,
    };
  }
}

async function bodyOf(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new Refusal('[{"type": "json_invalid", "loc": ["body"], "msg": "JSON decode error"}]');
  }
}

function send(response: ServerResponse, status: number, content: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(content));
}

function promptsOf(prompt: Body['prompt']): (string | number[])[] {
  if (typeof prompt === 'string') {
    return [prompt];
  }
  return typeof prompt?.[0] === 'number' ? [prompt as number[]] : ((prompt ?? []) as (string | number[])[]);
}

function sharedLength(a: readonly number[], b: readonly number[]): number {
  const differ = a.findIndex((id, i) => id !== b[i]);
  return differ < 0 ? a.length : differ;
}

async function finished(generation: AsyncGenerator<CompletionToken, End>) {
  const tokens: CompletionToken[] = [];
  for (;;) {
    const next = await generation.next();
    if (next.done) {
      return { tokens, end: next.value };
    }
    tokens.push(next.value);
  }
}

const withLogprob = ({ logprob = 0, top }: CompletionToken): TokenLogprob => ({ logprob, ...(top && { top }) });

const stopsOf = ({ stop }: Body): string[] => [stop ?? []].flat();
