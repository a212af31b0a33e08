// A tokenizer, made from its files: their parts are read and put together. The same code runs in the main thread and in
// tokenizer-worker.ts. Knows nothing of folders.

import { AddedVocabulary } from './added-vocabulary.js';
import { type Decoding, readDecoder } from './decoder.js';
import { type Encoded, Encoder } from './encoder.js';
import type { JsonPart } from './json-part.js';
import { readNormalizer } from './normalizer.js';
import { readPostProcessor, type Surroundings } from './post-processor.js';
import { readPreTokenizer } from './pre-tokenizer.js';
import { readParts } from './read-parts.js';
import { addSpecialTokens, contentOf, readNewToken, type SpecialTokens } from './special-tokens.js';
import type { TokenName } from './tokenizer-classes.js';
import type { TokenizerFiles } from './tokenizer-files.js';
import { listTokens, type TokenList } from './vocabulary.js';
import { readWordModel } from './word-models.js';

/** What is known of a tokenizer besides the ids of a text. */
export interface TokenizerFacts {
  readonly tokens: TokenList;
  /** How tokens become text; undefined: they are bytes, one behind the other. */
  readonly decoding: Decoding | undefined;
  /** The ids of special tokens. */
  readonly special: readonly number[];
  /** The special tokens that have a name, such as `bos_token`, as they are written in a text. */
  readonly named: Readonly<Partial<Record<TokenName, string>>>;
  /** The id of `bos_token`, which begins a text; undefined: none is named. */
  readonly bosId: number | undefined;
  /** The id of `eos_token`, which ends a text; undefined: none is named. */
  readonly namedEosId: number | undefined;
  /** That, or else the id of `<|endoftext|>`; undefined: there is no such token. */
  readonly eosId: number | undefined;
  /** What it puts around a text. */
  readonly around: Surroundings;
  /** Patterns that may take for ever. */
  readonly risky: readonly string[];
}

export interface BuiltTokenizer {
  readonly facts: TokenizerFacts;
  /** Special tokens in the text are recognised; none are added. @throws KvgenError for what has no token */
  encode(text: string): Encoded;
}

/** @throws KvgenError that names the file, what was expected and what was found */
export async function buildTokenizer(files: TokenizerFiles): Promise<BuiltTokenizer> {
  const { parts, settings } = readParts(files);
  const { model, ids, tokens, entries } = readWordModel(parts);
  const vocabulary = new AddedVocabulary(ids, entries);
  const own = parts.added.missing ? [] : parts.added.list();
  vocabulary.add(
    own.map((part) => readNewToken(part, false)),
    parts.added,
  );
  addSpecialTokens(vocabulary, settings.special, settings.config);
  const normalizer = await readNormalizer(parts.normalizer);
  const preTokenizer = await readPreTokenizer(parts.preTokenizer);
  const added = vocabulary.tokens;
  const patterns = vocabulary.patterns.map((token) => ({
    ...token,
    isSkipped: settings.splitsSpecial && token.special,
  }));
  const encoder = new Encoder(parts.path, patterns, normalizer, preTokenizer, model);
  const facts = {
    tokens: listTokens(tokens, added),
    decoding: await readDecoder(parts.decoder, preTokenizer.writesBytes),
    special: added.filter(({ special }) => special).map(({ id }) => id),
    ...namedIds(vocabulary, settings.special),
    around: readPostProcessor(parts.postProcessor, (token) => idOf(vocabulary, token)),
    risky: [...normalizer.risky, ...preTokenizer.risky],
  };
  return { facts, encode: (text) => encoder.encode(text) };
}

function namedIds(vocabulary: AddedVocabulary, { named }: SpecialTokens) {
  const idOfName = (name: TokenName) => {
    const token = named.get(name);
    return token === undefined ? undefined : vocabulary.idOf(contentOf(token));
  };
  const namedEosId = idOfName('eos_token');
  const contents = Object.fromEntries(Array.from(named, ([name, token]) => [name, contentOf(token)]));
  const eosId = namedEosId ?? vocabulary.idOf('<|endoftext|>');
  return { named: contents, bosId: idOfName('bos_token'), namedEosId, eosId };
}

/** @throws KvgenError where there is no such token */
function idOf(vocabulary: AddedVocabulary, token: JsonPart): number {
  const id = vocabulary.idOf(token.text());
  if (id === undefined) {
    throw token.wrong('a token of the vocabulary');
  }
  return id;
}
