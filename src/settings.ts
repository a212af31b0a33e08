// The option tables: one row an option, with its range, default and words for --help. The parser, the help
// text and the shell completions are all made from them. Knows nothing of commander, tensors or streams.

import { UsageError } from './errors.js';

export interface OptionRow {
  /** `-n, --max-tokens <n>`, as commander writes them. */
  readonly flags: string;
  readonly description: string;
  /** Text to value; throws UsageError. Without one the value stays text, or is a flag. */
  readonly parse?: (text: string, previous: unknown) => unknown;
  readonly fallback?: unknown;
  /** Environment variable that stands in when the option is not given. */
  readonly env?: string;
  readonly choices?: readonly string[];
}

/** What `kvgen generate` was asked for, defaults filled in. */
export interface GenerateArgs {
  readonly model: string;
  readonly file?: string;
  readonly promptIds?: readonly number[];
  readonly truncatePrompt?: 'head' | 'tail';
  readonly maxTokens: number;
  readonly ctxSize?: number;
  readonly stop: readonly string[];
  readonly ignoreEos: boolean;
  readonly cache: boolean;
  readonly onFull: 'stop' | 'reprefill';
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repeatPenalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly repeatLastN: number;
  readonly logitBias: ReadonlyMap<number, number>;
  readonly seed?: number;
  /** undefined: one text, which is not called a sample. */
  readonly samples?: number;
  readonly separator: string;
  /** undefined: as the environment says; see `wantsPromptCache`. */
  readonly promptCache?: boolean;
  readonly answerCache: boolean;
  readonly cacheDir?: string;
  readonly writeCache: boolean;
  readonly verifyCache: boolean;
  readonly backend: 'auto' | 'node' | 'wasm' | 'cpu';
  readonly engine: 'auto' | 'eager' | 'graph';
  readonly threads?: number;
  readonly echo: boolean;
  readonly json: boolean;
  readonly jsonl: boolean;
  readonly logprobs?: number;
  readonly stream: boolean;
  readonly verbose: boolean;
  readonly quiet: boolean;
  readonly color: 'auto' | 'always' | 'never';
}

/** What decides what is read from disk and kept there. */
export type StoreArgs = Pick<
  GenerateArgs,
  'cache' | 'promptCache' | 'answerCache' | 'cacheDir' | 'writeCache' | 'verbose'
>;

/** What `kvgen score` was asked for. */
export interface ScoreArgs extends Omit<StoreArgs, 'answerCache' | 'cache'> {
  readonly model: string;
  readonly file?: string;
  readonly promptIds?: readonly number[];
  readonly choices?: readonly string[];
  readonly choicesFile?: string;
  readonly perplexity?: string;
  readonly stride?: number;
  readonly perDocument: boolean;
  readonly ctxSize?: number;
  readonly backend: 'auto' | 'node' | 'wasm' | 'cpu';
  readonly engine: 'auto' | 'eager' | 'graph';
  readonly threads?: number;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly color: 'auto' | 'always' | 'never';
}

/** What `kvgen batch` was asked for: generate's options, as defaults of its rows. */
export interface BatchArgs
  extends Omit<
    GenerateArgs,
    'file' | 'promptIds' | 'json' | 'jsonl' | 'stream' | 'separator' | 'answerCache' | 'verifyCache'
  > {
  readonly concurrency: number;
}

/** What `kvgen cache` was asked for. */
export interface CacheArgs {
  readonly cacheDir?: string;
  readonly json: boolean;
  readonly color: 'auto' | 'always' | 'never';
}

/** What `kvgen bench` was asked for; what has no value depends on the model. */
export interface BenchArgs {
  readonly model: string;
  readonly promptTokens?: readonly number[];
  readonly genTokens: number;
  readonly depth?: readonly number[];
  readonly repeat: number;
  readonly warmup: number;
  readonly cachedOnly: boolean;
  readonly profile: boolean;
  readonly seed: number;
  readonly backend: 'auto' | 'node' | 'wasm' | 'cpu';
  readonly engine: 'auto' | 'eager' | 'graph';
  readonly threads?: number;
  readonly format: 'table' | 'md' | 'csv' | 'json' | 'jsonl';
  readonly verbose: boolean;
  readonly quiet: boolean;
  readonly color: 'auto' | 'always' | 'never';
}

