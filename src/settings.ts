// The settings: GENERATE has a row for each. Options, --help, completions, the keys of a batch's lines, the library's
// options and all their types are made from the rows. A new setting is a row and the line that uses it. Also what the
// environment says of the caches, and which settings cannot go together. Knows nothing of commander, tensors or streams.

import { inspect } from 'node:util';
import { BACKENDS, CACHE_DTYPES, ENGINES, WEIGHTS } from './backends.js';
import { shown, UsageError } from './errors.js';
import {
  anyText,
  biases,
  flag,
  integer,
  type Kind,
  number,
  oneOf,
  path,
  quote,
  serverUrl,
  text,
  texts,
  tokenCount,
  tokenIds,
} from './kinds.js';

/** One row of a table. */
export interface Setting<T> {
  readonly kind: Kind<T>;
  /** What --help says. For a flag that is on by default: what its --no-… does. */
  readonly words: string;
  /** What --help says of the --no-… of a flag that is neither on nor off by default. */
  readonly noWords?: string;
  readonly short?: string;
  readonly alias?: string;
  /** How --help writes the value (default: as its kind does). */
  readonly value?: string;
  readonly fallback?: T;
  /** The environment variable that counts when the option is not given. */
  readonly env?: string;
  /** Who takes it besides generate (default: nobody). */
  readonly for?: readonly Taker[];
}

/** `kvgen batch` for all its lines, a single line of a batch, or the library. */
type Taker = 'batch' | 'line' | 'library';

/** Rows by the name of the setting. */
export type Table = Readonly<Record<string, Setting<unknown>>>;

/** The type that rows are written with: a fallback that is not of its row's kind does not compile. */
export type Rows = Readonly<
  Record<
    string,
    | Setting<number>
    | Setting<string>
    | Setting<boolean>
    | Setting<readonly number[]>
    | Setting<readonly string[]>
    | Setting<ReadonlyMap<number, number>>
  >
>;

// Who takes a setting that is the same for a whole run, can differ between prompts, or decides the text.
const RUN = ['batch'] as const;
const PROMPT = ['batch', 'line'] as const;
const TEXT = ['batch', 'line', 'library'] as const;

