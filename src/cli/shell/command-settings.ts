// The settings of the other commands: rows of GENERATE that they share, and rows of their own. They are kept apart from
// the commands' code, which --help does not load.

import { BACKENDS, WEIGHTS } from '../../backends.js';
import { UsageError } from '../../errors.js';
import { checkRevision, parseHub } from '../../hub/model-name.js';
import { flag, integer, oneOf, path, quote, someOf, text, texts, tokenIds } from '../../kinds.js';
import { GENERATE, type Rows, type SettingsOf, takenBy } from '../../settings.js';

const { model, file, promptIds, bos, ctxSize, seed, promptCache, cacheDir, writeCache, cacheDtype } = GENERATE;
const { backend, engine, threads, weights, json, verbose, quiet, color } = GENERATE;
const { server: servedBy, tokenizer: servedTokenizer, timeout: servedTimeout } = GENERATE;

export const TOKENIZE = {
  model,
  file,
  bos: {
    ...bos,
    words: 'print nothing that comes before a text (default: what the tokenizer puts there, such as <s>)',
  },
  allSpecial: {
    kind: flag,
    words: 'print what the tokenizer puts behind a text too, such as </s> (default: it is to be continued)',
    fallback: false,
  },
  decode: {
    kind: flag,
    words: 'the other way: from ids, as 1,2,3 or as this command prints them, to text',
    fallback: false,
  },
  view: {
    kind: flag,
    words: 'a line a token: its id, its text with what is invisible shown, its bytes',
    fallback: false,
  },
  color,
} as const satisfies Rows;
export type TokenizeArgs = SettingsOf<typeof TOKENIZE>;

export const MODELS = {
  json: { ...json, words: 'print one JSON object instead of a table' },
  color,
} as const satisfies Rows;
export const DOCTOR = {
  model,
  backend,
  threads,
  weights,
  bits: {
    kind: flag,
    words: 'print hashes of what simd computes from the model, to compare machines (docs/determinism.md)',
    fallback: false,
  },
  color,
} as const satisfies Rows;
export type DoctorArgs = SettingsOf<typeof DOCTOR>;

/** The rows of GENERATE in it are defaults for lines that do not set them. */
export const BATCH = {
  concurrency: { kind: integer({ min: 1, max: 256 }), words: 'rows that are decoded together', fallback: 8 },
  reorder: {
    kind: flag,
    words: 'read all rows first and run those that begin alike one after the other; write in the order of the input',
    fallback: false,
  },
  ...takenBy('batch'),
  escape: {
    ...GENERATE.escape,
    words: '\\n, \\t, \\\\, \\xNN and \\uNNNN in --stop are what they stand for; lines have JSON for it',
  },
} as const satisfies Rows;
export type BatchArgs = SettingsOf<typeof BATCH>;

const { truncatePrompt, samples, echo, logprobs, chat, system, maxTokens, server, tokenizer, timeout, ...ofTurns } =
  takenBy('batch');

/** Those of a turn can be changed while one talks. */
export const CHAT = {
  system: {
    ...system,
    words: 'what the model is told before anything is said (default: nothing, or what its template says)',
  },
  maxTokens: {
    kind: maxTokens.kind,
    words: 'tokens of an answer; -1: to the end of the context (default: 1024; 128 without a chat template)',
    short: 'n',
  },
  ...ofTurns,
  onFull: {
    ...ofTurns.onFull,
    words: 'where the context is full: refuse the turn (stop), or drop the oldest turns (reprefill); the system stays',
  },
  seed: { ...ofTurns.seed, words: 'seed of the first answer; answer i uses seed + i (default: random, reported)' },
  history: { kind: flag, words: 'neither read nor keep the lines that are typed (default: keep them)', fallback: true },
} as const satisfies Rows;
export type ChatArgs = SettingsOf<typeof CHAT>;

const { onFull, ...ofOneText } = ofTurns; // a page shows the positions of one cache, which a reprefill would begin anew

/** What makes one text, and where its page goes. */
export const VIEW = {
  output: {
    kind: path,
    words: 'the page to write; - is stdout',
    short: 'o',
    value: '<file>',
    fallback: 'kvgen-view.html',
  },
  record: {
    kind: path,
    words: 'write the run as JSON too, - is stdout; kvgen view <file.json> draws it again',
    value: '<file>',
  },
  file,
  promptIds,
  truncatePrompt,
  maxTokens,
  chat,
  system,
  ...ofOneText,
  logprobs: { ...logprobs, words: 'likeliest tokens that are shown beside each token', fallback: 10 },
} as const satisfies Rows;
export type ViewArgs = SettingsOf<typeof VIEW>;

