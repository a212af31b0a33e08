// One line of `kvgen batch`: a JSON object into the arguments of generate. Keys are generate's long options in
// snake_case; what is wrong with a row is said in the row's own words. Knows nothing of models or streams.

import { KvgenError, UsageError } from '../../errors.js';
import { BATCH_OPTIONS, GENERATE_OPTIONS, type GenerateArgs, type OptionRow } from '../../settings.js';
import { checkGenerateArgs } from '../generate/conflicts.js';

/** A row that can be run. */
export interface BatchRow {
  readonly id: unknown;
  /** undefined: it came as ids. */
  readonly prompt: string | undefined;
  readonly args: GenerateArgs;
}

/** What is the same for all rows, or has no meaning for one. */
const OF_THE_PROCESS = [
  'model',
  'backend',
  'engine',
  'threads',
  'file',
  'json',
  'jsonl',
  'no_stream',
  'separator',
  'answer_cache',
  'prompt_cache',
  'no_prompt_cache',
  'cache_dir',
  'no_write_cache',
  'verify_cache',
  'verbose',
  'quiet',
  'color',
];

/** A row by its line's JSON. @throws KvgenError that names the key, what was expected and what was found */
export function readRow(json: Record<string, unknown>, defaults: GenerateArgs): BatchRow {
  const { id = null, prompt, ...options } = json;
  if (typeof id === 'number' && Number.isInteger(id) && !Number.isSafeInteger(id)) {
    throw new KvgenError('id: a number beyond 2^53−1 would be written back as another one; give it as a text');
  }
  if (prompt !== undefined && typeof prompt !== 'string') {
    throw wrong('prompt', 'a text', prompt);
  }
  if ((prompt === undefined) === (options.prompt_ids === undefined)) {
    throw new KvgenError('expected a prompt or prompt_ids, one of the two');
  }
  const args = Object.entries(options).reduce((all, [key, value]) => withOption(all, key, value), defaults);
  checkGenerateArgs(args, prompt);
  return { id, prompt, args };
}

/** What is said of options, in the words of a row. */
export function rowWords(message: string): string {
  return message.replace(/--([a-z][a-z-]*)/g, (_, name: string) => name.replaceAll('-', '_'));
}

function withOption(args: GenerateArgs, key: string, value: unknown): GenerateArgs {
  const flag = `--${key.replaceAll('_', '-')}`;
  const row = GENERATE_OPTIONS.find(({ flags }) => longFlags(flags).includes(flag));
  if (row === undefined || /[A-Z-]/.test(key)) {
    throw new KvgenError(`${key}: expected id, prompt or an option of generate, such as max_tokens`);
  }
  if (OF_THE_PROCESS.includes(key)) {
    const isShared = BATCH_OPTIONS.some(({ flags }) => longFlags(flags).includes(flag));
    throw new KvgenError(
      `${key}: ${isShared ? `is the same for all rows, an option of kvgen batch` : 'has no meaning for a row'}`,
    );
  }
  const name = (longFlags(row.flags).at(-1) as string).replace(/^--(no-)?/, '');
  const attribute = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  return { ...args, [attribute]: readValue(row, key, value) };
}

function longFlags(flags: string): string[] {
  return flags.match(/--[\w-]+/g) ?? [];
}

/** As the command line would read it. */
function readValue(row: OptionRow, key: string, value: unknown): unknown {
  if (!row.flags.includes('<')) {
    if (typeof value !== 'boolean') {
      throw wrong(key, 'true or false', value);
    }
    return row.flags.startsWith('--no-') ? !value : value;
  }
  const texts = key === 'stop' ? stopTexts(value) : key === 'logit_bias' ? biasTexts(value) : [plainText(key, value)];
  if (row.choices !== undefined && !row.choices.includes(texts[0] as string)) {
    throw wrong(key, `one of ${row.choices.join(', ')}`, value);
  }
  try {
    return texts.reduce<unknown>((previous, text) => row.parse?.(text, previous) ?? text, row.fallback);
  } catch (error) {
    // Said of the option; the row has its own name for it.
    throw error instanceof UsageError ? new KvgenError(error.message.replace(/^--[\w-]+/, key)) : error;
  }
}

function plainText(key: string, value: unknown): string {
  if (key === 'prompt_ids') {
    if (!Array.isArray(value) || value.length === 0 || !value.every((id) => Number.isSafeInteger(id) && id >= 0)) {
      throw wrong(key, 'a list of token ids', value);
    }
    return value.map(String).join();
  }
  if (typeof value !== 'number' && typeof value !== 'string') {
    throw wrong(key, 'a number or a text', value);
  }
  return String(value);
}

function stopTexts(value: unknown): string[] {
  const texts: unknown[] = Array.isArray(value) ? value : [value];
  if (!texts.every((text): text is string => typeof text === 'string')) {
    throw wrong('stop', 'a text or a list of texts', value);
  }
  return texts;
}

/** `{"262": -1.5, "50256": "-inf"}`. */
function biasTexts(value: unknown): string[] {
  const entries = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : null;
  const isBias = ([id, bias]: [string, unknown]) => /^\d+$/.test(id) && (typeof bias === 'number' || bias === '-inf');
  if (entries === null || !entries.every(isBias)) {
    throw wrong('logit_bias', 'an object of token ids and numbers, or "-inf"', value);
  }
  return entries.map(([id, bias]) => `${id}=${bias}`);
}

function wrong(key: string, expected: string, found: unknown): KvgenError {
  return new KvgenError(`${key}: expected ${expected}, found ${JSON.stringify(found)}`);
}
