// The two endpoints that generate: from a body to prompts, to a job for the loop, to an answer at once or to the chunks of a
// stream. Knows nothing of the HTTP library.

import type { TemplatedPrompts } from '../chat/templated-prompts.js';
import type { Completion } from '../completion/complete.js';
import { checkVocabulary, type Prompt, PromptTooLong, preparePrompt } from '../completion/request.js';
import { KvgenError } from '../errors.js';
import { EventLoop } from '../generation/event-loop.js';
import type { Model } from '../library/model.js';
import { Answer, type ChoiceForm, type Envelope, type Served, usageOf } from './answer-form.js';
import { ApiError, aboutParameter, wrongParameter } from './api-error.js';
import { CHAT, ChatChoice } from './chat-form.js';
import { readChatQuery } from './chat-query.js';
import { COMPLETION, CompletionChoice } from './completion-form.js';
import { type CompletionQuery, type GivenPrompt, readCompletionQuery } from './completion-query.js';
import type { JsonObject } from './json-body.js';
import type { RequestRecord } from './request-record.js';
import { type JobEvent, type JobModel, TextJob } from './text-job.js';
import type { TextLoop } from './text-loop.js';
import type { TextQuery } from './text-query.js';

/** Tokens of an answer, with the likeliest beside each. */
const MAX_ANSWER = 2 ** 20;

/** What both endpoints are made of. */
export interface Endpoints {
  readonly served: Served;
  readonly of: JobModel;
  /** Ids that the context holds. */
  readonly nCtx: number;
  /** Ids that are guessed; 0: none. */
  readonly draft: number;
  readonly chats: TemplatedPrompts;
  /** Why it does not chat; undefined: it does. */
  readonly noChat: string | undefined;
  readonly loop: TextLoop;
}

