// What `import … from 'kvgen'` gives. Everything else is internal.

import { inspect } from 'node:util';
import { type CompleteOptions, type CompletionToken, complete } from './completion/complete.js';
import { KvgenError } from './errors.js';
import { type FinishReason, newStats } from './generation/generate.js';
import { type GenerateOptions, type LibrarySettings, readOptions } from './library/library-options.js';
import { checkBias, checkIds, type Model, openModel } from './library/model.js';
import type { Gpt2Config } from './model/gpt2-config.js';
import { randomSeed } from './sampling/random.js';
import { makeSampler } from './sampling/sampler.js';
import { type BackendName, GENERATE } from './settings.js';
import { encodePrompt, fitPrompt, idsWithoutToken } from './text/prompt-ids.js';
import { hasTokenizer, loadTokenizer, type Tokenizer } from './text/tokenizer.js';
import { loadBackend } from './tf/backend.js';
import { findModel, weightBytes } from './weights/find.js';

export interface LoadModelOptions {
  /** `auto` (default): the native engine where it is installed, else WebAssembly. */
  backend?: BackendName | 'auto';
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
  const { backend: choice = 'auto' } = options;
  GENERATE.backend.kind.fromValue(choice, 'backend');
  const { dir } = findModel(model);
  const backend = await loadBackend({ choice, modelBytes: weightBytes(dir), graph: true });
  const tokenizer = hasTokenizer(dir) ? await loadTokenizer(dir) : null;
  const opened = await openModel(dir, backend);
  origins.set(opened, { dir, tokenizer });
  return opened;
}

/**
 * Generates text. Options and prompt are checked when the first token is asked for.
 * @param model as `loadModel` gave it; any number of generations may run on it
 * @param prompt a text, or token ids (a folder without a tokenizer takes only these; all texts are then empty)
 * @yields each token with the text that it released: joined, they are the text
 * @returns why it ended; `abort` when the signal did it, which is no error
 * @throws Error with one line that names the option or the prompt, what was expected and what was found
 * @example
 * for await (const { text } of generate(model, 'Once upon a time', { maxTokens: 40 })) process.stdout.write(text);
 */
export async function* generate(
  model: Model,
  prompt: string | readonly number[],
  options: GenerateOptions = {},
): AsyncGenerator<CompletionToken, FinishReason> {
  const settings = readOptions(options);
  const origin = originOf(model);
  const { engine } = model;
  const { stop, seed = randomSeed() } = settings;
  if (origin.tokenizer === null && stop.length > 0) {
    throw new KvgenError(`${origin.dir}: stop needs a tokenizer`);
  }
  checkBias('logitBias', settings.logitBias, engine.config);
  const promptIds = fittingIds(prompt, origin, engine.config);
  const sampler = makeSampler(settings, seed, idsWithoutToken(origin.tokenizer, engine.config.vocabSize));
  const loop = loopOptions(settings, options.signal, engine.config);
  return yield* complete(engine, sampler, origin.tokenizer, promptIds, stop, loop, newStats());
}

function loopOptions(
  settings: LibrarySettings,
  signal: AbortSignal | undefined,
  { nPositions, eosTokenIds }: Gpt2Config,
): CompleteOptions {
  const { maxTokens, ignoreEos, cache, onFull, logprobs } = settings;
  const stopIds = ignoreEos ? [] : eosTokenIds;
  return { maxTokens, nCtx: nPositions, stopIds, cache, onFull, signal, logprobs };
}

function originOf(model: Model): Origin {
  const origin = origins.get(model);
  if (origin === undefined) {
    throw new KvgenError('generate: expected a model that loadModel gave');
  }
  return origin;
}

/** @throws KvgenError for a prompt that the model cannot take, or that leaves no room for a token */
function fittingIds(prompt: string | readonly number[], { dir, tokenizer }: Origin, config: Gpt2Config) {
  if (typeof prompt !== 'string' && !Array.isArray(prompt)) {
    throw new KvgenError(`prompt: expected a text or a list of token ids, got ${inspect(prompt)}`);
  }
  const ids = typeof prompt === 'string' ? encode(prompt, tokenizer, dir) : (prompt as readonly number[]);
  fitPrompt(ids, { nCtx: config.nPositions, maxTokens: 1, advice: 'shorten it' });
  checkIds(ids, { config });
  return ids;
}

function encode(prompt: string, tokenizer: Tokenizer | null, dir: string): readonly number[] {
  if (tokenizer === null) {
    throw new KvgenError(`${dir}: no tokenizer: expected the prompt as token ids`);
  }
  return encodePrompt(prompt, tokenizer, dir);
}

export type { BackendName, CompletionToken, FinishReason, GenerateOptions, Model };
