// What a tokenizer.json and a tokenizer_config.json would say, made from the tokenizer in the metadata of a GGUF file: GPT-2's
// kind, with byte-level merges, and Llama's, SentencePiece with scores. The ids of a text are those that llama.cpp gives.
// Knows nothing of how a tokenizer computes them.
// References: `llama_vocab::impl::load` of ggml-org/llama.cpp src/llama-vocab.cpp; `LlamaConverter` and `generate_merges` of
// transformers' convert_slow_tokenizer.py.

import { KvgenError, shown } from '../errors.js';
import type { GgufMetadata } from '../gguf/metadata.js';
import { DEFAULT_PRE, PRE_TOKENIZATIONS } from './gguf-pre.js';
import { MAX_IDS } from './token-ids.js';

/** What `tokenizer.ggml.token_type` says of a token. */
const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;
/** SentencePiece writes a space as it. */
const SPACE = '▁';

type Json = Record<string, unknown>;

/** The texts of the two files. */
export interface GgufTokenizer {
  readonly tokenizer: string;
  readonly config: string;
}

/** Does the file hold a tokenizer? */
export function hasGgufTokenizer(metadata: GgufMetadata): boolean {
  return !['no_vocab', 'none'].includes(metadata.text('tokenizer.ggml.model') ?? 'none');
}

/** @throws KvgenError for a tokenizer of another kind, and for a damaged one */
export function convertGgufTokenizer(metadata: GgufMetadata): GgufTokenizer {
  const model = metadata.text('tokenizer.ggml.model');
  if (!hasGgufTokenizer(metadata)) {
    throw new KvgenError(`${metadata.path}: there is no tokenizer in it; give the prompt with --prompt-ids`);
  }
  if (model !== 'gpt2' && model !== 'llama') {
    throw metadata.wrong('tokenizer.ggml.model', '"gpt2" or "llama" (others are not done yet)');
  }
  const vocabulary = new GgufVocabulary(metadata);
  const [tokenizer, usual] = model === 'gpt2' ? byteLevel(metadata) : sentencePiece(metadata, vocabulary);
  const named = namedTokens(metadata, vocabulary, model === 'llama' ? { bos: 1, eos: 2, unknown: 0 } : {});
  const { model: words, ...steps } = tokenizer;
  const around = { post_processor: template(metadata, vocabulary, named, usual) };
  const json = { version: '1.0', added_tokens: vocabulary.added(), ...steps, ...around };
  return {
    tokenizer: withMember(json, 'model', withMember(words, 'vocab', vocabulary.text())),
    config: JSON.stringify({ ...named, ...chatTemplate(metadata), tokenizer_class: 'PreTrainedTokenizerFast' }),
  };
}

/** A JSON text with one member more, whose text is given. An object of all tokens would take as long as all else. */
function withMember(json: Json, key: string, text: string): string {
  return `${JSON.stringify(json).slice(0, -1)},${JSON.stringify(key)}:${text}}`;
}

/** The tokens by their ids, and what they are. */
class GgufVocabulary {
  readonly tokens: readonly string[];
  readonly ids: ReadonlyMap<string, number>;
  readonly #types: ArrayLike<number>;

  constructor(metadata: GgufMetadata) {
    const key = 'tokenizer.ggml.tokens';
    const tokens = metadata.texts(key);
    if (tokens === undefined || tokens.length === 0 || tokens.length > MAX_IDS) {
      throw metadata.wrong(key, `1 … ${MAX_IDS} tokens`);
    }
    this.tokens = tokens.map((token, id) => (token === '' ? `[EMPTY_${id}]` : token)); // as llama.cpp calls them
    this.ids = new Map(this.tokens.map((token, id) => [token, id]));
    if (this.ids.size < tokens.length) {
      const id = this.tokens.findIndex((token, i) => this.ids.get(token) !== i);
      const token = this.tokens[id] as string;
      throw new KvgenError(`${metadata.path}: ${key}: ${shown(token)} has the ids ${id} and ${this.ids.get(token)}`);
    }
    this.#types = listOf(metadata, 'tokenizer.ggml.token_type', tokens.length) ?? new Uint8Array(tokens.length).fill(1);
  }