/** Generate's defaults of how a token is chosen. */
export const SAMPLING_DEFAULTS = {
  temperature: 0.8,
  topK: 40,
  topP: 0.95,
  minP: 0,
  repeatPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  repeatLastN: 64,
  logitBias: new Map<number, number>(),
} as const;

const MODEL: OptionRow = {
  flags: '-m, --model <dir or name>',
  description: 'model folder (if it contains a separator) or name',
  fallback: 'stories',
  env: 'KVGEN_MODEL',
  parse: text('--model'),
};
export const FILE: OptionRow = {
  flags: '-f, --file <path>',
  description: 'read the prompt from a file (default: the argument, else stdin)',
  parse: text('--file'),
};
export const COLOR: OptionRow = {
  flags: '--color <when>',
  description: 'colours on stderr and in tables, never in the text',
  choices: ['auto', 'always', 'never'],
  fallback: 'auto',
};

const SEED: OptionRow = {
  flags: '--seed <n>',
  description: 'seed of the sampler (default: random, reported)',
  parse: integer('--seed', 0),
};
const BACKEND: OptionRow = {
  flags: '--backend <name>',
  description: 'where the tensors live',
  choices: ['auto', 'node', 'wasm', 'cpu'],
  fallback: 'auto',
};
const ENGINE: OptionRow = {
  flags: '--engine <name>',
  description: 'run op by op (eager), or as one captured TensorFlow graph; auto: graph where it pays',
  choices: ['auto', 'eager', 'graph'],
  fallback: 'auto',
};
const THREADS: OptionRow = {
  flags: '--threads <n>',
  description: 'threads of the node backend (default: chosen by kvgen)',
  parse: integer('--threads', 1, 1024),
};
const VERBOSE: OptionRow = { flags: '--verbose', description: 'statistics and notes on stderr', fallback: false };
const QUIET: OptionRow = { flags: '-q, --quiet', description: 'errors only on stderr', fallback: false };

const CACHE_DIR: OptionRow = {
  flags: '--cache-dir <path>',
  description:
    "where saved prompts and answers lie, in a folder kvgen of their own (default: the user's cache directory)",
  env: 'KVGEN_CACHE_DIR',
  parse: text('--cache-dir'),
};

const PROMPT_IDS: OptionRow = {
  flags: '--prompt-ids <ids>',
  description: 'the prompt as token ids: 1,2,3 (default: none)',
  parse: tokenIds,
};
const CTX_SIZE: OptionRow = {
  flags: '-c, --ctx-size <n>',
  description: "context in tokens, at most the model's (default: the model's)",
  parse: integer('--ctx-size', 1),
};
const PROMPT_CACHE: OptionRow = {
  flags: '--prompt-cache',
  description: "keep the prompt's keys and values on disk for the next run (default: off; KVGEN_PROMPT_CACHE=1: on)",
};
const NO_PROMPT_CACHE: OptionRow = {
  flags: '--no-prompt-cache',
  description: 'neither read nor keep them (default: as KVGEN_PROMPT_CACHE says)',
};
const NO_WRITE_CACHE: OptionRow = {
  flags: '--no-write-cache',
  description: 'read saved prompts and answers, write nothing (default: write)',
};

export const TOKENIZE_OPTIONS: readonly OptionRow[] = [MODEL, FILE];
export const DOCTOR_OPTIONS: readonly OptionRow[] = [MODEL, COLOR];

