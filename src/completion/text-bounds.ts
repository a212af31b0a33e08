// Where a text begins and ends, in ids: what comes before a prompt, what an empty prompt starts from, which ids end a text.
// Files of the model and of its tokenizer say so; where several do, what counts is decided here. Knows nothing of settings.

import { KvgenError } from '../errors.js';
import type { ModelConfig } from '../model/config.js';
import type { EncodeOptions, Tokenizer } from '../text/tokenizer.js';

/** What this room needs to know of a model. */
export interface TextModel {
  /** Its folder, which messages name. */
  readonly dir: string;
  readonly config: ModelConfig;
  /** null: the model has none; it takes ids and gives no text. */
  readonly tokenizer: Tokenizer | null;
}

/** A text in ids. */
export interface EncodedText {
  /** What the tokenizer puts before it. */
  readonly before: readonly number[];
  readonly ids: readonly number[];
}

export interface PromptOptions extends EncodeOptions {
  /** Does what the tokenizer puts before a text come before this one? */
  readonly bos: boolean;
  /** Told what a person who looks closely should know. */
  readonly onDetail?: ((line: string) => void) | undefined;
}

/**
 * The ids that end a text: the first of these that the model has: those that generation_config.json or config.json name,
 * `eos_token` of the tokenizer, the usual one of the architecture. None: only the limits end it.
 */
export function endIds({ config, tokenizer }: Pick<TextModel, 'config' | 'tokenizer'>): readonly number[] {
  const { eosTokenIds, usualTextEnd, vocabSize } = config;
  const candidates = [eosTokenIds, asList(tokenizer?.namedEosId), asList(usualTextEnd)];
  const known = candidates.map((ids) => ids.filter((id) => id < vocabSize));
  return known.find((ids) => ids.length > 0) ?? [];
}

/**
 * The ids of a text, and what comes before it. An empty one starts from the token that begins texts, or else from the one
 * that ends them.
 * @throws KvgenError where there is no tokenizer, or neither of these tokens
 */
export async function encodePrompt(
  text: string,
  model: TextModel,
  { bos, onDetail, ...options }: PromptOptions,
): Promise<EncodedText> {
  const { tokenizer, dir } = model;
  if (tokenizer === null) {
    throw new KvgenError(`${dir}: no tokenizer: expected the prompt as token ids`);
  }
  const ids = await tokenizer.encode(text, options);
  const before = bos ? checkedBefore(model, tokenizer) : [];
  if (before.length > 0 && before.every((id, i) => id === ids[i])) {
    const twice = before.map((id) => tokenizer.token(id)).join('');
    onDetail?.(
      `the prompt begins with ${twice}, and the tokenizer puts that before it: --no-bos leaves the second out`,
    );
  }
  return before.length + ids.length > 0 ? { before, ids } : { before, ids: [startId(model, tokenizer)] };
}

/** @throws KvgenError where the model has no such id */
function checkedBefore({ dir, config: { vocabSize } }: TextModel, { around }: Tokenizer): readonly number[] {
  const bad = around.before.find((id) => id >= vocabSize);
  if (bad !== undefined) {
    const limit = `the model's ids end at ${vocabSize - 1}`;
    throw new KvgenError(
      `${dir}: the tokenizer puts the token id ${bad} before a text, and ${limit}; --no-bos leaves it out`,
    );
  }
  return around.before;
}

/** @throws KvgenError where the model has no such id */
function startId({ dir, config }: TextModel, tokenizer: Tokenizer): number {
  const { bosTokenId, eosTokenIds, usualTextEnd, vocabSize } = config;
  const named = [bosTokenId, tokenizer.bosId, tokenizer.eosId, eosTokenIds[0], usualTextEnd];
  const id = named.find((one) => one !== undefined && one < vocabSize);
  if (id === undefined) {
    throw new KvgenError(
      `${dir}: an empty prompt needs an end-of-text token and the tokenizer has none; give a prompt`,
    );
  }
  return id;
}

function asList(id: number | undefined): readonly number[] {
  return id === undefined ? [] : [id];
}
