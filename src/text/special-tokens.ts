// What stands beside a tokenizer.json about tokens: those that are named, as `eos_token`, and those that were added, in
// tokenizer_config.json, or in special_tokens_map.json and added_tokens.json, which are older; and what a class has anyhow.
// Which of them counts is decided as transformers does. Knows nothing of ids that are given here for the first time.
// References: `PreTrainedTokenizerBase._from_pretrained` and `PreTrainedTokenizerFast.__init__` of transformers 4.57.

import type { AddedVocabulary, NewToken } from './added-vocabulary.js';
import { JsonPart, parseJson } from './json-part.js';
import { checkId } from './token-ids.js';
import { type Manner, TOKEN_NAMES, type TokenizerClass, type TokenName } from './tokenizer-classes.js';
import type { TextFile, TokenizerFiles } from './tokenizer-files.js';

/** A longer added token would make the search for it slow. */
const LONGEST = 256;
/** More of T5's extra tokens than anybody has. */
const MOST_EXTRA = 10_000;

/** A token that a name or a list stands for; a text alone says nothing of how it is found. */
type Named = NewToken | string;

export interface SpecialTokens {
  /** From a name, such as `eos_token`, to its token. */
  readonly named: ReadonlyMap<TokenName, Named>;
  /** Other special tokens. */
  readonly others: readonly Named[];
  /** Added tokens in the order of the ids that the files give them, which need not be the ids that they get. */
  readonly added: readonly NewToken[];
  /** Those ids, by content. */
  readonly ids: ReadonlyMap<string, number>;
}

/**
 * @param config tokenizer_config.json
 * @param own added_tokens of tokenizer.json
 * @throws KvgenError that names what is wrong
 */
export function readSpecialTokens(
  files: TokenizerFiles,
  config: JsonPart,
  own: JsonPart,
  type: TokenizerClass,
): SpecialTokens {
  const list = config.at('added_tokens_decoder');
  const isLegacy = list.value === undefined;
  const map = isLegacy && files.specialTokens !== undefined ? parseJson(files.specialTokens) : undefined;
  const listed = isLegacy ? ownTokens(own) : byId(list);
  const older = olderTokens(isLegacy ? files.addedTokens : undefined, new Set(specialContents(config, map)));
  const all = new Map([...older, ...listed]);
  return {
    named: namedTokens([map, config], type, { isSlow: files.tokenizer === undefined, listed: listed.values() }),
    others: otherTokens(config, map, type),
    added: inOrder(all),
    ids: new Map(Array.from(all, ([id, { content }]) => [content, id])),
  };
}

/** @param sources of which the first that has a name counts */
function namedTokens(
  sources: readonly (JsonPart | undefined)[],
  type: TokenizerClass,
  { isSlow, listed }: { readonly isSlow: boolean; readonly listed: Iterable<NewToken> },
): Map<TokenName, Named> {
  const known = new Map(Array.from(listed, (token) => [token.content, token]));
  const named = new Map<TokenName, Named>();
  for (const name of TOKEN_NAMES) {
    const inFile = namedToken(name, sources);
    const token = inFile === undefined ? type.tokens[name] : (known.get(contentOf(inFile ?? '')) ?? inFile);
    if (token !== undefined && token !== null && token !== '') {
      const manner = { ...(isSlow ? type.slowManners?.[name] : undefined), ...type.manners?.[name] };
      named.set(name, inManner(token, manner));
    }
  }
  return named;
}

/** Gives ids to the tokens of the files, in the order of transformers. @throws KvgenError for too many of them */
export function addSpecialTokens(vocabulary: AddedVocabulary, tokens: SpecialTokens, config: JsonPart): void {
  const all = allSpecial(tokens);
  const isSpecial = new Set(all.map(contentOf));
  const isAdded = new Set(tokens.added.map(({ content }) => content));
  const isNew = (token: Named) =>
    typeof token === 'string' ? !vocabulary.has(token) && !isAdded.has(token) : !tokens.added.includes(token);
  const more = all.filter(isNew).map((token) => (typeof token === 'string' ? plain(token) : token));
  const marked = [...tokens.added, ...more].map((token) => ({
    ...token,
    special: token.special || isSpecial.has(token.content),
  }));
  vocabulary.add(marked, config);
}

/** Each content once. */
function allSpecial({ named, others }: SpecialTokens): Named[] {
  const all = new Map<string, Named>();
  for (const token of [...named.values(), ...others]) {
    const content = contentOf(token);
    all.set(content, all.get(content) ?? token);
  }
  return [...all.values()];
}

export function contentOf(token: Named): string {
  return typeof token === 'string' ? token : token.content;
}

/** A token of added_tokens.json. */
function older(content: string, special: boolean): NewToken {
  return { ...plain(content, special), normalized: !special };
}