  is(id: number, ...types: number[]): boolean {
    return types.includes(this.#types[id] ?? TYPE.normal);
  }

  /** Those that are looked for in a text before it is split. */
  added(): Json[] {
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    return this.tokens.flatMap((content, id) =>
      this.is(id, TYPE.unknown, TYPE.control, TYPE.userDefined)
        ? [{ id, content, ...flags, special: !this.is(id, TYPE.userDefined) }]
        : [],
    );
  }

  /** Tokens with their ids, as a JSON object. */
  text(): string {
    return `{${this.tokens.map((token, id) => `${JSON.stringify(token)}:${id}`).join()}}`;
  }
}

/** One for each token. @throws KvgenError for fewer */
function listOf(metadata: GgufMetadata, key: string, length: number): ArrayLike<number> | undefined {
  const list = metadata.numbers(key);
  if (list !== undefined && list.length < length) {
    throw new KvgenError(`${metadata.path}: ${key}: expected ${length} of them, found ${list.length}`);
  }
  return list;
}

/** What a tokenizer.json says of one kind; the vocabulary is missing in `model`. */
interface TokenizerJson extends Json {
  readonly model: Json;
}

/** Does a text get its first token where the file does not say? */
type AddsBos = boolean;

function byteLevel(metadata: GgufMetadata): [TokenizerJson, AddsBos] {
  const key = 'tokenizer.ggml.pre';
  const name = metadata.text(key) ?? DEFAULT_PRE;
  const pre = PRE_TOKENIZATIONS.get(name);
  if (pre === undefined) {
    throw metadata.wrong(key, `one of ${[...PRE_TOKENIZATIONS.keys()].join(', ')}`);
  }
  const merges = metadata.texts('tokenizer.ggml.merges');
  if (merges === undefined) {
    throw metadata.wrong('tokenizer.ggml.merges', 'a list of texts');
  }
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const splits = pre.patterns.map((Regex) => ({
    type: 'Split',
    pattern: { Regex },
    behavior: 'Isolated',
    invert: false,
  }));
  const json = {
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...splits, bytes] },
    decoder: bytes,
    model: { type: 'BPE', merges, ignore_merges: pre.ignoresMerges ?? false },
  };
  return [json, pre.addsBos ?? false];
}

function sentencePiece(metadata: GgufMetadata, vocabulary: GgufVocabulary): [TokenizerJson, AddsBos] {
  const addsSpace = metadata.flag('tokenizer.ggml.add_space_prefix') ?? true;
  const toSpace = { type: 'Replace', pattern: { String: SPACE }, content: ' ' };
  const toPiece = { type: 'Replace', pattern: { String: ' ' }, content: SPACE };
  const first = addsSpace ? [{ type: 'Prepend', prepend: SPACE }] : [];
  const stripped = addsSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [];
  const unknown = vocabulary.tokens.find((_, id) => vocabulary.is(id, TYPE.unknown));
  const json = {
    normalizer: { type: 'Sequence', normalizers: [...first, toPiece] },
    pre_tokenizer: null,
    decoder: { type: 'Sequence', decoders: [toSpace, { type: 'ByteFallback' }, { type: 'Fuse' }, ...stripped] },
    model: {
      type: 'BPE',
      unk_token: unknown ?? null,
      fuse_unk: true,
      byte_fallback: true,
      merges: mergesOf(metadata, vocabulary),
    },
  };
  return [json, true];
}

