// What the files of a byte-level BPE tokenizer say, checked: a value that is wrong, or says something that kvgen does not
// compute, is refused by name. Knows nothing of folders, nor of how text becomes ids.
// Reference: huggingface/tokenizers, src/models/bpe/model.rs and src/tokenizer/added_vocabulary.rs.

import { errorMessage, KvgenError, shown } from '../errors.js';
import type { AddedToken } from './added-tokens.js';
import { type BpeOptions, MAX_IDS, type Merges } from './bpe.js';
import { JsonPart } from './json-part.js';
import { flatten } from './normalizer.js';
import { BYTE_CHARACTERS } from './pre-tokenizer.js';
import type { TextFile, TokenizerFiles } from './tokenizer-files.js';

const EOS = '<|endoftext|>';
/** A longer added token would make the search for it slow. */
const LONGEST_ADDED = 256;

/** @throws KvgenError for what is no JSON object */
function parse({ path, text }: TextFile): JsonPart {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new KvgenError(`${path}: not valid JSON (${errorMessage(error)}); download the file again`);
  }
  const part = new JsonPart(path, value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw part.wrong('a JSON object');
  }
  return part;
}

/** `eos_token` is a text, or an object with that text as its content. */
function eosToken(config: JsonPart): string {
  const token = config.at('eos_token');
  if (token.missing) {
    return EOS;
  }
  return (typeof token.value === 'string' ? token : token.at('content')).text();
}

/** The parts of a tokenizer's files. */
export interface TokenizerParts {
  /** The file that errors name. */
  readonly path: string;
  readonly vocab: JsonPart;
  readonly merges: JsonPart;
  /** The options of the merging. */
  readonly model: JsonPart;
  readonly added: JsonPart;
  readonly normalizer: JsonPart;
  readonly preTokenizer: JsonPart;
  readonly decoder: JsonPart;
  /** The text of the token that ends a text. */
  readonly eos: string;
}

/** @throws KvgenError that names the file, what was expected and what was found */
export function readParts(files: TokenizerFiles): TokenizerParts {
  const config = files.config === undefined ? undefined : parse(files.config);
  const eos = config === undefined ? EOS : eosToken(config);
  return 'tokenizer' in files
    ? fromTokenizerJson(files.tokenizer, eos)
    : fromVocabAndMerges(files.vocab, files.merges, config, eos);
}

function fromTokenizerJson(file: TextFile, eos: string): TokenizerParts {
  const json = parse(file);
  const model = json.at('model');
  const type = model.at('type'); // the oldest files name none
  if (!type.missing && type.value !== 'BPE') {
    throw type.unsupported(`expected a byte-level BPE tokenizer, got ${type.text()}`);
  }
  return {
    path: file.path,
    vocab: model.at('vocab'),
    merges: model.at('merges'),
    model,
    added: json.at('added_tokens'),
    normalizer: json.at('normalizer'),
    preTokenizer: json.at('pre_tokenizer'),
    decoder: json.at('decoder'),
    eos,
  };
}

/** What tokenizer.json would say, made from GPT-2's two files. */
function fromVocabAndMerges(
  vocab: TextFile,
  merges: TextFile,
  config: JsonPart | undefined,
  eos: string,
): TokenizerParts {
  const tokens = parse(vocab);
  const lines = merges.text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#version'));
  const specials = [...new Set([EOS, eos])].filter((content) => Object.hasOwn(tokens.object(), content));
  const added = specials.map((content) => ({ id: tokens.object()[content], content, special: true }));
  const prefix = config?.at('add_prefix_space').flag(false) ?? false;
  const part = (value: unknown) => new JsonPart(vocab.path, value);
  return {
    path: vocab.path,
    vocab: tokens,
    merges: new JsonPart(merges.path, lines),
    model: part({}),
    added: part(added),
    normalizer: part(null),
    preTokenizer: part({ type: 'ByteLevel', add_prefix_space: prefix }),
    decoder: part(null),
    eos,
  };
}

