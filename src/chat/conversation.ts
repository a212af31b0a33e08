// A conversation with a model: what was said, its ids, and its keys and values, carried from turn to turn. Only what is new is
// run; what was undone is cut off. Knows nothing of terminals or disks.

import {
  type Completion,
  type CompletionToken,
  complete,
  joinedText,
  RememberedReturn,
} from '../completion/complete.js';
import {
  contextSize,
  idsWithoutToken,
  makeRequest,
  type Prompt,
  type PromptSettings,
  preparePrompt,
} from '../completion/request.js';
import type { TextModel } from '../completion/text-bounds.js';
import type { Engine } from '../engine/engine.js';
import { KvgenError } from '../errors.js';
import type { Drafter } from '../generation/drafts.js';
import { NOTHING_MEASURED, type PromptCache } from '../generation/sequence.js';
import {
  type ChatPrompt,
  type KnownText,
  NOTHING_KNOWN,
  plainPrompt,
  templatePrompt,
  withAnswer,
} from './chat-prompt.js';
import { KeptCache } from './kept-cache.js';
import { type ChatMessage, messagesOf, type SaidTurn } from './messages.js';
import type { ChatTemplate } from './prompt-template.js';
import { turnEnd } from './turn-end.js';

/** What a conversation needs of a model. */
export interface ChatModel extends TextModel {
  readonly engine: Engine;
}

export interface ConversationOptions {
  readonly system?: string | undefined;
  /** How messages call the options. */
  readonly words: { readonly bos: string; readonly logitBias: string; readonly advice: string };
  /** What was saved of it. */
  readonly from?: ChatState | undefined;
  /** Makes what guesses for `draft`. */
  readonly drafter?: (() => Drafter) | undefined;
}

export interface SayOptions {
  readonly settings: PromptSettings;
  /** The seed of an answer, by how many there were before it, those that were undone included. */
  readonly seedOf: (answer: number) => number;
  /** Ends the answer. What was said stays. */
  readonly signal?: AbortSignal | undefined;
  readonly onPrefill?: ((done: number, total: number) => void) | undefined;
  readonly onNote?: ((line: string) => void) | undefined;
  /** Where keys and values are kept besides. */
  readonly disk?: ((prompt: KnownText) => PromptCache | undefined) | undefined;
}

/** An answer, and what it took. */
export interface Turn extends Completion {
  readonly seed: number;
  /** All that the model was given. */
  readonly promptIds: readonly number[];
}

/** A turn that was said, with what all had come to behind it. */
interface KnownTurn extends SaidTurn {
  /** Ids of the conversation up to its end. */
  readonly tokens: number;
  /** Characters of the text up to its end. */
  readonly characters: number;
}

/** All that makes a conversation go on elsewhere. */
export interface ChatState {
  readonly system: string | undefined;
  readonly turns: readonly KnownTurn[];
  /** Turns at the beginning that the model is not given any more. */
  readonly dropped: number;
  /** How many turns, from the last one back, have their ids in `known`. */
  readonly known: KnownText;
  readonly knownFrom: number;
  /** Answers so far, those that were undone included. */
  readonly answers: number;
}

/** What an answer is left at least, where there is more to drop. */
const ROOM = 1 / 4;
/** What is dropped at once is more than that, so that it is not run anew at each turn. */
const AFTER_DROP = 1 / 2;

export class Conversation {
  readonly #model: ChatModel;
  readonly #template: ChatTemplate | null;
  readonly #options: ConversationOptions;
  readonly #cache = new KeptCache();
  readonly #banned: readonly number[];
  #system: string | undefined;
  #turns: KnownTurn[];
  #dropped: number;
  #known: KnownText;
  /** The first turn whose end is a place in `#known`. */
  #knownFrom: number;
  #answers: number;
  #turnEnds: readonly number[] | undefined;
  #isBusy = false;

  /** @param template null: the model continues the text */
  constructor(model: ChatModel, template: ChatTemplate | null, options: ConversationOptions) {
    const { system, from } = options;
    this.#model = model;
    this.#template = template;
    this.#options = options;
    this.#banned = idsWithoutToken(model.tokenizer, model.config);
    this.#turns = [...(from?.turns ?? [])];
    this.#dropped = from?.dropped ?? 0;
    this.#known = from?.known ?? NOTHING_KNOWN;
    this.#knownFrom = from?.knownFrom ?? 0;
    this.#answers = from?.answers ?? 0;
    this.#system = from === undefined ? system : from.system;
  }