/** Every way to make a piece of two others; pieces of a higher score are made first. */
function mergesOf(metadata: GgufMetadata, vocabulary: GgufVocabulary): [string, string][] {
  const key = 'tokenizer.ggml.scores';
  const scores = listOf(metadata, key, vocabulary.tokens.length);
  if (scores === undefined) {
    throw metadata.wrong(key, 'a list of numbers');
  }
  const work = vocabulary.tokens.reduce((sum, { length }) => sum + length ** 2, 0);
  if (work > MOST_WORK) {
    throw new KvgenError(`${metadata.path}: tokenizer.ggml.tokens: pieces that are too long to be taken apart`);
  }
  const merges: { readonly pair: [string, string]; readonly score: number }[] = [];
  for (const [id, piece] of vocabulary.tokens.entries()) {
    const score = scores[id] as number;
    if (Number.isNaN(score)) {
      throw new KvgenError(`${metadata.path}: ${key}: expected a number for ${shown(piece)}, found NaN`);
    }
    if (vocabulary.is(id, TYPE.normal, TYPE.userDefined, TYPE.unused)) {
      for (const pair of halves(piece, vocabulary.ids)) {
        merges.push({ pair, score });
      }
    }
    if (merges.length > MAX_IDS) {
      throw new KvgenError(`${metadata.path}: ${key}: more than ${MAX_IDS} pairs of pieces make others`);
    }
  }
  return merges.sort((a, b) => b.score - a.score).map(({ pair }) => pair);
}

/** Each piece has as many halves as characters, and looking one up takes as long as it is. People's have a tenth of that. */
const MOST_WORK = 2 ** 27;

function* halves(piece: string, ids: ReadonlyMap<string, number>): Generator<[string, string], void> {
  let cut = 0;
  for (const character of piece) {
    cut += character.length;
    const pair: [string, string] = [piece.slice(0, cut), piece.slice(cut)];
    if (pair.every((half) => ids.has(half))) {
      yield pair;
    }
  }
}

interface NamedTokens {
  readonly bos_token?: string;
  readonly eos_token?: string;
  readonly unk_token?: string;
}

/** @param usual their ids where the file names none */
function namedTokens(
  metadata: GgufMetadata,
  { tokens }: GgufVocabulary,
  usual: { readonly bos?: number; readonly eos?: number; readonly unknown?: number },
): NamedTokens {
  const token = (name: 'bos' | 'eos' | 'unknown', as: keyof NamedTokens): NamedTokens => {
    const key = `tokenizer.ggml.${name}_token_id`;
    const id = metadata.count(key) ?? usual[name];
    if (id !== undefined && tokens[id] === undefined && metadata.has(key)) {
      throw metadata.wrong(key, `an id below ${tokens.length}`);
    }
    return id === undefined || tokens[id] === undefined ? {} : { [as]: tokens[id] };
  };
  return { ...token('bos', 'bos_token'), ...token('eos', 'eos_token'), ...token('unknown', 'unk_token') };
}

/** What comes before a text and behind it; null: nothing. */
function template(metadata: GgufMetadata, { ids }: GgufVocabulary, named: NamedTokens, addsBos: AddsBos): Json | null {
  const wanted = (key: string, usual: boolean, token: string | undefined): string[] => {
    if (!(metadata.flag(key) ?? usual)) {
      return [];
    }
    if (token === undefined) {
      throw metadata.wrong(key, 'false where no such token is named');
    }
    return [token];
  };
  const before = wanted('tokenizer.ggml.add_bos_token', addsBos, named.bos_token);
  const behind = wanted('tokenizer.ggml.add_eos_token', false, named.eos_token);
  const piece = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const known = (token: string) => ({ id: token, ids: [ids.get(token)], tokens: [token] });
  return before.length + behind.length === 0
    ? null
    : {
        type: 'TemplateProcessing',
        single: [...before.map(piece), { Sequence: { id: 'A', type_id: 0 } }, ...behind.map(piece)],
        pair: [],
        special_tokens: Object.fromEntries([...before, ...behind].map((token) => [token, known(token)])),
      };
}

function chatTemplate(metadata: GgufMetadata): Json {
  const text = metadata.text('tokenizer.chat_template');
  return text === undefined ? {} : { chat_template: text };
}
