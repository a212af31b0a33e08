// What arguments come to for a model: the prompt's ids in its context, the sampler, the limits. For one run of
// generate as for each row of a batch. Knows nothing of streams.

import { KvgenError } from '../../errors.js';
import type { GenerateOptions } from '../../generation/generate.js';
import { checkBias, checkIds } from '../../library/model.js';
import type { Gpt2Config } from '../../model/gpt2-config.js';
import type { GenerateArgs } from '../../settings.js';
import { Detokenizer } from '../../text/detokenizer.js';
import { encodePrompt, fitPrompt } from '../../text/prompt-ids.js';
import { hasTokenizer, loadTokenizer, type Tokenizer } from '../../text/tokenizer.js';

/** A prompt that fits the model. */
export interface Prompt {
  readonly ids: readonly number[];
  /** All of it, also what did not fit. */
  readonly text: string;
  readonly nCtx: number;
  readonly tokenizer: Tokenizer | null;
}

/** What prompts are prepared for. */
export interface Target {
  readonly dir: string;
  readonly config: Gpt2Config;
  readonly tokenizer: Tokenizer | null;
  onNote(line: string): void;
}

/**
 * The prompt's ids, checked against the model.
 * @param text undefined: --prompt-ids
 * @throws KvgenError when they do not fit
 */
export function preparePrompt(args: GenerateArgs, text: string | undefined, target: Target): Prompt {
  const { config, tokenizer, dir } = target;
  const ids = args.promptIds ?? encodePrompt(text ?? '', tokenizer as Tokenizer, dir);
  const nCtx = contextSize(args.ctxSize, config);
  const { ids: kept, dropped } = fitPrompt(ids, {
    nCtx,
    maxTokens: maxTokens(args),
    drop: args.truncatePrompt,
    advice: 'shorten it, or --truncate-prompt head',
  });
  if (dropped > 0) {
    target.onNote(
      `the prompt is too long: dropped ${dropped} tokens of its ${args.truncatePrompt}, kept ${kept.length}`,
    );
  }
  checkIds(kept, { config });
  checkBias('--logit-bias', args.logitBias, config);
  return { ids: kept, text: text ?? decode(tokenizer, ids), nCtx, tokenizer };
}

/** What the loop is told of the arguments. */
export function loopOptions(args: GenerateArgs, { nCtx }: Prompt, config: Gpt2Config): GenerateOptions {
  const stopIds = args.ignoreEos ? [] : config.eosTokenIds;
  return { maxTokens: maxTokens(args), nCtx, stopIds, cache: args.cache, onFull: args.onFull };
}

/** null: a folder without one, which --prompt-ids can do without. */
export async function openTokenizer(dir: string, args: GenerateArgs): Promise<Tokenizer | null> {
  if (args.promptIds === undefined || hasTokenizer(dir)) {
    return loadTokenizer(dir);
  }
  checkStops(args, null, dir);
  return null;
}

/** @throws KvgenError for texts that cannot be found without a tokenizer */
export function checkStops({ stop }: GenerateArgs, tokenizer: Tokenizer | null, dir: string): void {
  if (tokenizer === null && stop.length > 0) {
    throw new KvgenError(`${dir}: --stop needs a tokenizer: expected tokenizer.json, or vocab.json and merges.txt`);
  }
}

export function contextSize(ctxSize: number | undefined, { nPositions }: Gpt2Config): number {
  if (ctxSize !== undefined && ctxSize > nPositions) {
    throw new KvgenError(`--ctx-size ${ctxSize}: the model has ${nPositions} positions; give ${nPositions} or less`);
  }
  return ctxSize ?? nPositions;
}

/** Ids as text, "" without a tokenizer. */
export function decode(tokenizer: Tokenizer | null, ids: readonly number[]): string {
  if (tokenizer === null) {
    return '';
  }
  const detokenizer = new Detokenizer(tokenizer);
  return ids.map((id) => detokenizer.add(id)).join('') + detokenizer.finish();
}

function maxTokens(args: GenerateArgs): number {
  return args.maxTokens === -1 ? Number.POSITIVE_INFINITY : args.maxTokens;
}