  get hasTemplate(): boolean {
    return this.#template !== null;
  }

  get system(): string | undefined {
    return this.#system;
  }

  set system(text: string | undefined) {
    if (text !== this.#system) {
      this.#system = text;
      this.#forget();
    }
  }

  get turns(): readonly SaidTurn[] {
    return this.#turns;
  }

  get messages(): ChatMessage[] {
    return messagesOf(this.#system, this.#turns);
  }

  /** Ids of all that was said, as the model has seen it. */
  get tokens(): number {
    return this.#turns.at(-1)?.tokens ?? 0;
  }

  /** The text so far of a model without a template. */
  get text(): string {
    return this.#turns.map(({ user, answer }) => user + answer).join('');
  }

  get state(): ChatState {
    return {
      system: this.#system,
      turns: [...this.#turns],
      dropped: this.#dropped,
      known: this.#known,
      knownFrom: this.#knownFrom,
      answers: this.#answers,
    };
  }

  /**
   * Says something and gives the answer as it comes.
   * @returns the whole answer, and what it took; with `abort` and no token nothing was said, and nothing is kept
   * @throws KvgenError for what does not fit the context, or the template refuses, or a turn that is not over
   */
  async *say(user: string, options: SayOptions): AsyncGenerator<string, Turn> {
    if (this.#isBusy) {
      throw new KvgenError('the answer before is not over');
    }
    this.#isBusy = true;
    const said: CompletionToken[] = [];
    let prompt: ChatPrompt | undefined;
    try {
      const seed = options.seedOf(this.#answers);
      const begun = await this.#begin(user, seed, options).catch(unlessAborted(options.signal));
      prompt = begun?.prompt;
      if (begun === undefined || prompt === undefined) {
        return { finishReason: 'abort', stats: NOTHING_MEASURED, text: '', tokens: [], seed, promptIds: [] };
      }
      const tokens = new RememberedReturn(complete(this.#model.engine, this.#model.tokenizer, begun.request));
      for await (const token of tokens) {
        said.push(token);
        if (token.text !== '') {
          yield token.text;
        }
      }
      const completion = tokens.returned as Completion;
      if (completion.finishReason !== 'abort' && said.length === 0) {
        this.#keep(user, prompt, said); // an empty answer is one
      }
      return { ...completion, seed, promptIds: prompt.ids };
    } finally {
      if (prompt !== undefined && said.length > 0) {
        this.#keep(user, prompt, said);
      }
      this.#isBusy = false;
    }
  }

  /** Says the last turn's words again. @throws KvgenError where there is none; as `say` does */
  async *retry(options: SayOptions): AsyncGenerator<string, Turn> {
    const before = this.state;
    const last = this.undo();
    if (last === undefined) {
      throw new KvgenError('nothing was said yet');
    }
    try {
      return yield* this.say(last.user, options);
    } finally {
      if (this.#turns.length < before.turns.length) {
        this.#restore(before);
      }
    }
  }

  /** Takes back the last turn. @returns that turn; undefined: there is none */
  undo(): SaidTurn | undefined {
    const last = this.#turns.pop();
    const count = this.#turns.length;
    const end = this.#turns.at(-1);
    this.#dropped = Math.min(this.#dropped, Math.max(0, count - 1));
    if (end === undefined || this.#knownFrom >= count || this.#known.ids.length < end.tokens) {
      this.#forget();
    } else {
      this.#known = { text: this.#known.text.slice(0, end.characters), ids: this.#known.ids.slice(0, end.tokens) };
    }
    return last;
  }

  /** Frees keys and values; another may go on with the template. */
  forgetCache(): void {
    this.#cache.dispose();
  }

  /** Frees keys and values, and ends the template. */
  dispose(): void {
    this.#cache.dispose();
    this.#template?.dispose();
  }

  #restore(state: ChatState): void {
    this.#turns = [...state.turns];
    this.#dropped = state.dropped;
    this.#known = state.known;
    this.#knownFrom = state.knownFrom;
  }

  /** What was said has to be read again. */
  #forget(): void {
    this.#known = NOTHING_KNOWN;
    this.#knownFrom = this.#turns.length;
  }

  async #begin(user: string, seed: number, options: SayOptions) {
    const prompt = await this.#prompt(user, options);
    return { prompt, request: await this.#request(prompt, seed, options) };
  }

  /** All that the model is to be given; turns at the beginning are dropped where they must and may be. */
  async #prompt(user: string, options: SayOptions): Promise<ChatPrompt> {
    const { settings, onNote } = options;
    const nCtx = contextSize(settings.ctxSize, this.#model.config);
    const wanted = settings.maxTokens === -1 ? Number.POSITIVE_INFINITY : settings.maxTokens;
    const fits = ({ ids }: ChatPrompt, share: number) => ids.length + Math.min(wanted, share * nCtx) <= nCtx;
    const droppedBefore = this.#dropped;
    let prompt = await this.#read(user, options);
    if (settings.onFull === 'reprefill' && !fits(prompt, ROOM)) {
      while (this.#dropped < this.#turns.length && !fits(prompt, AFTER_DROP)) {
        this.#dropped++;
        this.#forget();
        prompt = await this.#read(user, options);
      }
      if (this.#dropped > droppedBefore) {
        onNote?.(`the context of ${nCtx} tokens is full: the model no longer sees the first ${turnsOf(this.#dropped)}`);
      }
    }
    return prompt;
  }

  #read(user: string, { settings, signal, onNote }: SayOptions): Promise<ChatPrompt> {
    const seen = this.#turns.slice(this.#dropped);
    const { tokenizer } = this.#model;
    if (this.#template !== null && tokenizer !== null) {
      if (!settings.bos) {
        throw new KvgenError(
          `${this.#options.words.bos} cannot go with a chat template, which alone says what comes first`,
        );
      }
      const messages = messagesOf(this.#system, seen, user);
      return templatePrompt(this.#template, tokenizer, messages, this.#known, { signal, onNote });
    }
    const known = this.#known.ids.length > 0 ? this.#known : { text: textOf(this.#system, seen), ids: [] };
    return plainPrompt(this.#model, user, known, { signal, onNote, bos: settings.bos });
  }

  async #request(
    prompt: ChatPrompt,
    seed: number,
    { settings, signal, onPrefill, onNote = () => {}, disk }: SayOptions,
  ) {
    const { words, drafter } = this.#options;
    const { ids, nCtx } = await preparePrompt(prompt.ids, settings, this.#model, { ...words, onNote, signal });
    this.#turnEnds ??= await this.#findTurnEnds(signal);
    const fitting: Prompt = { ids, text: prompt.text, nCtx, turnEnds: this.#turnEnds };
    const onFull = this.#template === null ? settings.onFull : 'stop'; // half a conversation is none
    return makeRequest(fitting, { ...settings, onFull }, seed, this.#model, this.#banned, {
      logprobs: settings.logprobs,
      signal,
      onPrefill,
      drafter,
      promptCache: this.#cache.forTurn(disk?.(prompt)),
    });
  }

  async #findTurnEnds(signal: AbortSignal | undefined): Promise<readonly number[]> {
    const { tokenizer } = this.#model;
    const template = this.#template;
    const end = template === null || tokenizer === null ? undefined : await turnEnd(template, tokenizer, signal);
    return end === undefined ? [] : [end];
  }

  #keep(user: string, prompt: ChatPrompt, said: readonly CompletionToken[]): void {
    const answer = joinedText(said);
    const ids = said.map(({ id }) => id);
    const tokens = prompt.ids.length + ids.length;
    this.#knownFrom = prompt.extends ? this.#knownFrom : this.#turns.length;
    this.#turns.push({ user, answer, tokens, characters: prompt.text.length + answer.length });
    this.#known = withAnswer(this.#model.tokenizer, prompt, answer, ids);
    if (this.#known.ids.length === 0) {
      this.#knownFrom = this.#turns.length;
    }
    this.#answers++;
  }
}

/** Without a template a system's text is what the text begins with. */
function textOf(system: string | undefined, turns: readonly SaidTurn[]): string {
  return (system ?? '') + turns.map(({ user, answer }) => user + answer).join('');
}

function turnsOf(count: number): string {
  return count === 1 ? 'turn' : `${count} turns`;
}

/** An error is none where the signal made it: undefined. */
function unlessAborted(signal: AbortSignal | undefined): (error: unknown) => undefined {
  return (error) => {
    if (signal?.aborted) {
      return undefined;
    }
    throw error;
  };
}