/** A token of which only the content is known. */
function plain(content: string, special = false): NewToken {
  return { content, lstrip: false, rstrip: false, singleWord: false, normalized: undefined, special };
}

function inManner(token: Named, manner: Manner): Named {
  const isPlain = Object.keys(manner).length === 0;
  return typeof token === 'string' && !isPlain ? { ...plain(token), ...manner } : token;
}

/** Of the first source that has the name; null: it says that there is none; undefined: no source has it. */
function namedToken(name: TokenName, sources: readonly (JsonPart | undefined)[]): Named | null | undefined {
  for (const source of sources) {
    const token = source?.at(name);
    if (token !== undefined && token.value !== undefined) {
      return token.value === null ? null : readNamed(token);
    }
  }
  return undefined;
}

/** A text, or an object with that text as its content. */
function readNamed(part: JsonPart): Named {
  return typeof part.value === 'string' ? checkedContent(part) : readNewToken(part, true);
}

/** `additional_special_tokens`, and `extra_special_tokens` by their names or as a list. */
function otherTokens(config: JsonPart, map: JsonPart | undefined, type: TokenizerClass): Named[] {
  const [fromConfig, fromMap] = [config, map].map((source) => listOf(source?.at('additional_special_tokens')));
  const others = [...(fromConfig ?? []), ...(fromMap ?? [])];
  const extra = extraIds(config, type);
  if (extra > 0 && !others.some((token) => contentOf(token).includes('<extra_id_'))) {
    others.push(...Array.from({ length: extra }, (_, i) => `<extra_id_${i}>`));
  }
  return [...others, ...extraTokens(config.at('extra_special_tokens'))];
}

function extraIds(config: JsonPart, { extraIds: usual = 0 }: TokenizerClass): number {
  const part = config.at('extra_ids');
  const count = usual === 0 || part.missing ? usual : part.value;
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 0 || count > MOST_EXTRA) {
    throw part.wrong(`a number from 0 to ${MOST_EXTRA}`);
  }
  return count;
}

function extraTokens(part: JsonPart): Named[] {
  if (part.missing || Array.isArray(part.value)) {
    return listOf(part);
  }
  return Object.keys(part.object()).map((name) => readNamed(part.at(name)));
}

function listOf(part: JsonPart | undefined): Named[] {
  return part === undefined || part.missing ? [] : part.list().map(readNamed);
}

/** `added_tokens_decoder`: from an id to its token. */
function byId(list: JsonPart): Map<number, NewToken> {
  const ids = list.missing ? [] : Object.keys(list.object());
  return new Map(
    ids.map((id) => [checkId(new JsonPart(list.file, Number(id), list.path)), readNewToken(list.at(id), false)]),
  );
}

/** The added tokens of tokenizer.json. */
function ownTokens(own: JsonPart): Map<number, NewToken> {
  const parts = own.missing ? [] : own.list();
  return new Map(parts.map((part) => [checkId(part.at('id')), readNewToken(part, false)]));
}

/** added_tokens.json */
function olderTokens(file: TextFile | undefined, special: ReadonlySet<string>): Map<number, NewToken> {
  const list = file === undefined ? undefined : parseJson(file);
  const contents = Object.keys(list?.object() ?? {});
  return new Map(
    contents.map((content) => [
      checkId((list as JsonPart).at(content)),
      older(checkedContent(new JsonPart((file as TextFile).path, content)), special.has(content)),
    ]),
  );
}

/** What the files, and not the class, say is special. */
function specialContents(config: JsonPart, map: JsonPart | undefined): string[] {
  const named = TOKEN_NAMES.flatMap((name) => namedToken(name, [map, config]) ?? []);
  return [...named, ...[config, map].flatMap((source) => listOf(source?.at('additional_special_tokens')))].map(
    contentOf,
  );
}

function inOrder(tokens: ReadonlyMap<number, NewToken>): NewToken[] {
  return [...tokens].sort(([a], [b]) => a - b).map(([, token]) => token);
}

/** @param special is it so where the object does not say? */
export function readNewToken(part: JsonPart, special: boolean): NewToken {
  const normalized = part.at('normalized');
  return {
    content: checkedContent(part.at('content')),
    lstrip: part.at('lstrip').flag(false),
    rstrip: part.at('rstrip').flag(false),
    singleWord: part.at('single_word').flag(false),
    normalized: normalized.missing ? undefined : normalized.flag(false),
    special: special || part.at('special').flag(false),
  };
}

function checkedContent(part: JsonPart): string {
  const content = part.text();
  if (content.length > LONGEST) {
    throw part.unsupported(`an added token of ${content.length} characters, more than ${LONGEST}, is not supported`);
  }
  return content;
}