export const GENERATE_OPTIONS: readonly OptionRow[] = [
  MODEL,
  FILE,
  PROMPT_IDS,
  {
    flags: '--truncate-prompt <part>',
    description: 'drop this part of a prompt that does not fit (default: refuse it)',
    choices: ['head', 'tail'],
  },
  {
    flags: '-n, --max-tokens <n>',
    description: 'tokens to generate; -1: to the end of the context, 0: prefill only',
    fallback: 128,
    parse: integer('--max-tokens', -1),
  },
  CTX_SIZE,
  { flags: '--stop <text>', description: 'stop before this text; repeatable', fallback: [], parse: stopText },
  { flags: '--ignore-eos', description: 'treat the end-of-text token like any other', fallback: false },
  { flags: '--no-cache', description: 'recompute everything for each token (default: keep keys and values)' },
  {
    flags: '--on-full <what>',
    description: 'at the end of the context',
    choices: ['stop', 'reprefill'],
    fallback: 'stop',
  },
  {
    flags: '--temp, --temperature <x>',
    description: 'randomness; 0: always the likeliest token',
    fallback: SAMPLING_DEFAULTS.temperature,
    parse: number('--temperature', 0),
  },
  {
    flags: '--top-k <n>',
    description: 'sample from the k likeliest tokens; 0: off',
    fallback: SAMPLING_DEFAULTS.topK,
    parse: integer('--top-k', 0),
  },
  {
    flags: '--top-p <x>',
    description: 'sample from the smallest set with this probability; 1: off',
    fallback: SAMPLING_DEFAULTS.topP,
    parse: number('--top-p', 0, 1, true),
  },
  {
    flags: '--min-p <x>',
    description: 'drop tokens below this share of the likeliest; 0: off',
    fallback: SAMPLING_DEFAULTS.minP,
    parse: number('--min-p', 0, 1),
  },
  {
    flags: '--repeat-penalty <x>',
    description: 'divide the logits of recent tokens; 1: off',
    fallback: SAMPLING_DEFAULTS.repeatPenalty,
    parse: number('--repeat-penalty', 0, Number.MAX_VALUE, true),
  },
  {
    flags: '--frequency-penalty <x>',
    description: 'subtract for each recent use; 0: off',
    fallback: SAMPLING_DEFAULTS.frequencyPenalty,
    parse: number('--frequency-penalty', -Number.MAX_VALUE),
  },
  {
    flags: '--presence-penalty <x>',
    description: 'subtract once if used recently; 0: off',
    fallback: SAMPLING_DEFAULTS.presencePenalty,
    parse: number('--presence-penalty', -Number.MAX_VALUE),
  },
  {
    flags: '--repeat-last-n <n>',
    description: 'how many tokens count as recent; -1: all',
    fallback: SAMPLING_DEFAULTS.repeatLastN,
    parse: integer('--repeat-last-n', -1),
  },
  {
    flags: '--logit-bias <id=x>',
    description: 'add x to a token id; -inf bans it; repeatable',
    fallback: SAMPLING_DEFAULTS.logitBias,
    parse: logitBias,
  },
  SEED,
  {
    flags: '--samples <n>',
    description: 'texts from the one prompt, written one after the other; sample i uses seed + i (default: 1)',
    parse: integer('--samples', 1, 1024),
  },
  { flags: '--separator <line>', description: 'the line between two samples', fallback: '---' },
  PROMPT_CACHE,
  NO_PROMPT_CACHE,
  {
    flags: '--answer-cache',
    description: 'reuse a whole answer when everything that decides it is the same',
    fallback: false,
  },
  CACHE_DIR,
  NO_WRITE_CACHE,
  {
    flags: '--verify-cache',
    description: 'compare the logits with those of an uncached pass, step by step',
    fallback: false,
  },
  BACKEND,
  ENGINE,
  THREADS,
  { flags: '--echo', description: 'print the prompt first', fallback: false },
  { flags: '--json', description: 'print one JSON object at the end instead of the text', fallback: false },
  {
    flags: '--jsonl',
    description: 'print a JSON object for each token as it comes, and one at the end',
    fallback: false,
  },
  {
    flags: '--logprobs <k>',
    description:
      "log-probabilities in --json and --jsonl, with the k likeliest; --echo: the prompt's too (default: none)",
    parse: integer('--logprobs', 0, 1000),
  },
  { flags: '--no-stream', description: 'print the text at the end (default: as it arrives)' },
  VERBOSE,
  QUIET,
  COLOR,
];

/** Of generate's options, those that a batch has no use for. */
const NOT_OF_BATCH = [
  '-f,',
  '--prompt-ids',
  '--json',
  '--jsonl',
  '--no-stream',
  '--separator',
  '--answer-cache',
  '--verify-cache',
];

/** Generate's, which are defaults of the rows, and its own. */
export const BATCH_OPTIONS: readonly OptionRow[] = [
  {
    flags: '--concurrency <n>',
    description: 'rows that are decoded together',
    fallback: 8,
    parse: integer('--concurrency', 1, 256),
  },
  ...GENERATE_OPTIONS.filter(({ flags }) => !NOT_OF_BATCH.includes(flags.split(' ')[0] as string)),
];

