// Turns text into ids, and ids into raw bytes, with the byte-level BPE of GPT-2: from tokenizer.json, or vocab.json and
// merges.txt. @huggingface/tokenizers does the merging. Its `decode` is not used, because it cleans up spaces and joins
// bytes too early for a stream. Knows nothing of models: whether an id fits the weights is checked elsewhere.
// Reference: `bytes_to_unicode` of openai/gpt-2 src/encoder.py.

import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers';
import { errorMessage, KvgenError } from '../errors.js';
import { TOKENIZER } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';

export interface Tokenizer {
  /** The highest id, plus 1. */
  readonly size: number;
  /** The id of `eos_token` in tokenizer_config.json, or else of `<|endoftext|>`; undefined if there is no such token. */
  readonly eosId: number | undefined;
  /** Special tokens in the text are recognised; none are added. */
  encode(text: string): number[];
  /** The raw bytes of a token, which may be only a part of a character; none for an id without a token. */
  bytes(id: number): Uint8Array;
  /** Is there a token of this id? Some ids only pad the vocabulary. */
  has(id: number): boolean;
}

interface AddedToken {
  id: number;
  content: string;
  single_word?: boolean;
}

interface PreTokenizerJson {
  type: string;
  pretokenizers?: PreTokenizerJson[];
}

interface TokenizerJson {
  model: { type?: string; vocab: Record<string, number>; merges: unknown[] };
  added_tokens: AddedToken[];
  pre_tokenizer: PreTokenizerJson | null;
}

type JsonObject = Record<string, unknown>;

const EOS = '<|endoftext|>';
const DEFAULTS = { normalizer: null, post_processor: null, decoder: null };
// The library's pattern, with Unicode's White_Space in place of \s, as Hugging Face's Rust tokenizers have it: the \s of
// JavaScript also has U+FEFF, and lacks U+0085.
const PATTERN =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** Does the folder have a tokenizer's files? They may still be damaged. */
export function hasTokenizer(folder: ModelFolder): boolean {
  return folder.has('tokenizer.json') || (folder.has('vocab.json') && folder.has('merges.txt'));
}

/** Reads the folder's tokenizer. @throws KvgenError if there is none, or if it is damaged */
export async function loadTokenizer(folder: ModelFolder): Promise<Tokenizer> {
  if (!hasTokenizer(folder)) {
    throw new KvgenError(
      `${folder.dir}: no tokenizer: expected tokenizer.json, or vocab.json and merges.txt; download the folder again with them`,
    );
  }
  const config = (await readJson(folder, 'tokenizer_config.json')) ?? {};
  const name = folder.has('tokenizer.json') ? 'tokenizer.json' : 'vocab.json';
  const file = folder.path(name);
  const json =
    name === 'vocab.json' ? await fromVocabAndMerges(folder, config) : await readTokenizerJson(folder, name, file);
  const tokens = tokensById(file, json);
  return makeTokenizer(makeEncoder(file, json), tokens, json.added_tokens, eosToken(config));
}

function broken(file: string, problem: string): KvgenError {
  return new KvgenError(`${file}: ${problem}; download the file again`);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Returns undefined where there is no such file. */
async function readJson(folder: ModelFolder, name: string): Promise<JsonObject | undefined> {
  const text = await folder.readText(name, TOKENIZER);
  if (text === undefined) {
    return undefined;
  }
  const file = folder.path(name);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw broken(file, `not valid JSON (${errorMessage(error)})`);
  }
  if (!isObject(value)) {
    throw broken(file, 'expected a JSON object');
  }
  return value;
}

/** `eos_token` is a string, or an object with that string as its content. */
function eosToken(config: JsonObject): string {
  const token = isObject(config.eos_token) ? config.eos_token.content : config.eos_token;
  return typeof token === 'string' ? token : EOS;
}

async function readTokenizerJson(folder: ModelFolder, name: string, file: string): Promise<TokenizerJson> {
  const json = (await readJson(folder, name)) ?? {};
  const model = isObject(json.model) ? json.model : {};
  const preTokenizer = (json.pre_tokenizer ?? null) as PreTokenizerJson | null;
  const kind = typeof model.type === 'string' ? model.type : 'BPE'; // the oldest files name no type
  if (kind !== 'BPE' || !usesByteLevel(preTokenizer)) {
    const found = kind === 'BPE' ? `BPE with pre-tokenizer ${preTokenizer?.type ?? 'none'}` : kind;
    throw new KvgenError(`${file}: expected a byte-level BPE tokenizer, got ${found}; use a GPT-2-style model`);
  }
  if (!isObject(model.vocab) || !Array.isArray(model.merges)) {
    throw broken(file, 'expected model.vocab and model.merges');
  }
  const added = json.added_tokens ?? [];
  if (!Array.isArray(added)) {
    throw broken(file, 'expected added_tokens to be an array');
  }
  return { ...DEFAULTS, ...json, model: { ...model, type: kind }, added_tokens: added } as unknown as TokenizerJson;
}