/** The settings of `kvgen generate`, in the order of --help. */
export const GENERATE = {
  model: {
    kind: { ...text, completes: 'models' },
    words: 'model folder (if it contains a separator) or name',
    short: 'm',
    value: '<dir or name>',
    fallback: 'stories',
    env: 'KVGEN_MODEL',
    for: RUN,
  },
  file: { kind: path, words: 'read the prompt from a file (default: the argument, else stdin)', short: 'f' },
  promptIds: { kind: tokenIds, words: 'the prompt as token ids: 1,2,3 (default: none)', for: ['line'] },
  truncatePrompt: {
    kind: oneOf(['head', 'tail']),
    words: 'drop this part of a prompt that does not fit (default: refuse it)',
    value: '<part>',
    for: PROMPT,
  },
  maxTokens: {
    kind: tokenCount,
    words: 'tokens to generate; -1: to the end of the context, 0: prefill only',
    short: 'n',
    fallback: 128,
    for: TEXT,
  },
  ctxSize: {
    kind: integer({ min: 1 }),
    words: "context in tokens, at most the model's (default: the model's, up to 8192)",
    short: 'c',
    for: PROMPT,
  },
  stop: { kind: texts, words: 'stop before this text; repeatable', fallback: [], for: TEXT },
  bos: {
    kind: flag,
    words: 'put nothing before the prompt (default: what the tokenizer puts there, such as <s>)',
    fallback: true,
    for: TEXT,
  },
  chat: {
    kind: flag,
    words: "the prompt is one user's turn of a model with a chat template, which answers it",
    fallback: false,
    for: PROMPT,
  },
  system: {
    kind: anyText,
    words: 'what the model is told before that turn, with --chat (default: nothing, or what its template says)',
    value: '<text>',
    for: PROMPT,
  },
  special: { kind: flag, words: 'print special tokens, such as <|endoftext|>, as text', fallback: false, for: TEXT },
  ignoreEos: { kind: flag, words: 'treat the end-of-text token like any other', fallback: false, for: TEXT },
  cache: {
    kind: flag,
    words: 'recompute everything for each token (default: keep keys and values)',
    fallback: true,
    for: TEXT,
  },
  onFull: {
    kind: oneOf(['stop', 'reprefill']),
    words: 'at the end of the context',
    value: '<what>',
    fallback: 'stop',
    for: TEXT,
  },
  draft: {
    kind: integer({ min: 0, max: 64 }),
    words: 'guess up to n tokens from what was said before and check them in one pass; the text stays the same',
    fallback: 0,
    for: TEXT,
  },
  draftModel: {
    kind: { ...text, completes: 'models' },
    words: 'a second, smaller model with the same tokens that guesses for --draft (default: what was said before)',
    value: '<dir or name>',
    for: RUN,
  },
  temperature: {
    kind: number({ min: 0 }),
    words: 'randomness; 0: always the likeliest token',
    alias: 'temp',
    fallback: 0.8,
    for: TEXT,
  },
  topK: { kind: integer({ min: 0 }), words: 'sample from the k likeliest tokens; 0: off', fallback: 40, for: TEXT },
  topP: {
    kind: number({ above: 0, max: 1 }),
    words: 'sample from the smallest set with this probability; 1: off',
    fallback: 0.95,
    for: TEXT,
  },
  minP: {
    kind: number({ min: 0, max: 1 }),
    words: 'drop tokens below this share of the likeliest; 0: off',
    fallback: 0,
    for: TEXT,
  },
  repeatPenalty: {
    kind: number({ above: 0 }),
    words: 'divide the logits of recent tokens; 1: off',
    fallback: 1,
    for: TEXT,
  },
  frequencyPenalty: { kind: number({}), words: 'subtract for each recent use; 0: off', fallback: 0, for: TEXT },
  presencePenalty: { kind: number({}), words: 'subtract once if used recently; 0: off', fallback: 0, for: TEXT },
  repeatLastN: {
    kind: integer({ min: -1 }),
    words: 'how many tokens count as recent; -1: all',
    fallback: 64,
    for: TEXT,
  },
  logitBias: {
    kind: biases,
    words: 'add x to a token id; -inf bans it; repeatable',
    fallback: new Map<number, number>(),
    for: TEXT,
  },
  seed: { kind: integer({ min: 0 }), words: 'seed of the sampler (default: random, reported)', for: TEXT },
  samples: {
    kind: integer({ min: 1, max: 1024 }),
    words: 'texts from the one prompt, written one after the other; sample i uses seed + i (default: 1)',
    for: PROMPT,
  },
  separator: { kind: anyText, words: 'the line between two samples', value: '<line>', fallback: '---' },
  promptCache: {
    kind: flag,
    words: "keep the prompt's keys and values on disk for the next run (default: off; KVGEN_PROMPT_CACHE=1: on)",
    noWords: 'neither read nor keep them (default: as KVGEN_PROMPT_CACHE says)',
    for: RUN,
  },
  keep: {
    kind: oneOf(['prompt', 'all']),
    words: 'what --prompt-cache keeps: the prompt alone, or what is generated too (default: all)',
    value: '<what>',
    for: RUN,
  },
  answerCache: {
    kind: flag,
    words: 'reuse a whole answer when everything that decides it is the same',
    fallback: false,
  },
  cacheDir: {
    kind: path,
    words: "where saved prompts and answers lie, in a folder kvgen of their own (default: the user's cache directory)",
    env: 'KVGEN_CACHE_DIR',
    for: RUN,
  },
  writeCache: {
    kind: flag,
    words: 'read saved prompts and answers, write nothing (default: write)',
    fallback: true,
    for: RUN,
  },
  cacheDtype: {
    kind: oneOf(CACHE_DTYPES),
    words:
      'saved keys and values: float16 takes half the bytes, float32 keeps every bit (default: float32 on simd, else float16)',
    value: '<dtype>',
    for: RUN,
  },
  verifyCache: {
    kind: flag,
    words: 'compare the logits with those of an uncached pass, step by step',
    fallback: false,
  },
  backend: {
    kind: oneOf(BACKENDS),
    words:
      'TensorFlow (node), WebAssembly (simd) or plain JavaScript (cpu); auto: node where it is installed, else simd',
    fallback: 'auto',
    env: 'KVGEN_BACKEND',
    for: RUN,
  },
  engine: {
    kind: oneOf(ENGINES),
    words: 'node alone: run op by op (eager), or as one captured TensorFlow graph; auto: graph where it pays',
    fallback: 'auto',
    for: RUN,
  },
  threads: {
    kind: integer({ min: 1, max: 1024 }),
    words: 'threads of the node and simd backends (default: chosen by kvgen)',
    for: RUN,
  },
  weights: {
    kind: oneOf(WEIGHTS),
    words: 'what the weights are computed with; int8 is for simd, which auto then stands for (default: float32)',
    env: 'KVGEN_WEIGHTS',
    for: RUN,
  },
  server: {
    kind: serverUrl,
    words: 'let an OpenAI-compatible server do the work; -m names its model (default: this machine)',
    env: 'KVGEN_SERVER',
    for: RUN,
  },
  tokenizer: {
    kind: path,
    words:
      "with --server: the served model's folder here, whose tokenizer makes ids of texts (default: texts are sent)",
    value: '<dir>',
    for: RUN,
  },
  timeout: {
    kind: number({ above: 0, max: 86_400 }),
    words: 'with --server: seconds without a byte after which a request is given up (default: 600)',
    value: '<s>',
    for: RUN,
  },
  escape: {
    kind: flag,
    words: '\\n, \\t, \\\\, \\xNN and \\uNNNN in the prompt argument and in --stop are what they stand for',
    fallback: false,
    for: RUN,
  },
  colorByProbability: {
    kind: flag,
    words: 'on a terminal the colour of each token says how likely it was; never in a pipe',
    fallback: false,
  },
  echo: { kind: flag, words: 'print the prompt first', fallback: false, for: PROMPT },
  json: { kind: flag, words: 'print one JSON object at the end instead of the text', fallback: false },
  jsonl: { kind: flag, words: 'print a JSON object for each token as it comes, and one at the end', fallback: false },
  logprobs: {
    kind: integer({ min: 0, max: 1000 }),
    words: "log-probabilities in --json and --jsonl, with the k likeliest; --echo: the prompt's too (default: none)",
    value: '<k>',
    for: TEXT,
  },
  stream: { kind: flag, words: 'print the text at the end (default: as it arrives)', fallback: true },
  verbose: { kind: flag, words: 'statistics and notes on stderr', fallback: false, for: RUN },
  quiet: { kind: flag, words: 'errors only on stderr', short: 'q', fallback: false, for: RUN },
  color: {
    kind: oneOf(['auto', 'always', 'never']),
    words: 'colours on stderr and in tables; in the text only with --color-by-probability',
    value: '<when>',
    fallback: 'auto',
    for: RUN,
  },
} as const satisfies Rows;

