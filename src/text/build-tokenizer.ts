// A tokenizer, made from its files: their parts are read and put together. The same code runs in the main thread and in
// tokenizer-worker.ts. Knows nothing of folders.

import { errorMessage, KvgenError, shown } from '../errors.js';
import { type AddedToken, AddedTokens } from './added-tokens.js';
import { readAdded } from './added-vocabulary.js';
import { checkDecoder } from './decoder.js';
import { type Normalize, readNormalizer } from './normalizer.js';
import { BYTE_CHARACTERS, type PreTokenizer, readPreTokenizer } from './pre-tokenizer.js';
import { readParts } from './read-parts.js';
import type { TokenizerFiles } from './tokenizer-files.js';
import type { TokenizerSettings } from './tokenizer-parts.js';
import { listTokens, type TokenList } from './vocabulary.js';
import { UnknownCharacter, type WordModel } from './word-model.js';
import { readWordModel } from './word-models.js';

/** The ids of a text. */
export interface Encoded {
  readonly ids: number[];
  /** What had no token and became the id for such, as words such as `the byte 0xC3`; undefined: nothing had none. */
  readonly unknown: string | undefined;
}

export interface BuiltTokenizer {
  readonly tokens: TokenList;
  /** undefined: there is no token that ends a text. */
  readonly eosId: number | undefined;
  /** Patterns that may take for ever. */
  readonly risky: readonly string[];
  /** Special tokens in the text are recognised; none are added. @throws KvgenError for what has no token */
  encode(text: string): Encoded;
}

/** @throws KvgenError that names the file, what was expected and what was found */
export async function buildTokenizer(files: TokenizerFiles): Promise<BuiltTokenizer> {
  const { parts, settings } = readParts(files);
  const eos = eosToken(settings);
  const { model, ids, tokens } = readWordModel(parts);
  const added = readAdded(parts.added, ids, tokens);
  const normalizer = await readNormalizer(parts.normalizer);
  const preTokenizer = await readPreTokenizer(parts.preTokenizer);
  checkDecoder(parts.decoder);
  const encoder = new Encoder(parts.path, added, normalizer.normalize, preTokenizer, model);
  return {
    tokens: listTokens(tokens, added),
    eosId: ids.get(eos) ?? added.find(({ content }) => content === eos)?.id,
    risky: [...normalizer.risky, ...preTokenizer.risky],
    encode: (text) => encoder.encode(text),
  };
}

/** `eos_token` is a text, or an object with that text as its content. */
function eosToken({ config }: TokenizerSettings): string {
  const token = config.at('eos_token');
  if (token.missing) {
    return '<|endoftext|>';
  }
  return (typeof token.value === 'string' ? token : token.at('content')).text();
}

/** Added tokens are found first: those that are not normalized in the text, then the others in each normalized part. */
class Encoder {
  readonly #path: string;
  readonly #normalize: Normalize;
  readonly #preTokenizer: PreTokenizer;
  readonly #model: WordModel;
  readonly #plain: AddedTokens;
  readonly #normalized: AddedTokens;

  constructor(
    path: string,
    added: readonly AddedToken[],
    normalize: Normalize,
    preTokenizer: PreTokenizer,
    model: WordModel,
  ) {
    this.#path = path;
    this.#normalize = normalize;
    this.#preTokenizer = preTokenizer;
    this.#model = model;
    const normalized = added.filter((token) => token.normalized);
    const contents = normalized.map((token) => ({ ...token, content: normalize(token.content) }));
    this.#plain = new AddedTokens(added.filter((token) => !token.normalized));
    this.#normalized = new AddedTokens(contents.filter(({ content }) => content !== ''));
  }

  encode(text: string): Encoded {
    const ids: number[] = [];
    this.#model.unknown.clear();
    try {
      for (const part of this.#parts(text.replace(/\p{Surrogate}/gu, '\ufffd'))) {
        this.#encodePart(part, ids);
      }
    } catch (error) {
      throw this.#inWords(error);
    }
    return { ids, unknown: inWords(this.#model.unknown) };
  }

  /** The ids of added tokens, and the normalized texts between them. */
  *#parts(text: string): Generator<number | string, void> {
    for (const part of this.#plain.split(text)) {
      if (typeof part === 'number') {
        yield part;
      } else {
        yield* this.#normalized.split(this.#normalize(part));
      }
    }
  }

  #encodePart(part: number | string, ids: number[]): void {
    if (typeof part === 'number') {
      ids.push(part);
      return;
    }
    for (const word of this.#preTokenizer.words(part, ids.length === 0)) {
      for (const id of this.#model.encode(word)) {
        ids.push(id);
      }
    }
  }

  /** What a person is told; memory may be too small, for one. */
  #inWords(error: unknown): KvgenError {
    if (error instanceof KvgenError) {
      return error;
    }
    if (error instanceof UnknownCharacter) {
      const what = `no token for ${nameOf(error.character)} of the text`;
      return new KvgenError(`${this.#path}: ${what}, and none for unknown text; leave it out`);
    }
    return new KvgenError(`${this.#path}: the text cannot be turned into ids (${errorMessage(error)})`);
  }
}

function nameOf(character: string): string {
  const byte = BYTE_CHARACTERS.indexOf(character);
  return byte < 0 ? shown(character) : `the byte 0x${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

function inWords([first, ...others]: Iterable<string>): string | undefined {
  if (first === undefined) {
    return undefined;
  }
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  return nameOf(first) + more;
}