/** One request. */
export interface Asked {
  readonly body: JsonObject;
  readonly record: RequestRecord;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

/** An answer at once, or the chunks of a stream. */
export type TextAnswer = { readonly whole: object } | { readonly chunks: AsyncGenerator<object, void> };

export async function answerCompletion(endpoints: Endpoints, asked: Asked): Promise<TextAnswer> {
  const query = readCompletionQuery(asked.body, endpoints.draft);
  checkQuery(endpoints, query);
  checkSize(endpoints, query, query.prompts.length);
  const prompts = await endpoints.loop.prepare(() => allFitted(endpoints, query, asked));
  const wanted = { ...query, logprobs: query.settings.logprobs };
  return answer(endpoints, asked, query, prompts, COMPLETION, (job, i) => {
    const promptLogprobs = () => job.promptLogprobs.get(i) ?? [];
    return new CompletionChoice(i, job.promptOf(i), wanted, namesOf(endpoints, query), promptLogprobs);
  });
}

export async function answerChat(endpoints: Endpoints, asked: Asked): Promise<TextAnswer> {
  const { chats, noChat, draft, loop, of } = endpoints;
  if (noChat !== undefined) {
    const why = withoutFolder(noChat, of.model);
    throw new ApiError(400, `${why}; use /v1/completions`, { code: 'no_chat_template' });
  }
  const query = readChatQuery(asked.body, draft);
  checkQuery(endpoints, query);
  checkSize(endpoints, query, 1);
  const prompt = await loop.prepare(async () => {
    const { text, turnEnds } = await chats.prompt(query.messages, asked.signal).catch(asAbout('messages', of.model));
    return { ...(await fitted(endpoints, text, query, 'messages', asked)), turnEnds };
  });
  const wanted = { ...query, logprobs: query.settings.logprobs };
  const choice = (_: TextJob, i: number) => new ChatChoice(i, prompt, wanted, namesOf(endpoints, query));
  return answer(endpoints, asked, query, [prompt], CHAT, choice);
}

/** @throws ApiError for what the model cannot do */
function checkQuery({ served, of }: Endpoints, { model, settings }: TextQuery): void {
  if (model !== undefined && !served.names.includes(model)) {
    throw modelNotFound(model, served.name);
  }
  checkBias(of, settings.logitBias);
  if (of.model.tokenizer === null && settings.stop.length > 0) {
    throw wrongParameter('stop', 'stop needs a tokenizer, and the model has none');
  }
}

/** @throws ApiError for a bias that the model has no token for, or that leaves it none */
function checkBias({ model: { config }, banned }: JobModel, logitBias: ReadonlyMap<number, number>): void {
  const ids = [...logitBias.keys()];
  aboutParameter('logit_bias', () => checkVocabulary(ids, config));
  const none = new Set([...banned, ...ids.filter((id) => logitBias.get(id) === Number.NEGATIVE_INFINITY)]);
  if (none.size >= config.vocabSize) {
    throw wrongParameter('logit_bias', 'logit_bias: every token is banned; allow some');
  }
}

/** @throws ApiError for an answer that would not fit the memory: all of it waits there for a slow reader */
function checkSize(
  { nCtx }: Endpoints,
  { settings: { maxTokens, logprobs = 0 }, n }: TextQuery,
  prompts: number,
): void {
  const tokens = prompts * n * (maxTokens === -1 ? nCtx : Math.min(maxTokens, nCtx));
  const all = tokens * (1 + logprobs);
  if (all > MAX_ANSWER) {
    const found = `${tokens} tokens with ${logprobs} of the likeliest each`;
    throw wrongParameter('max_tokens', `an answer has at most ${MAX_ANSWER} tokens in all, asked for: ${found}`);
  }
}

export function modelNotFound(found: string, served: string): ApiError {
  const message = `the model ${JSON.stringify(found)} is not served here; expected ${JSON.stringify(served)}`;
  return new ApiError(404, message, { param: 'model', code: 'model_not_found' });
}

function namesOf({ of }: Endpoints, { namesIds }: TextQuery) {
  return { tokenizer: of.model.tokenizer, namesIds };
}

/** Lets others run between prompts: many short ones would stop them all. @throws ApiError where one does not fit */
async function allFitted(endpoints: Endpoints, query: CompletionQuery, asked: Asked): Promise<Prompt[]> {
  const prompts: Prompt[] = [];
  const eventLoop = new EventLoop();
  for (const prompt of query.prompts) {
    if (eventLoop.due) {
      await eventLoop.run();
      asked.signal.throwIfAborted();
    }
    prompts.push(await fitted(endpoints, prompt, query, 'prompt', asked));
  }
  return prompts;
}

/** @throws ApiError where it does not fit */
async function fitted(
  { of, nCtx }: Endpoints,
  prompt: GivenPrompt,
  { settings, echo }: TextQuery,
  param: string,
  { signal, record }: Asked,
): Promise<Prompt> {
  const limits = { ...settings, ctxSize: nCtx };
  const mayFill = echo && settings.maxTokens === 0; // nothing follows a prompt that is only scored
  const words = { logitBias: 'logit_bias', advice: 'shorten it', onNote: () => {}, mayFill, signal };
  const fitting = await preparePrompt(prompt, limits, of.model, words).catch(asAbout(param, of.model));
  record.prompts.push(fitting.text);
  return fitting;
}

/** What a person can mend is about the parameter. */
function asAbout(param: string, model: Model): (error: unknown) => never {
  return (error) => {
    if (error instanceof PromptTooLong) {
      throw wrongParameter(param, error.message, 'context_length_exceeded');
    }
    throw error instanceof KvgenError ? wrongParameter(param, withoutFolder(error.message, model)) : error;
  };
}

/** Where a model lies on this machine is nothing for its clients. */
function withoutFolder(message: string, { dir, name }: Model): string {
  return message.replaceAll(`${dir}/`, '').replaceAll(dir, name);
}

/** Runs the texts, and resolves when the first of them has begun: what fails before that is the status of the answer. */
async function answer(
  { of, loop, served }: Endpoints,
  { record, signal }: Asked,
  query: TextQuery,
  prompts: readonly Prompt[],
  envelope: Envelope,
  choice: (job: TextJob, index: number) => ChoiceForm,
): Promise<TextAnswer> {
  record.user = query.user;
  const job = new TextJob({ ...query, prompts, signal }, of);
  record.tokens = () => job.tokens;
  const choices = Array.from({ length: job.count }, (_, i) => choice(job, i));
  const written = new Answer(served, envelope, query.includeUsage);
  loop.begin(job);
  const events = new Ahead(job.events());
  await events.ready();
  const texts = { job, choices, written, record, events };
  return query.stream ? { chunks: chunksOf(texts) } : { whole: await wholeOf(texts) };
}

interface Texts {
  readonly job: TextJob;
  readonly choices: readonly ChoiceForm[];
  readonly written: Answer;
  readonly record: RequestRecord;
  readonly events: AsyncIterable<JobEvent>;
}

async function wholeOf({ job, choices, written, record, events }: Texts): Promise<object> {
  const completions: Completion[] = [];
  for await (const event of events) {
    if ('end' in event) {
      completions[event.index] = event.end;
    }
  }
  const usage = finish(job, record, completions);
  return written.whole(
    choices.map((choice, i) => choice.whole(completions[i] as Completion)),
    usage,
  );
}

async function* chunksOf({ job, choices, written, record, events }: Texts): AsyncGenerator<object, void> {
  const completions: Completion[] = [];
  const opened = new Set<number>();
  for await (const event of events) {
    const choice = choices[event.index] as ChoiceForm;
    const parts = opened.has(event.index) ? [] : [choice.opening()];
    opened.add(event.index);
    parts.push('end' in event ? choice.ending(event.end) : choice.piece(event.tokens));
    yield* parts.filter((part) => part !== null).map((part) => written.chunk(part));
    if ('end' in event) {
      completions[event.index] = event.end;
    }
  }
  yield* written.last(finish(job, record, completions));
}

function finish({ facts: { prompts, n } }: TextJob, record: RequestRecord, completions: readonly Completion[]) {
  const usage = usageOf(prompts, n, completions);
  record.usage = usage;
  record.why = [...new Set(completions.map(({ finishReason }) => finishReason))].join(', ');
  return usage;
}

/** Events of which the first can be awaited before they are read. */
class Ahead {
  readonly #events: AsyncGenerator<JobEvent, void>;
  readonly #first: Promise<IteratorResult<JobEvent, void>>;

  constructor(events: AsyncGenerator<JobEvent, void>) {
    this.#events = events;
    this.#first = events.next();
  }

  async ready(): Promise<void> {
    await this.#first;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<JobEvent, void> {
    const first = await this.#first;
    if (first.done !== true) {
      yield first.value;
      yield* this.#events;
    }
  }
}