type ValueOf<S> = S extends { readonly kind: Kind<infer T> } ? T : never;
type NamesWithFallback<T> = { [K in keyof T]: T[K] extends { readonly fallback: unknown } ? K : never }[keyof T];

/** The values of a table's settings; a setting with a fallback always has one. */
export type SettingsOf<T extends Table> = {
  readonly [K in NamesWithFallback<T>]: ValueOf<T[K]>;
} & { readonly [K in Exclude<keyof T, NamesWithFallback<T>>]?: ValueOf<T[K]> };

/** What `kvgen generate` was asked for. */
export type GenerateArgs = SettingsOf<typeof GENERATE>;

/** The settings that decide what is read from disk and saved there. */
export type StoreArgs = Pick<
  GenerateArgs,
  'cache' | 'promptCache' | 'keep' | 'answerCache' | 'cacheDir' | 'writeCache' | 'cacheDtype' | 'verbose'
>;

/** The given values, and fallbacks for the others. @throws Error for a value that is not of its kind, which is a bug */
export function settingsOf<T extends Table>(table: T, given: object): SettingsOf<T> {
  const found = new Map<string, unknown>(Object.entries(given));
  const filled = Object.entries(table).map(([name, { fallback }]) => [name, found.get(name) ?? fallback] as const);
  const settings = Object.fromEntries(filled.filter(([, value]) => value !== undefined));
  assertSettings(table, settings);
  return settings;
}