const { keep, draft, draftModel } = GENERATE;

export const SERVE = {
  host: {
    kind: text,
    words: 'the address to listen at; one that other machines reach needs KVGEN_API_KEY',
    value: '<address>',
    fallback: '127.0.0.1',
  },
  port: { kind: integer({ min: 0, max: 65535 }), words: 'the port; 0: any free one', fallback: 8080 },
  concurrency: { kind: integer({ min: 1, max: 256 }), words: 'texts that are decoded together', fallback: 8 },
  queue: {
    kind: integer({ min: 0, max: 65536 }),
    words: 'requests that may wait for a place; one more is told to try again later (429)',
    fallback: 64,
  },
  model,
  ctxSize,
  draft,
  draftModel,
  promptCache: {
    ...promptCache,
    words: 'keep keys and values of prompts on disk, for the next server too (default: off; KVGEN_PROMPT_CACHE=1: on)',
  },
  keep,
  cacheDir,
  writeCache,
  cacheDtype,
  backend,
  engine,
  threads,
  weights,
  verbose: { ...verbose, words: 'prompts and notes on stderr, too' },
  quiet: { ...quiet, words: 'errors only on stderr, no line for each request' },
  color,
} as const satisfies Rows;
export type ServeArgs = SettingsOf<typeof SERVE>;

export const SCORE = {
  model,
  file,
  promptIds,
  choices: {
    kind: { ...texts, fromText: choiceTexts },
    words: 'continuations to score, taken literally (default: none)',
    value: '<a|b|c>',
  },
  choicesFile: { kind: path, words: 'the same, one a line (default: none)' },
  perplexity: { kind: path, words: 'score a text file instead of choices (default: none)' },
  stride: {
    kind: integer({ min: 1 }),
    words: 'tokens by which the window moves over a longer text (default: half the context)',
  },
  bos: { ...bos, words: 'put nothing before a text (default: what the tokenizer puts there, such as <s>)' },
  perDocument: {
    kind: flag,
    words: 'score each document alone, without white space around it; a line <|endoftext|> ends one',
    fallback: false,
  },
  escape: {
    ...GENERATE.escape,
    words: '\\n, \\t, \\\\, \\xNN and \\uNNNN in the prompt argument and in --choices are what they stand for',
  },
  ctxSize,
  promptCache,
  cacheDir,
  writeCache,
  cacheDtype: {
    ...cacheDtype,
    words: 'saved keys and values: a score is a measurement, so float32 keeps every bit; float16 takes half the bytes',
    fallback: 'float32',
  },
  backend,
  engine,
  threads,
  weights,
  server: { ...servedBy, words: 'let kvgen serve or vLLM score; -m names its model (default: this machine)' },
  tokenizer: {
    ...servedTokenizer,
    words: "with --server: the served model's folder here, whose tokenizer makes the ids",
  },
  timeout: servedTimeout,
  json: { ...json, words: 'print JSON instead of a table' },
  verbose,
  quiet,
  color,
} as const satisfies Rows;
export type ScoreArgs = SettingsOf<typeof SCORE>;

export const QUANTIZE = {
  output: { kind: path, words: 'the folder to write; it must not exist, or be empty', short: 'o', value: '<folder>' },
  perplexity: { kind: path, words: 'measure the loss on a text file, before and after (default: not measured)' },
  threads: { ...threads, words: 'threads that convert and measure (default: chosen by kvgen)' },
  verbose,
  quiet,
  color,
} as const satisfies Rows;
export type QuantizeArgs = SettingsOf<typeof QUANTIZE>;

export const PULL = {
  revision: { kind: { ...text, fromText: checkRevision }, words: 'branch, tag or commit (default: main)' },
  file: {
    kind: texts,
    words: 'fetch the files of this name instead; * stands for any characters; repeatable',
    value: '<pattern>',
    fallback: [],
  },
  hub: {
    kind: { ...text, fromText: parseHub },
    words: 'the hub: https, or http on this machine',
    value: '<url>',
    fallback: 'https://huggingface.co',
    env: 'HF_ENDPOINT',
  },
  verbose: { ...verbose, words: 'notes on stderr: what is tried again, and why' },
  quiet,
  color,
} as const satisfies Rows;
export type PullArgs = SettingsOf<typeof PULL>;

