// What `import … from 'kvgen'` gives. Everything else is internal.

import { randomInt } from 'node:crypto';
import { type BackendName, loadBackend } from './backend/backend.js';
import { type CompletionToken, complete } from './complete.js';
import { KvgenError, UsageError } from './errors.js';
import { type FinishReason, newStats } from './generate.js';
import { findModel, weightBytes } from './model/find.js';
import { checkIds, type Model, openModel } from './model/model.js';
import { GENERATE_OPTIONS, SAMPLING_DEFAULTS } from './options.js';
import { makeSampler, type SamplingOptions } from './sampling/sampler.js';
import { encodePrompt, fitPrompt, idsWithoutToken } from './text/prompt-ids.js';
import { hasTokenizer, loadTokenizer, type Tokenizer } from './text/tokenizer.js';

const DEFAULT_TOKENS = 128;
const MAX_RANDOM_SEED = 2 ** 32;

export interface LoadModelOptions {
  /** `auto` (default): the native engine where it is installed, else WebAssembly. */
  backend?: BackendName | 'auto';
}

/** As the command's options, with the same defaults. */
export interface GenerateOptions extends Partial<SamplingOptions> {
  /** Default 128; Infinity: to the end of the context. */
  maxTokens?: number;
  /** Default: a random one. */
  seed?: number;
  /** Texts that end the generation; the text before the first is yielded, itself not. */
  stop?: readonly string[];
  /** Treat the end-of-text token like any other. */
  ignoreEos?: boolean;
  /** false: recompute everything for each token. */
  cache?: boolean;
  /** At the end of the context: stop (default), or keep the beginning and the latest half and go on. */
  onFull?: 'stop' | 'reprefill';
  /** Give the log-probability of each token, and the so many likeliest. */
  logprobs?: number;
  /** Ends the generation at the next token; what is yielded by then stays. */
  signal?: AbortSignal;
}

/** A model's folder, and its tokenizer where it has one. */
interface Origin {
  readonly dir: string;
  readonly tokenizer: Tokenizer | null;
}

const origins = new WeakMap<Model, Origin>();

/**
 * Loads a GPT-2-style model.
 * @param model a folder (a path with a separator in it) or a name, as the command's `-m` takes them
 * @returns the model; call `dispose()` when done with it
 * @throws Error with one line that says what is wrong with the folder, and where
 * @example
 * const model = await loadModel('stories');
 * const logits = model.logits([431, 12], { cache: true }); // Float32Array [vocabSize]
 * model.dispose();
 */
export async function loadModel(model = 'stories', options: LoadModelOptions = {}): Promise<Model> {
  const { dir } = findModel(model);
  const backend = await loadBackend({ choice: options.backend ?? 'auto', modelBytes: weightBytes(dir), graph: true });
  const tokenizer = hasTokenizer(dir) ? await loadTokenizer(dir) : null;
  const opened = await openModel(dir, backend);
  origins.set(opened, { dir, tokenizer });
  return opened;
}

/**
 * Generates text.
 * @param model as `loadModel` gave it; any number of generations may run on it
 * @param prompt a text, or token ids (a folder without a tokenizer takes only these; all texts are then empty)
 * @yields each token with the text that it released: joined, they are the text
 * @returns why it ended
 * @throws Error with one line that names the option or the prompt, what was expected and what was found
 * @example
 * for await (const { text } of generate(model, 'Once upon a time', { maxTokens: 40 })) process.stdout.write(text);
 */
export async function* generate(
  model: Model,
  prompt: string | readonly number[],
  options: GenerateOptions = {},
): AsyncGenerator<CompletionToken, FinishReason> {
  checkOptions(options);
  const { config } = model.engine;
  const { dir, tokenizer } = originOf(model);
  const { maxTokens = DEFAULT_TOKENS, stop = [], seed = randomInt(MAX_RANDOM_SEED), signal, logprobs } = options;
  const promptIds = typeof prompt === 'string' ? encode(prompt, tokenizer, dir) : prompt;
  fitPrompt(promptIds, config.nPositions, maxTokens, undefined);
  checkIds(promptIds, { config });
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const sampling: SamplingOptions = { ...SAMPLING_DEFAULTS, ...given };
  const sampler = makeSampler(sampling, seed, idsWithoutToken(tokenizer, config.vocabSize));
  const loop = {
    maxTokens,
    nCtx: config.nPositions,
    stopIds: options.ignoreEos ? [] : config.eosTokenIds,
    cache: options.cache ?? true,
    onFull: options.onFull ?? 'stop',
    signal,
    logprobs,
  };
  return yield* complete(model.engine, sampler, tokenizer, promptIds, stop, loop, newStats());
}

function originOf(model: Model): Origin {
  const origin = origins.get(model);
  if (origin === undefined) {
    throw new KvgenError('generate: expected a model that loadModel gave');
  }
  return origin;
}

function encode(prompt: string, tokenizer: Tokenizer | null, dir: string): readonly number[] {
  if (tokenizer === null) {
    throw new KvgenError(`${dir}: no tokenizer: expected the prompt as token ids`);
  }
  return encodePrompt(prompt, tokenizer, dir);
}

/** The ranges are those of the command. @throws UsageError that names the option */
function checkOptions(options: GenerateOptions): void {
  for (const [name, value] of Object.entries(options)) {
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    const row = GENERATE_OPTIONS.find(({ flags }) => flags.split(/[ ,]+/).includes(flag));
    if (typeof value === 'number' && value !== Number.POSITIVE_INFINITY) {
      try {
        row?.parse?.(String(value), undefined);
      } catch (error) {
        throw error instanceof UsageError ? new UsageError(error.message.replace(flag, name)) : error;
      }
    }
  }
  if (options.stop?.includes('')) {
    throw new UsageError('stop must not be empty');
  }
}

export type { BackendName, CompletionToken, FinishReason, Model };
