// One line of `kvgen batch`: turns a JSON object into settings of generate, and its prompt into ids. Its keys are generate's
// long options in snake_case, and errors name them so. Knows nothing of engines or streams.

import { type ChatMessage, readMessages } from '../../chat/messages.js';
import type { TemplatedPrompts } from '../../chat/templated-prompts.js';
import type { Prompt } from '../../completion/request.js';
import type { TextModel } from '../../completion/text-bounds.js';
import { errorMessage, KvgenError, shown } from '../../errors.js';
import { type Line, LONGEST } from '../../files/lines.js';
import { checkGenerateArgs, GENERATE, type GenerateArgs, optionsOf, settingsOf } from '../../settings.js';
import { checkStops, fittedPrompt, type PreparingPrompt } from '../generate/opening.js';
import { decodeUtf8, withoutMark } from '../shell/prompt-input.js';

/** No line needs so much: an id may be any JSON, and is written back. */
const MAX_DEPTH = 100;

/** A line that can be run, or the object to write in its place. */
export type PreparedLine = { readonly id: unknown } & (
  | { readonly args: GenerateArgs; readonly prompt: Prompt }
  | { readonly error: LineError }
);

/** What is written in the place of a line that cannot be run. */
export interface LineError {
  readonly id: unknown;
  /** The number of a line that has no id. */
  readonly line?: number;
  readonly error: string;
}

/** Makes the prompt of a line. @throws KvgenError */
export type PromptOfLine = (
  prompt: BatchLine['prompt'],
  args: GenerateArgs,
  preparing: Pick<PreparingPrompt, 'onNote' | 'signal'>,
) => Promise<Prompt>;

interface Preparing {
  /** Told what a person should know, with the id of the line. */
  readonly onNote: (id: unknown, note: string) => void;
  readonly signal: AbortSignal;
}

/** Never fails: what is wrong with a line is its error. */
export async function prepareLine(
  line: Line,
  defaults: GenerateArgs,
  promptOf: PromptOfLine,
  { onNote, signal }: Preparing,
): Promise<PreparedLine> {
  let json: Readonly<Record<string, unknown>>;
  let id: unknown;
  try {
    json = parseLine(line);
    id = idOf(json);
  } catch (error) {
    return { id: null, error: { id: null, line: line.number, error: errorMessage(error) } };
  }
  try {
    const { prompt, args } = readBatchLine(json, defaults);
    return { id, args, prompt: await promptOf(prompt, args, { onNote: (note) => onNote(id, note), signal }) };
  } catch (error) {
    return { id, error: { id, error: lineWords(errorMessage(error)) } };
  }
}

/** The prompts of lines for a model that is loaded here. */
export function promptsOfModel(model: TextModel, chats: TemplatedPrompts): PromptOfLine {
  return (prompt, args, preparing) => {
    checkTokenizer(prompt, args, model);
    return fittedPrompt(prompt, args, model, { ...preparing, chats });
  };
}

/** @throws KvgenError where there is none and the line needs one */
function checkTokenizer(prompt: BatchLine['prompt'], args: GenerateArgs, { tokenizer, dir }: TextModel): void {
  if (tokenizer === null && prompt !== undefined) {
    throw new KvgenError(`prompt: ${dir} has no tokenizer; give prompt_ids`);
  }
  checkStops(args, tokenizer, dir);
}

/** @throws an error that says what was expected */
function parseLine({ number, bytes }: Line): Record<string, unknown> {
  if (bytes === null) {
    throw new KvgenError(`expected at most ${LONGEST}, found more`);
  }
  const text = decodeUtf8(bytes, `line ${number}`);
  const json = parseJson(number === 1 ? withoutMark(text) : text);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new KvgenError('expected a JSON object');
  }
  checkDepth(json);
  return json as Record<string, unknown>;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new KvgenError(`not JSON (${errorMessage(error)})`);
  }
}

