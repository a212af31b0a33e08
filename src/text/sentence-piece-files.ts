// What tokenizer.json would say, made from a model of SentencePiece as the class does for which it was saved. The classes
// differ in their first pieces, in how they normalize, and in where they put a space before a text; one that is not here is
// refused by name.
// Reference: the converters of transformers' convert_slow_tokenizer.py.

import { JsonPart } from './json-part.js';
import { templateOf } from './post-processor.js';
import { PIECE, readSentencePiece, type SentencePieceModel } from './sentence-piece.js';
import { LONGEST_MERGED, mergesOf } from './sentence-piece-merges.js';
import { contentOf } from './special-tokens.js';
import type { TokenName } from './tokenizer-classes.js';
import type { ByteFile, TokenizerFiles } from './tokenizer-files.js';
import type { TokenizerParts, TokenizerSettings } from './tokenizer-parts.js';

/** What SentencePiece writes for a space. */
const SPACE = '▁';

/** A token and its score. */
type Scored = readonly [token: string, score: number];

interface Source {
  readonly model: SentencePieceModel;
  readonly settings: TokenizerSettings;
}

/** How a class converts a model. */
interface ClassOfModel {
  readonly pieces: (source: Source) => readonly Scored[];
  readonly unknownId: (model: SentencePieceModel) => number;
  readonly byteFallback: boolean;
  /** User-defined pieces that are special. */
  readonly special?: ReadonlySet<string>;
  readonly way: (source: Source) => Way;
  readonly around?: readonly [before: readonly string[], behind: readonly string[]] | undefined;
}

/** From text to words, and back. */
interface Way {
  readonly normalizer: object | null;
  readonly preTokenizer: object | null;
  readonly decoder: object;
}

const plainPieces = ({ model }: Source): Scored[] => model.pieces.map(({ text, score }) => [text, score]);
const restOf = (source: Source): Scored[] => plainPieces(source).slice(3);

const T5: ClassOfModel = {
  pieces: t5Pieces,
  unknownId: ({ unknownId }) => unknownId,
  byteFallback: false,
  way: metaspaceWay,
  around: [[], ['</s>']],
};

const CLASSES = new Map<string, ClassOfModel>([
  ['AlbertTokenizer', { ...T5, pieces: albertPieces, way: albertWay, around: [['[CLS]'], ['[SEP]']] }],
  [
    'GemmaTokenizer',
    {
      pieces: gemmaPieces,
      unknownId: () => 3,
      byteFallback: true,
      special: new Set(['<start_of_turn>', '<end_of_turn>']),
      way: gemmaWay,
    },
  ],
  ['LlamaTokenizer', { pieces: llamaPieces, unknownId: () => 0, byteFallback: true, way: llamaWay }],
  ['MT5Tokenizer', T5],
  ['ReformerTokenizer', { ...T5, pieces: plainPieces, around: undefined }],
  ['T5Tokenizer', T5],
]);

/** The classes that read it so. */
export const SENTENCE_PIECE_CLASSES: ReadonlySet<string> = new Set(CLASSES.keys());

/** @param settings with one of those classes @throws KvgenError for a damaged file */
export function fromSentencePiece(files: TokenizerFiles, settings: TokenizerSettings): TokenizerParts {
  const { sentencePiece: file } = files as { sentencePiece: ByteFile };
  const type = CLASSES.get(settings.className ?? '') ?? T5;
  const source = { model: readSentencePiece(file), settings };
  const { normalizer, preTokenizer, decoder } = type.way(source);
  const [before, behind] = type.around ?? [];
  const part = (value: unknown) => new JsonPart(file.path, value);
  const template = before === undefined ? null : templateOf(before, behind ?? [], settings.special.ids);
  return {
    path: file.path,
    ...wordModel(source, type, part),
    added: part(addedPieces(source, type)),
    normalizer: part(normalizer),
    preTokenizer: part(preTokenizer),
    postProcessor: part(template),
    decoder: part(decoder),
  };
}

function wordModel(source: Source, type: ClassOfModel, part: (value: unknown) => JsonPart) {
  const { model } = source;
  const pieces = type.pieces(source);
  if (model.type === 'unigram') {
    const options = { type: 'Unigram', unk_id: type.unknownId(model), byte_fallback: type.byteFallback };
    return { model: part(options), vocab: part(pieces), merges: part(null) };
  }
  const long = pieces.find(([token]) => token.length > LONGEST_MERGED);
  if (long !== undefined) {
    const what = `a piece of ${long[0].length} characters, more than ${LONGEST_MERGED}`;
    throw part(null).unsupported(`${what}, is not supported`);
  }
  const ids = new Map(model.pieces.map(({ text }, id) => [text, id]));
  const options = { type: 'BPE', unk_token: model.unknownPiece, fuse_unk: true, byte_fallback: type.byteFallback };
  return {
    model: part(options),
    vocab: part(Object.fromEntries(pieces.map(([token], id) => [token, id]))),
    merges: part(mergesOf(withTab(ids, source), new Map(pieces))),
  };
}

