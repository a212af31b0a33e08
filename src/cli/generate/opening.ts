// What generate, batch, score and bench have in common before they run: what is saved for a model, how it is loaded, and
// the prompt that it is given.

import { type ChatMessage, messagesOf } from '../../chat/messages.js';
import type { TemplatedPrompts } from '../../chat/templated-prompts.js';
import { contextNote, type Preparing, type Prompt, preparePrompt } from '../../completion/request.js';
import { checkSameTokens } from '../../completion/same-tokens.js';
import type { TextModel } from '../../completion/text-bounds.js';
import { KvgenError } from '../../errors.js';
import type { ModelFolder } from '../../files/model-folder.js';
import type { MachineChoice } from '../../library/machine.js';
import { folderSource, type Model, type OpenOptions, openModel } from '../../library/model.js';
import type { ModelConfig } from '../../model/config.js';
import { type GenerateArgs, type StoreArgs, wantsPromptCache } from '../../settings.js';
import { hasTokenizer, loadTokenizer, type Tokenizer } from '../../text/tokenizer.js';
import { type FoundModel, findModel } from '../../weights/find.js';
import type { Invocation } from '../shell/command.js';
import type { Terminal } from '../shell/terminal.js';
import type { Saved } from './saved.js';

/** What is saved on disk for a model; null: neither cache was asked for. */
export async function savedFor(
  args: StoreArgs,
  found: FoundModel,
  invocation: Pick<Invocation, 'terminal' | 'signal'>,
): Promise<Saved | null> {
  if (!args.answerCache && !wantsPromptCache(args, process.env)) {
    return null;
  }
  const { openSaved } = await import('./saved.js');
  return openSaved(args, found, invocation);
}

/** Says when the context holds less than the model could. */
export function noteContext({ ctxSize }: Pick<GenerateArgs, 'ctxSize'>, config: ModelConfig, terminal: Terminal): void {
  const note = contextNote(ctxSize, config);
  if (note !== undefined) {
    terminal.note(note);
  }
}

/** How a model is opened for these settings, and where its progress and notes are shown. */
export function onOpening(
  args: MachineChoice & Pick<GenerateArgs, 'verbose'>,
  terminal: Terminal,
  signal: AbortSignal,
): OpenOptions {
  const { backend, engine, threads, weights, cache, verbose } = args;
  return {
    backend,
    engine,
    threads,
    weights,
    cache,
    signal,
    onProgress: (line) => terminal.progress(line),
    onNote: (line) => (verbose ? terminal.note(line) : undefined),
  };
}

/**
 * Opens the model that guesses for --draft, on the same backend as the one that checks the guesses; null: there is none.
 * @throws KvgenError for one with other tokens
 */
export async function openDraftModel(
  args: GenerateArgs,
  model: Model,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<Model | null> {
  if (args.draftModel === undefined) {
    return null;
  }
  const source = await folderSource(findModel(args.draftModel), signal);
  const { backend, threads } = model;
  const draft = await openModel(source, { ...onOpening(args, terminal, signal), backend, threads });
  try {
    checkSameTokens(model, draft, '--draft-model');
  } catch (error) {
    draft.dispose();
    throw error;
  }
  return draft;
}

/** What a prompt is prepared with. */
export interface PreparingPrompt extends Preparing {
  /** Makes prompts of chats. */
  readonly chats: TemplatedPrompts;
}

/**
 * A prompt of the command line, or of a line of a batch, checked against the context.
 * @param prompt a text, or a chat where `args` say so; undefined: it came as ids
 * @throws KvgenError when it does not fit; what `signal` aborts with
 */
export async function fittedPrompt(
  prompt: string | readonly ChatMessage[] | undefined,
  args: GenerateArgs,
  model: TextModel,
  { chats, ...preparing }: PreparingPrompt,
): Promise<Prompt> {
  const advice = 'shorten it, or --truncate-prompt head';
  const onDetail = args.verbose ? preparing.onNote : undefined;
  const words = { logitBias: '--logit-bias', advice, onDetail, ...preparing };
  if (!args.chat) {
    return preparePrompt(toText(prompt) ?? args.promptIds ?? '', args, model, words);
  }
  const { text, turnEnds } = await chats.prompt(toMessages(prompt, args), preparing.signal);
  return { ...(await preparePrompt(text, { ...args, bos: false }, model, words)), turnEnds };
}

function toText(prompt: string | readonly ChatMessage[] | undefined): string | undefined {
  return typeof prompt === 'string' ? prompt : undefined;
}

/** A text is what a user says. A system's message of its own counts more than the one for all. */
export function toMessages(
  prompt: string | readonly ChatMessage[] | undefined,
  { system }: GenerateArgs,
): ChatMessage[] {
  if (typeof prompt === 'string' || prompt === undefined) {
    return messagesOf(system, [], prompt ?? '');
  }
  return [...(prompt[0]?.role === 'system' ? [] : messagesOf(system, [])), ...prompt];
}

/** With --echo the text is one with the prompt's: a character that the prompt leaves unfinished is written when it is whole. */
export function goesOnFrom({ held = '' }: Prompt, { echo, json, jsonl }: GenerateArgs): boolean {
  return held !== '' && echo && !json && !jsonl;
}

/** null: the folder has none, and --prompt-ids needs none. */
export async function openTokenizer(folder: ModelFolder, args: GenerateArgs): Promise<Tokenizer | null> {
  if (args.promptIds === undefined || (await hasTokenizer(folder))) {
    return loadTokenizer(folder);
  }
  checkStops(args, null, folder.dir);
  return null;
}

/** @throws KvgenError for stop strings where there is no tokenizer to make text */
export function checkStops({ stop }: GenerateArgs, tokenizer: Tokenizer | null, dir: string): void {
  if (tokenizer === null && stop.length > 0) {
    throw new KvgenError(`${dir}: --stop needs a tokenizer, and the folder has none`);
  }
}
