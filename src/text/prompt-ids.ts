// A prompt as ids: encoded, made to fit the context; and which ids have no token. Knows nothing of tensors, or of where
// the text comes from.

import { KvgenError } from '../errors.js';
import type { Tokenizer } from './tokenizer.js';

/** Text to ids; an empty prompt starts from the end-of-text token. @throws KvgenError */
export function encodePrompt(text: string, tokenizer: Tokenizer, dir: string): number[] {
  const ids = tokenizer.encode(text);
  if (ids.length > 0) {
    return ids;
  }
  if (tokenizer.eosId === undefined) {
    throw new KvgenError(
      `${dir}: an empty prompt needs an end-of-text token and the tokenizer has none; give a prompt`,
    );
  }
  return [tokenizer.eosId];
}

export interface FittedPrompt {
  readonly ids: readonly number[];
  readonly dropped: number;
}

export interface Room {
  /** Ids that the context holds. */
  readonly nCtx: number;
  readonly maxTokens: number;
  /** Which part of a prompt may go that leaves no room for one token; undefined: none. */
  readonly drop?: 'head' | 'tail' | undefined;
  /** What to do about a prompt that does not fit, for its error. */
  readonly advice: string;
}

/** Makes room for generation in the context. @throws KvgenError with both numbers when the prompt does not fit */
export function fitPrompt(ids: readonly number[], { nCtx, maxTokens, drop, advice }: Room): FittedPrompt {
  if (ids.length < nCtx) {
    return { ids, dropped: 0 };
  }
  const keep = nCtx - Math.max(1, Math.min(maxTokens, Math.floor(nCtx / 2)));
  if (drop === undefined || keep < 1) {
    throw new KvgenError(
      `the prompt has ${ids.length} tokens and the context ${nCtx}: no room for one more; ${advice}`,
    );
  }
  return { ids: drop === 'head' ? ids.slice(-keep) : ids.slice(0, keep), dropped: ids.length - keep };
}

/** Ids that only pad the vocabulary, and must not be generated. */
export function idsWithoutToken(tokenizer: Pick<Tokenizer, 'has'> | null, vocabSize: number): number[] {
  const ids = Array.from({ length: vocabSize }, (_, id) => id);
  return tokenizer === null ? [] : ids.filter((id) => !tokenizer.has(id));
}