/** Control pieces are special tokens, and user-defined ones are added. */
function addedPieces({ model }: Source, { special }: ClassOfModel): object[] {
  return model.pieces.flatMap(({ text, type }) => {
    const isControl = type === PIECE.control;
    const isAdded = isControl || type === PIECE.userDefined;
    return isAdded ? [{ content: text, normalized: false, special: isControl || special?.has(text) }] : [];
  });
}

/** A space comes before the text, or before each part of it between special tokens. */
function prependScheme({ settings: { className, config } }: Source): 'always' | 'first' | 'never' {
  if (!/^(Llama|M?T5)Tokenizer$/.test(className ?? '')) {
    return 'always'; // the others have no such settings
  }
  const isLegacy = config.at('legacy').flag(true);
  return !prefixes(config) ? 'never' : isLegacy ? 'always' : 'first';
}

/** Where the configuration says null, the classes take it for false. */
function prefixes(config: JsonPart): boolean {
  const part = config.at('add_prefix_space');
  return part.value === undefined || part.flag(false);
}

function metaspaceWay(source: Source): Way {
  const metaspace = { type: 'Metaspace', replacement: SPACE, prepend_scheme: prependScheme(source) };
  const normalizers = [
    ...precompiled(source.model),
    { type: 'Strip', strip_left: false, strip_right: true },
    { type: 'Replace', pattern: { Regex: ' {2,}' }, content: SPACE },
  ];
  return { normalizer: { type: 'Sequence', normalizers }, preTokenizer: metaspace, decoder: metaspace };
}

function albertWay(source: Source): Way {
  const { config } = source.settings;
  const accents = config.at('keep_accents').flag(false) ? [] : [{ type: 'NFKD' }, { type: 'StripAccents' }];
  const normalizers = [
    { type: 'Replace', pattern: { String: '``' }, content: '"' },
    { type: 'Replace', pattern: { String: "''" }, content: '"' },
    ...accents,
    ...(config.at('do_lower_case').flag(true) ? [{ type: 'Lowercase' }] : []),
    ...precompiled(source.model),
    { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
  ];
  return { ...metaspaceWay(source), normalizer: { type: 'Sequence', normalizers } };
}

function precompiled({ charsmap }: SentencePieceModel): object[] {
  const base64 = Buffer.from(charsmap).toString('base64');
  return charsmap.length === 0 ? [] : [{ type: 'Precompiled', precompiled_charsmap: base64 }];
}

const SPACES = { type: 'Replace', pattern: { String: ' ' }, content: SPACE };
const BACK = [
  { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
  { type: 'ByteFallback' },
  { type: 'Fuse' },
];

function llamaWay(source: Source): Way {
  const { config } = source.settings;
  const strip = prefixes(config) ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [];
  const decoder = { type: 'Sequence', decoders: [...BACK, ...strip] };
  if (!config.at('legacy').flag(true)) {
    const preTokenizer = {
      type: 'Metaspace',
      replacement: SPACE,
      prepend_scheme: prependScheme(source),
      split: false,
    };
    return { normalizer: null, preTokenizer, decoder };
  }
  const prepend = prefixes(config) ? [{ type: 'Prepend', prepend: SPACE }] : [];
  return { normalizer: { type: 'Sequence', normalizers: [...prepend, SPACES] }, preTokenizer: null, decoder };
}

function gemmaWay(): Way {
  const preTokenizer = { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false };
  return { normalizer: SPACES, preTokenizer, decoder: { type: 'Sequence', decoders: BACK } };
}

function t5Pieces(source: Source): Scored[] {
  const extra = source.settings.config.at('extra_ids');
  const count = typeof extra.value === 'number' ? extra.value : 100; // checked where special tokens are read
  return [
    ...plainPieces(source),
    ...Array.from({ length: count }, (_, i): Scored => [`<extra_id_${count - 1 - i}>`, 0]),
  ];
}

/** Pieces of a number and a comma are avoided. */
function albertPieces(source: Source): Scored[] {
  return plainPieces(source).map(([token, score]): Scored => [token, /\p{Nd},$/u.test(token) ? score - 100 : score]);
}

/** The first three are what the added tokens with these ids say. */
function llamaPieces(source: Source): Scored[] {
  const { model, settings } = source;
  const byId = new Map(Array.from(settings.special.ids, ([content, id]) => [id, content]));
  const first = model.pieces.slice(0, 3).map(({ text }, id): Scored => [byId.get(id) ?? text, 0]);
  return [...first, ...restOf(source)];
}

function gemmaPieces(source: Source): Scored[] {
  const content = (name: TokenName): Scored => {
    const token = source.settings.special.named.get(name);
    return [token === undefined ? '' : contentOf(token), 0];
  };
  const pieces = [content('pad_token'), content('eos_token'), content('bos_token'), ...restOf(source)];
  const hasTab = pieces.some(([token]) => token === '\t');
  return pieces.map((piece): Scored => (!hasTab && piece[0] === '<0x09>' ? ['\t', 0] : piece));
}

/** Gemma merges a tab, which older models have as a byte alone. */
function withTab(ids: ReadonlyMap<string, number>, { settings }: Source): ReadonlyMap<string, number> {
  const byte = ids.get('<0x09>');
  const isMissing = settings.className === 'GemmaTokenizer' && !ids.has('\t') && byte !== undefined;
  return isMissing ? new Map([...ids, ['\t', byte]]) : ids;
}