function assertSettings<T extends Table>(table: T, values: object): asserts values is SettingsOf<T> {
  for (const [name, value] of Object.entries(values)) {
    if (table[name]?.kind.is(value) !== true) {
      throw new Error(`${name}: ${inspect(value)} is not of its kind`);
    }
  }
}

type TakenBy<W extends Taker> = {
  [K in keyof typeof GENERATE as (typeof GENERATE)[K] extends { readonly for: readonly (infer F)[] }
    ? W extends F
      ? K
      : never
    : never]: (typeof GENERATE)[K];
};

/** The rows of GENERATE that `taker` takes too. */
export function takenBy<W extends Taker>(taker: W): TakenBy<W> {
  const rows = Object.entries<Setting<unknown>>(GENERATE).filter(([, row]) => row.for?.includes(taker));
  return Object.fromEntries(rows) as TakenBy<W>; // TypeScript cannot see that the filter matches the type
}

/** The settings that decide which text follows a prompt: those of the library. */
export type TextSettings = SettingsOf<TakenBy<'library'>>;

/** An option as it is typed. A flag that is neither on nor off by default becomes two options. */
export interface TypedOption {
  readonly name: string;
  readonly setting: Setting<unknown>;
  /** Such as `--max-tokens`; errors name it. */
  readonly long: string;
  /** All spellings, such as `-n` and `--max-tokens`. */
  readonly forms: readonly string[];
  /** As --help shows it: `-n, --max-tokens <n>`. */
  readonly flags: string;
  readonly words: string;
  /** Does it turn its setting off? */
  readonly negates: boolean;
}

export function optionsOf(table: Table): TypedOption[] {
  return Object.entries(table).flatMap(([name, setting]) => {
    const { fallback, words, noWords } = setting;
    const own = toOption(name, setting, words, fallback === true);
    return noWords === undefined ? own : [own, toOption(name, setting, noWords, true)];
  });
}

