// What a tokenizer.json says of byte pair encoding, checked: vocabulary, merges, options. An option that is not computed is
// refused by name. Knows nothing of how text becomes words.
// Reference: huggingface/tokenizers, src/models/bpe/model.rs.

import { shown } from '../errors.js';
import { Bpe, type BpeOptions, type Merges } from './bpe.js';
import type { JsonPart } from './json-part.js';
import { MAX_IDS, readTokenIds } from './token-ids.js';
import type { TokenizerParts } from './tokenizer-parts.js';
import type { OpenWordModel } from './word-model.js';

/** `##` and `</w>` have fewer. */
const LONGEST_AFFIX = 100;

/** @throws KvgenError that names the file, what was expected and what was found */
export function readBpe({ vocab, merges, model }: TokenizerParts): OpenWordModel {
  const { ids, tokens } = readTokenIds(vocab);
  const options = readOptions(model, ids);
  return { ids, tokens, model: new Bpe(ids, readMerges(merges, ids, options), options) };
}

/** Merges are pairs of tokens, as `"a b"` or `["a", "b"]`. */
function readMerges(list: JsonPart, ids: ReadonlyMap<string, number>, { prefix }: BpeOptions): Merges {
  const { value } = list;
  if (!Array.isArray(value)) {
    throw list.wrong('a list');
  }
  if (value.length > MAX_IDS) {
    throw list.broken(`expected at most ${MAX_IDS} merges, found ${value.length}`);
  }
  const merges = {
    left: new Int32Array(value.length),
    right: new Int32Array(value.length),
    merged: new Int32Array(value.length),
  };
  const idOf = (token: string, merge: unknown): number => {
    const id = ids.get(token);
    if (id === undefined) {
      throw list.broken(`the merge ${shown(merge)} needs a token ${shown(token)}, and the vocabulary has none`);
    }
    return id;
  };
  for (let rank = 0; rank < value.length; rank++) {
    const merge: unknown = value[rank];
    const [left, right] = pairOf(merge) ?? [];
    if (left === undefined || right === undefined) {
      throw list.broken(`expected two tokens a line, got ${shown(merge)}`);
    }
    merges.left[rank] = idOf(left, merge);
    merges.right[rank] = idOf(right, merge);
    merges.merged[rank] = idOf(left + right.slice(prefix.length), merge);
  }
  return merges;
}

/** undefined: these are not two texts. */
function pairOf(merge: unknown): readonly [string, string] | undefined {
  const pair: unknown = typeof merge === 'string' ? merge.split(' ', 3) : merge;
  if (!Array.isArray(pair) || pair.length !== 2) {
    return undefined;
  }
  const [left, right] = pair as unknown[];
  return typeof left === 'string' && typeof right === 'string' && left !== '' && right !== ''
    ? [left, right]
    : undefined;
}

/** @throws KvgenError that names an option which is not computed */
function readOptions(model: JsonPart, ids: ReadonlyMap<string, number>): BpeOptions {
  for (const key of ['dropout', 'continuing_subword_suffix']) {
    const option = model.at(key);
    if (!option.missing && option.value !== '' && option.value !== 0) {
      throw option.unsupported(`${shown(option.value)} is not supported`);
    }
  }
  const unknown = model.at('unk_token');
  return {
    ignoreMerges: model.at('ignore_merges').flag(false),
    unknownId: unknown.missing ? undefined : ids.get(unknown.text()),
    fuseUnknown: model.at('fuse_unk').flag(false),
    byteFallback: model.at('byte_fallback').flag(false),
    prefix: affix(model.at('continuing_subword_prefix')),
    suffix: affix(model.at('end_of_word_suffix')),
  };
}

/** What is put to a character, so that merging needs no more than that. */
function affix(part: JsonPart): string {
  const text = part.missing ? '' : part.text();
  if (text.length > LONGEST_AFFIX) {
    throw part.unsupported(`${text.length} characters, more than ${LONGEST_AFFIX}, are not supported`);
  }
  return text;
}