export const CACHE_ACTIONS = ['ls', 'show', 'rm', 'clear', 'prune', 'path', 'stats', 'plan'] as const;
export const CACHE = { cacheDir, json: { ...json, words: 'print JSON' }, color } as const satisfies Rows;

/** What the batch will be called with, as far as it decides which tokens its prompts share. */
export const CACHE_PLAN = {
  ...CACHE,
  model: ofPlan(model),
  truncatePrompt: ofPlan(GENERATE.truncatePrompt),
  bos: ofPlan(bos),
  chat: ofPlan(GENERATE.chat),
  system: ofPlan(GENERATE.system),
  maxTokens: ofPlan(GENERATE.maxTokens),
  ctxSize: ofPlan(ctxSize),
  cache: ofPlan(GENERATE.cache),
  echo: ofPlan(GENERATE.echo),
  logprobs: ofPlan(GENERATE.logprobs),
  promptCache: ofPlan(promptCache),
  writeCache: ofPlan(writeCache),
  cacheDtype: ofPlan(cacheDtype),
  backend: ofPlan(backend),
  weights: ofPlan(weights),
} as const satisfies Rows;

function ofPlan<S extends { readonly words: string }>(row: S): S {
  return { ...row, words: `plan: ${row.words}`, ...('noWords' in row && { noWords: `plan: ${row.noWords}` }) };
}

/** The shells that completion knows. */
export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;

export const BENCH = {
  model: {
    ...model,
    kind: { ...model.kind, fromText: benchModel },
    words:
      'model folder or name, or random:124M, random:llama-135M, random:6x256 (layers x channels): one made in memory',
  },
  promptTokens: {
    kind: { ...tokenIds, fromText: counts },
    words: 'prompts to prefill, in tokens; 0: none (default: 128,512 as far as they fit)',
    value: '<list>',
  },
  genTokens: { kind: integer({ min: 0 }), words: 'tokens to decode at each depth; 0: none', fallback: 32 },
  depth: {
    kind: { ...tokenIds, fromText: counts },
    words: 'tokens already cached before decoding (default: 0,256,512,768 as far as they fit)',
    value: '<list>',
  },
  repeat: { kind: integer({ min: 1, max: 1000 }), words: 'measurements of each point', fallback: 3 },
  warmup: { kind: integer({ min: 0, max: 1000 }), words: 'runs before them', fallback: 1 },
  cachedOnly: { kind: flag, words: 'do not measure decoding without the cache', fallback: false },
  profile: { kind: flag, words: 'measure the parts of a decode step too', fallback: false },
  seed: { ...seed, words: 'seed of the token ids and of random weights', fallback: 0 },
  backend: {
    ...backend,
    kind: someOf(BACKENDS),
    words: 'as in generate; several are measured in turns and compared',
    fallback: ['auto'],
  },
  engine: {
    ...engine,
    words: 'node alone: op by op (eager), or one captured TensorFlow graph; auto: graph',
  },
  threads,
  weights: {
    ...weights,
    kind: someOf(WEIGHTS),
    words: 'as in generate; several are compared, each on the backends that have it (default: float32)',
  },
  format: {
    kind: oneOf(['table', 'md', 'csv', 'json', 'jsonl']),
    words: 'form of the result; table has a chart below it',
    fallback: 'table',
  },
  verbose,
  quiet,
  color,
} as const satisfies Rows;
export type BenchArgs = SettingsOf<typeof BENCH>;

function choiceTexts(list: string, name: string): string[] {
  const choices = list.split('|');
  if (choices.includes('')) {
    throw new UsageError(`${name} must be texts with | between them, none of them empty, got ${quote(list)}`);
  }
  return choices;
}

/** Whole numbers with commas between them. */
function counts(list: string, name: string): number[] {
  const { fromText } = integer({ min: 0 });
  return list.split(',').map((count) => fromText(count, name));
}

function benchModel(model: string, name: string): string {
  if (model.startsWith('random:') && !/^random:(124M|llama-135M|[1-9]\d{0,2}x[1-9]\d{0,4})$/.test(model)) {
    throw new UsageError(
      `${name} ${model}: expected random:124M, random:llama-135M or layers and channels, such as random:6x256`,
    );
  }
  return text.fromText(model, name);
}