function usesByteLevel(preTokenizer: PreTokenizerJson | null): boolean {
  return preTokenizer?.type === 'ByteLevel' || (preTokenizer?.pretokenizers ?? []).some(usesByteLevel);
}

/** What tokenizer.json would say, made from GPT-2's two files. */
async function fromVocabAndMerges(folder: ModelFolder, config: JsonObject): Promise<TokenizerJson> {
  const vocab = ((await readJson(folder, 'vocab.json')) ?? {}) as Record<string, number>;
  const lines = ((await folder.readText('merges.txt', TOKENIZER)) ?? '').split(/\r?\n/);
  const merges = lines.filter((line) => line !== '' && !line.startsWith('#version'));
  const bad = merges.find((line) => !/^\S+ \S+$/u.test(line));
  if (bad !== undefined) {
    throw broken(folder.path('merges.txt'), `expected two tokens a line, got ${JSON.stringify(bad)}`);
  }
  const specials = [...new Set([EOS, eosToken(config)])].filter((content) => Object.hasOwn(vocab, content));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: config.add_prefix_space === true, use_regex: true };
  const added = specials.map((content) => ({
    id: vocab[content] as number,
    content,
    special: true,
    normalized: false,
  }));
  return { ...DEFAULTS, model: { type: 'BPE', vocab, merges }, added_tokens: added, pre_tokenizer: byteLevel };
}

/** From an id to its token as the file has it. Ids without a token are holes in the array. */
function tokensById(file: string, json: TokenizerJson): string[] {
  const tokens: string[] = [];
  const put = (token: unknown, id: unknown): void => {
    if (typeof token !== 'string' || !Number.isInteger(id) || (id as number) < 0 || (id as number) >= 2 ** 31) {
      throw broken(file, `expected a token with an id from 0, got ${JSON.stringify(token)}: ${JSON.stringify(id)}`);
    }
    tokens[id as number] = token;
  };
  for (const token in json.model.vocab) {
    put(token, json.model.vocab[token]);
  }
  for (const added of json.added_tokens) {
    put(added?.content, added?.id);
    if (added.single_word) {
      throw new KvgenError(`${file}: added token ${added.content}: single_word is not supported`);
    }
  }
  return tokens;
}

function makeEncoder(file: string, json: TokenizerJson): HubTokenizer {
  try {
    const encoder = new HubTokenizer(json, {});
    splitAsRust(json.pre_tokenizer, encoder.pre_tokenizer);
    return encoder;
  } catch (error) {
    throw broken(file, `not a tokenizer that can be read (${errorMessage(error)})`);
  }
}

/** Puts PATTERN into every ByteLevel part of the library's pre-tokenizer. */
function splitAsRust(json: PreTokenizerJson | null, built: object | null): void {
  if (json?.type === 'ByteLevel') {
    Object.assign(built as object, { pattern: PATTERN });
  }
  const parts = (built as { tokenizers?: object[] } | null)?.tokenizers ?? [];
  for (const [i, part] of parts.entries()) {
    splitAsRust(json?.pretokenizers?.[i] ?? null, part);
  }
}

/** GPT-2 writes each byte as one printable character. The map leads from that character back to the byte. */
function byteOfCharacter(): Map<string, number> {
  const map = new Map<string, number>();
  let unprintable = 0;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    map.set(String.fromCharCode(printable ? byte : 256 + unprintable++), byte);
  }
  return map;
}

function makeTokenizer(encoder: HubTokenizer, tokens: string[], added: AddedToken[], eos: string): Tokenizer {
  const byteOf = byteOfCharacter();
  const addedIds = new Set(added.map(({ id }) => id));
  const utf8 = new TextEncoder();
  const eosId = tokens.indexOf(eos);
  const bytesOf = (id: number): Uint8Array => {
    const token = tokens[id] ?? '';
    const bytes = addedIds.has(id) ? [] : Array.from(token, (character) => byteOf.get(character));
    // A token with other characters than these stands for itself, as an added token does.
    return bytes.length > 0 && !bytes.includes(undefined) ? Uint8Array.from(bytes as number[]) : utf8.encode(token);
  };
  const known: Uint8Array[] = []; // texts repeat their tokens
  return {
    size: tokens.length,
    eosId: eosId < 0 ? undefined : eosId,
    encode: (text) => encoder.encode(text, { add_special_tokens: false }).ids,
    has: (id) => tokens[id] !== undefined,
    bytes(id) {
      known[id] ??= bytesOf(id);
      return known[id];
    },
  };
}