/** @throws KvgenError for an id that JSON cannot write */
function idOf({ id = null }: Readonly<Record<string, unknown>>): unknown {
  if (![...numbersIn(id)].every(Number.isFinite)) {
    throw new KvgenError('id: expected numbers up to 1.8e308, found a larger one; give it as a text');
  }
  return id;
}

function* numbersIn(value: unknown): Generator<number, void> {
  if (typeof value === 'number') {
    yield value;
  } else if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) {
      yield* numbersIn(part);
    }
  }
}

/** @throws KvgenError for what is nested so deep that writing it as JSON could fail */
function checkDepth(json: unknown): void {
  let level = [json];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) {
      throw new KvgenError(`expected JSON nested at most ${MAX_DEPTH} deep, found more`);
    }
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
}

/** What a line asks for. */
interface BatchLine {
  /** undefined: the prompt came as ids. */
  readonly prompt: string | readonly ChatMessage[] | undefined;
  readonly args: GenerateArgs;
}

/** Reads the JSON of a line. @throws KvgenError that names the key, what was expected and what was found */
function readBatchLine(json: Readonly<Record<string, unknown>>, defaults: GenerateArgs): BatchLine {
  const { id, prompt, messages, ...options } = json;
  if ([...numbersIn(id)].some((number) => Number.isInteger(number) && !Number.isSafeInteger(number))) {
    throw new KvgenError('id: a number beyond 2^53−1 would be written back as another one; give it as a text');
  }
  if (prompt !== undefined && typeof prompt !== 'string') {
    throw new KvgenError(`prompt: expected a text, found ${shown(prompt)}`);
  }
  if (messages !== undefined && (prompt ?? options.prompt_ids) !== undefined) {
    throw new KvgenError('expected a prompt, messages or prompt_ids, one of them');
  }
  if (messages === undefined && (prompt === undefined) === (options.prompt_ids === undefined)) {
    throw new KvgenError('expected a prompt or prompt_ids, one of the two');
  }
  const given = Object.entries(options).map(([key, value]) => readOption(key, value));
  const chat = messages === undefined ? {} : { chat: true };
  const args = settingsOf(GENERATE, { ...defaults, ...chat, ...Object.fromEntries(given) });
  checkGenerateArgs(args, prompt);
  return { prompt: messages === undefined ? prompt : chatOf(messages, args, options), args };
}

/** @throws KvgenError for messages that cannot be what the line says */
function chatOf(
  messages: unknown,
  { chat }: GenerateArgs,
  { system }: Readonly<Record<string, unknown>>,
): ChatMessage[] {
  const read = readMessages(messages);
  if (!chat) {
    throw new KvgenError('chat: messages are a chat, found false');
  }
  if (system !== undefined && read[0]?.role === 'system') {
    throw new KvgenError('system: the messages begin with one of their own');
  }
  return read;
}

/** A message about options with the keys of a line in it: `max_tokens` for `--max-tokens`. */
function lineWords(message: string): string {
  return message.replace(/--([a-z][a-z-]*)/g, (_, name: string) => name.replaceAll('-', '_'));
}

const OPTIONS = optionsOf(GENERATE);

function readOption(key: string, json: unknown): [name: string, value: unknown] {
  const form = `--${key.replaceAll('_', '-')}`;
  const option = OPTIONS.find(({ forms }) => forms.includes(form));
  if (option === undefined || key.includes('-')) {
    throw new KvgenError(`${key}: expected id, prompt or an option of generate, such as max_tokens`);
  }
  const { name, setting, negates } = option;
  if (!setting.for?.includes('line')) {
    const isShared = setting.for?.includes('batch');
    throw new KvgenError(
      `${key}: ${isShared ? 'is the same for all rows, an option of kvgen batch' : 'has no meaning for a row'}`,
    );
  }
  const value = setting.kind.fromJson(json, key);
  return [name, negates ? !value : value];
}