export const SCORE_OPTIONS: readonly OptionRow[] = [
  MODEL,
  FILE,
  PROMPT_IDS,
  {
    flags: '--choices <a|b|c>',
    description: 'continuations to score, taken literally (default: none)',
    parse: choiceTexts,
  },
  {
    flags: '--choices-file <path>',
    description: 'the same, one a line (default: none)',
    parse: text('--choices-file'),
  },
  {
    flags: '--perplexity <path>',
    description: 'score a text file instead of choices (default: none)',
    parse: text('--perplexity'),
  },
  {
    flags: '--stride <n>',
    description: 'tokens by which the window moves over a longer text (default: half the context)',
    parse: integer('--stride', 1),
  },
  {
    flags: '--per-document',
    description: 'score each document alone, without white space around it; a line <|endoftext|> ends one',
    fallback: false,
  },
  CTX_SIZE,
  PROMPT_CACHE,
  NO_PROMPT_CACHE,
  CACHE_DIR,
  NO_WRITE_CACHE,
  BACKEND,
  ENGINE,
  THREADS,
  { flags: '--json', description: 'print JSON instead of a table', fallback: false },
  VERBOSE,
  QUIET,
  COLOR,
];

export const CACHE_OPTIONS: readonly OptionRow[] = [
  CACHE_DIR,
  { flags: '--json', description: 'print JSON', fallback: false },
  COLOR,
];

export const BENCH_OPTIONS: readonly OptionRow[] = [
  {
    ...MODEL,
    description: 'model folder or name, or random:124M, random:6x256 (layers x channels): one made in memory',
    parse: benchModel,
  },
  {
    flags: '--prompt-tokens <list>',
    description: 'prompts to prefill, in tokens; 0: none (default: 128,512 as far as they fit)',
    parse: counts('--prompt-tokens'),
  },
  {
    flags: '--gen-tokens <n>',
    description: 'tokens to decode at each depth; 0: none',
    fallback: 32,
    parse: integer('--gen-tokens', 0),
  },
  {
    flags: '--depth <list>',
    description: 'tokens already cached before decoding (default: 0,256,512,768 as far as they fit)',
    parse: counts('--depth'),
  },
  {
    flags: '--repeat <n>',
    description: 'measurements of each point',
    fallback: 3,
    parse: integer('--repeat', 1, 1000),
  },
  { flags: '--warmup <n>', description: 'runs before them', fallback: 1, parse: integer('--warmup', 0, 1000) },
  { flags: '--cached-only', description: 'do not measure decoding without the cache', fallback: false },
  { flags: '--profile', description: 'measure the parts of a decode step too', fallback: false },
  { ...SEED, description: 'seed of the token ids and of random weights', fallback: 0 },
  BACKEND,
  { ...ENGINE, description: 'op by op (eager), or one captured TensorFlow graph; auto: graph on the node backend' },
  THREADS,
  {
    flags: '--format <name>',
    description: 'form of the result; table has a chart below it',
    choices: ['table', 'md', 'csv', 'json', 'jsonl'],
    fallback: 'table',
  },
  VERBOSE,
  QUIET,
  COLOR,
];

/** The arguments of a row that says nothing but its prompt. */
export function batchDefaults({ concurrency, ...args }: BatchArgs): GenerateArgs {
  return { ...args, json: true, jsonl: false, stream: true, separator: '', answerCache: false, verifyCache: false };
}

