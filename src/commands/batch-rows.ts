// One line of `kvgen batch`: a JSON object into the arguments of generate. Keys are generate's long options in
// snake_case; what is wrong with a row is said in the row's own words. Knows nothing of models or streams.

import { KvgenError, UsageError } from '../errors.js';
import { GENERATE_OPTIONS, type GenerateArgs, type OptionRow } from '../options.js';

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
  if (prompt !== undefined && typeof prompt !== 'string') {
    throw wrong('prompt', 'a text', prompt);
  }
  if ((prompt === undefined) === (options.prompt_ids === undefined)) {
    throw new KvgenError('expected a prompt or prompt_ids, one of the two');
  }
  const args = Object.entries(options).reduce((all, [key, value]) => withOption(all, key, value), defaults);
  if ((args.seed ?? 0) > Number.MAX_SAFE_INTEGER - (args.samples - 1)) {
    throw new KvgenError('seed: seed + samples − 1 must be at most 2^53−1');
  }
  return { id, prompt, args };
}

function withOption(args: GenerateArgs, key: string, value: unknown): GenerateArgs {
  const flag = `--${key.replaceAll('_', '-')}`;
  const row = GENERATE_OPTIONS.find(({ flags }) => longFlags(flags).includes(flag));
  if (row === undefined || /[A-Z-]/.test(key)) {
    throw new KvgenError(`${key}: expected id, prompt or an option of generate, such as max_tokens`);
  }
  if (OF_THE_PROCESS.includes(key)) {
    throw new KvgenError(`${key}: is the same for all rows; give ${flag} to kvgen batch, if it has it`);
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
    if (!Array.isArray(value) || value.length === 0) {
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

/** `{"262": -1.5, "50256": "-inf"}`, or a list of texts as on the command line. */
function biasTexts(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) {
    throw wrong('logit_bias', 'an object of token ids and numbers', value);
  }
  return Array.isArray(value) ? value.map(String) : Object.entries(value).map(([id, bias]) => `${id}=${bias}`);
}

function wrong(key: string, expected: string, found: unknown): KvgenError {
  return new KvgenError(`${key}: expected ${expected}, found ${JSON.stringify(found)}`);
}