/** kvgen puts the bytes of tokens one behind the other, which is what these decoders do. */
export function checkDecoder(decoder: JsonPart): void {
  for (const part of flatten(decoder, 'decoders')) {
    const type = part.at('type').text();
    if (type !== 'ByteLevel' && type !== 'Fuse') {
      throw part.unsupported(`the decoder ${shown(type)} is not supported`);
    }
  }
}

/** From a token to its id, and from an id to its token; it may have holes. */
export function readVocabulary(vocab: JsonPart) {
  const ids = new Map<string, number>();
  const tokens: string[] = [];
  const all = vocab.object();
  for (const token in all) {
    const id = all[token];
    checkToken(vocab, token, id, tokens);
    ids.set(token, id);
    tokens[id] = token;
  }
  return { ids, tokens };
}

/** @throws KvgenError for an id that is none, or that another token has */
function checkToken(
  part: JsonPart,
  token: string,
  id: unknown,
  tokens: readonly (string | undefined)[],
): asserts id is number {
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= MAX_IDS) {
    throw part.broken(`expected a token with an id in 0 … ${MAX_IDS - 1}, found ${shown(token)}: ${shown(id)}`);
  }
  const other = tokens[id];
  if (other !== undefined && other !== token) {
    throw part.broken(`${shown(other)} and ${shown(token)} have the same id ${id}`);
  }
}

/** The added tokens, whose ids and contents fit the vocabulary. */
export function readAdded(
  list: JsonPart,
  ids: ReadonlyMap<string, number>,
  tokens: readonly string[],
): readonly AddedToken[] {
  const added = new Map<number, AddedToken>();
  const contents: string[] = [];
  for (const part of list.missing ? [] : list.list()) {
    const token = readAddedToken(part);
    checkToken(part, token.content, token.id, tokens);
    checkToken(part, token.content, token.id, contents);
    const known = ids.get(token.content) ?? token.id;
    if (known !== token.id) {
      throw part.broken(`${shown(token.content)} has the id ${token.id} here, and ${known} in the vocabulary`);
    }
    contents[token.id] = token.content;
    if (token.content !== '') {
      added.set(token.id, token);
    }
  }
  return [...added.values()];
}

function readAddedToken(part: JsonPart): AddedToken {
  const content = part.at('content').text();
  if (content.length > LONGEST_ADDED) {
    throw part.unsupported(
      `an added token of ${content.length} characters, more than ${LONGEST_ADDED}, is not supported`,
    );
  }
  const special = part.at('special').flag(false);
  return {
    id: part.at('id').value as number, // checked with the others
    content,
    lstrip: part.at('lstrip').flag(false),
    rstrip: part.at('rstrip').flag(false),
    singleWord: part.at('single_word').flag(false),
    normalized: part.at('normalized').flag(!special),
  };
}

/** Merges are pairs of tokens, as `"a b"` or `["a", "b"]`. */
export function readMerges(list: JsonPart, ids: ReadonlyMap<string, number>): Merges {
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
    merges.merged[rank] = idOf(left + right, merge);
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
export function readOptions(model: JsonPart, ids: ReadonlyMap<string, number>): BpeOptions {
  for (const key of ['dropout', 'continuing_subword_prefix', 'continuing_subword_suffix', 'end_of_word_suffix']) {
    const option = model.at(key);
    if (!option.missing && option.value !== '' && option.value !== 0) {
      throw option.unsupported(`${shown(option.value)} is not supported`);
    }
  }
  // Where every byte has a token, there is nothing to fall back from.
  if (model.at('byte_fallback').flag(false) && !BYTE_CHARACTERS.every((character) => ids.has(character))) {
    throw model.at('byte_fallback').unsupported('true is not supported where a byte has no token');
  }
  const unknown = model.at('unk_token');
  return {
    ignoreMerges: model.at('ignore_merges').flag(false),
    unknownId: unknown.missing ? undefined : ids.get(unknown.text()),
    fuseUnknown: model.at('fuse_unk').flag(false),
  };
}