export interface Limits {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** How much may be kept on disk, and for how long. @throws UsageError for what is no number */
export function readLimits(env: NodeJS.ProcessEnv): Limits {
  return {
    maxBytes: readLimit(env, 'KVGEN_CACHE_MAX_BYTES', 2 ** 31, /^\d+$/, 'a whole number of bytes'),
    maxAgeMs: DAY_MS * readLimit(env, 'KVGEN_CACHE_MAX_AGE_DAYS', 30, /^\d+(\.\d+)?$/, 'a number of days'),
  };
}

function readLimit(env: NodeJS.ProcessEnv, name: string, fallback: number, form: RegExp, expected: string): number {
  const { [name]: value = '' } = env;
  if (value === '') {
    return fallback;
  }
  if (!form.test(value) || !Number.isFinite(Number(value))) {
    throw new UsageError(`${name} must be ${expected}, got ${JSON.stringify(value)}`);
  }
  return Number(value);
}

/**
 * Are prompts kept? `--no-cache` overrides the environment.
 * @throws UsageError when the environment says neither yes nor no
 */
export function wantsPromptCache(
  { cache, promptCache }: Pick<GenerateArgs, 'cache' | 'promptCache'>,
  env: NodeJS.ProcessEnv,
): boolean {
  const { KVGEN_PROMPT_CACHE: value = '' } = env;
  if (!['', '0', '1'].includes(value)) {
    throw new UsageError(`KVGEN_PROMPT_CACHE must be 0 or 1, got ${quote(value)}`);
  }
  return cache && (promptCache ?? value === '1');
}

/** How many of the likeliest tokens go with each; undefined: no log-probabilities are computed. */
export function wantedLogprobs({ logprobs, jsonl }: GenerateArgs): number | undefined {
  return logprobs ?? (jsonl ? 0 : undefined);
}

function text(option: string): (value: string) => string {
  return (value) => {
    if (value === '') {
      throw new UsageError(`${option} must not be empty`);
    }
    return value;
  };
}

function integer(option: string, min: number, max = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const n = /^[+-]?\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!(Number.isSafeInteger(n) && n >= min && n <= max)) {
      const range = max === Number.MAX_SAFE_INTEGER ? `${min} … 2^53−1` : `${min} … ${max}`;
      throw new UsageError(`${option} must be a whole number in ${range}, got ${quote(value)}`);
    }
    return n;
  };
}

function number(option: string, min: number, max = Number.MAX_VALUE, open = false): (value: string) => number {
  return (value) => {
    const x = toNumber(value);
    if (!(x <= max && (open ? x > min : x >= min))) {
      const from = min === -Number.MAX_VALUE ? '(−∞' : `${open ? '(' : '['}${min}`;
      throw new UsageError(
        `${option} must be in ${from}, ${max === Number.MAX_VALUE ? '∞)' : `${max}]`}, got ${quote(value)}`,
      );
    }
    return x;
  };
}

/** Whole numbers with commas between them. */
function counts(option: string): (value: string) => number[] {
  const parse = integer(option, 0);
  return (value) => value.split(',').map(parse);
}

function benchModel(value: string): string {
  if (value.startsWith('random:') && !/^random:(124M|[1-9]\d{0,2}x[1-9]\d{0,4})$/.test(value)) {
    throw new UsageError(`--model ${value}: expected random:124M or layers and channels, such as random:6x256`);
  }
  return text('--model')(value);
}

/** Decimal notation only: Number() would take '', ' 1 ' and 0x10. */
function toNumber(value: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) ? Number(value) : Number.NaN;
}

function tokenIds(value: string): number[] {
  const ids = value.split(',').map((id) => (/^\s*\d+\s*$/.test(id) ? Number(id) : Number.NaN));
  if (!ids.every(Number.isSafeInteger)) {
    throw new UsageError(`--prompt-ids must be token ids with commas between them, got ${quote(value)}`);
  }
  return ids;
}

function choiceTexts(value: string): string[] {
  const choices = value.split('|');
  if (choices.includes('')) {
    throw new UsageError(`--choices must be texts with | between them, none of them empty, got ${quote(value)}`);
  }
  return choices;
}

function stopText(value: string, previous: unknown): string[] {
  return [...(previous as string[]), text('--stop')(value)];
}

function logitBias(value: string, previous: unknown): Map<number, number> {
  const [, id, bias] = /^(\d+)=(.+)$/.exec(value) ?? [];
  const x = bias === '-inf' ? Number.NEGATIVE_INFINITY : toNumber(bias ?? '');
  if (id === undefined || !Number.isSafeInteger(Number(id)) || Number.isNaN(x) || x === Number.POSITIVE_INFINITY) {
    throw new UsageError(`--logit-bias must be a token id, '=' and a number or -inf, got ${quote(value)}`);
  }
  return new Map(previous as Map<number, number>).set(Number(id), x);
}

function quote(value: string): string {
  return /^[\w.+-]+$/.test(value) ? value : JSON.stringify(value);
}