function toOption(name: string, setting: Setting<unknown>, words: string, negates: boolean): TypedOption {
  const { short, alias, kind, value = kind.value } = setting;
  const long = `--${negates ? 'no-' : ''}${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const forms = [...(short ? [`-${short}`] : []), ...(alias ? [`--${alias}`] : []), long];
  const flags = `${forms.join(', ')} ${value ?? ''}`.trimEnd();
  return { name, setting, long, forms, flags, words, negates };
}

export interface Limits {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** How much may be saved on disk, and for how long. @throws UsageError for what is no number */
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
    throw new UsageError(`${name} must be ${expected}, got ${shown(value)}`);
  }
  return Number(value);
}

/**
 * @throws UsageError for a wrong environment variable of the caches, even where it is not needed; for what to keep where
 * nothing is kept
 */
export function checkCacheEnvironment(args: Pick<GenerateArgs, 'cache' | 'promptCache' | 'keep'>): void {
  readLimits(process.env);
  keySource(process.env);
  const wanted = wantsPromptCache(args, process.env);
  throwFirst([[args.keep !== undefined && !wanted, '--keep needs --prompt-cache, or KVGEN_PROMPT_CACHE=1']]);
}

/**
 * Are prompts saved? `--no-cache` overrides the environment.
 * @throws UsageError when KVGEN_PROMPT_CACHE says neither yes nor no
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

/** How many of the likeliest tokens come with each token; undefined: no log-probabilities are computed. */
export function wantedLogprobs({ logprobs, jsonl, colorByProbability }: GenerateArgs): number | undefined {
  return logprobs ?? (jsonl || colorByProbability ? 0 : undefined);
}

/** Where the key of sealed files comes from: the variable that says so, and its value. */
export interface KeySource {
  readonly name: 'KVGEN_CACHE_KEY_FILE' | 'KVGEN_CACHE_KEY_COMMAND';
  readonly value: string;
}

/**
 * @returns undefined: from nowhere, so what is saved is not sealed
 * @throws UsageError when both variables are set
 */
export function keySource(env: NodeJS.ProcessEnv): KeySource | undefined {
  const { KVGEN_CACHE_KEY_FILE: file = '', KVGEN_CACHE_KEY_COMMAND: command = '' } = env;
  throwFirst([[file !== '' && command !== '', 'KVGEN_CACHE_KEY_FILE cannot go with KVGEN_CACHE_KEY_COMMAND']]);
  if (file !== '') {
    return { name: 'KVGEN_CACHE_KEY_FILE', value: file };
  }
  return command === '' ? undefined : { name: 'KVGEN_CACHE_KEY_COMMAND', value: command };
}

type Conflict = readonly [holds: boolean, message: string];

/** @throws UsageError that names the settings which cannot go together */
export function checkGenerateArgs(args: GenerateArgs, prompt: string | undefined): void {
  const { cache, samples = 1, seed = 0 } = args;
  throwFirst([
    [!cache && args.engine === 'graph', '--no-cache cannot go with --engine graph'],
    [!cache && args.promptCache === true, '--no-cache cannot go with --prompt-cache'],
    [!cache && args.verifyCache, '--no-cache cannot go with --verify-cache'],
    [!cache && args.draft > 0, '--no-cache cannot go with --draft'],
    [samples > 1 && args.verifyCache, '--samples cannot go with --verify-cache'],
    [seed > Number.MAX_SAFE_INTEGER - (samples - 1), '--seed: seed + samples − 1 must be at most 2^53−1'],
    [args.json && args.jsonl, '--json cannot go with --jsonl'],
    [args.logprobs !== undefined && !args.json && !args.jsonl, '--logprobs needs --json or --jsonl'],
    [args.colorByProbability && args.json, '--color-by-probability cannot go with --json'],
    [args.colorByProbability && args.jsonl, '--color-by-probability cannot go with --jsonl'],
    [args.quiet && args.verbose, '--quiet cannot go with --verbose'],
    ...chatConflicts(args),
    ...promptConflicts(args, prompt),
  ]);
}

/** @throws UsageError for a draft model that would not be asked. A line of a batch may draft nothing all the same */
export function checkDraftModel({ draft, draftModel }: Pick<GenerateArgs, 'draft' | 'draftModel'>): void {
  throwFirst([[draftModel !== undefined && draft === 0, '--draft-model needs --draft']]);
}

/** The template alone says what stands before a chat, and it makes a prompt of texts. */
function chatConflicts({ chat, system, bos, promptIds }: GenerateArgs): Conflict[] {
  return [
    [system !== undefined && !chat, '--system needs --chat'],
    [chat && !bos, '--chat cannot go with --no-bos'],
    [chat && promptIds !== undefined, '--chat cannot go with --prompt-ids'],
  ];
}

/** A prompt comes from one source only. */
export function promptConflicts(
  { file, promptIds }: Pick<GenerateArgs, 'file' | 'promptIds'>,
  prompt: string | undefined,
): Conflict[] {
  return [
    [file !== undefined && prompt !== undefined, '--file cannot go with a prompt'],
    [promptIds !== undefined && prompt !== undefined, '--prompt-ids cannot go with a prompt'],
    [promptIds !== undefined && file !== undefined, '--prompt-ids cannot go with --file'],
  ];
}

/** @throws UsageError with the message of the first conflict that holds */
export function throwFirst(conflicts: readonly Conflict[]): void {
  const conflict = conflicts.find(([holds]) => holds);
  if (conflict !== undefined) {
    throw new UsageError(conflict[1]);
  }
}
