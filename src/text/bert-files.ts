// What tokenizer.json would say, made from BERT's vocab.txt: a token a line, the place its id. Chinese GPT-2s have it.
// Reference: `BertConverter` of transformers' convert_slow_tokenizer.py, `load_vocab` of its tokenization_bert.py.

import { KvgenError } from '../errors.js';
import { JsonPart } from './json-part.js';
import { templateOf } from './post-processor.js';
import { contentOf } from './special-tokens.js';
import { MAX_IDS } from './token-ids.js';
import type { TokenName } from './tokenizer-classes.js';
import type { TextFile, TokenizerFiles } from './tokenizer-files.js';
import type { TokenizerParts, TokenizerSettings } from './tokenizer-parts.js';

/** The classes that read it so. */
export const BERT_CLASSES: ReadonlySet<string> = new Set([
  'BertTokenizer',
  'ConvBertTokenizer',
  'DistilBertTokenizer',
  'ElectraTokenizer',
  'LayoutLMTokenizer',
  'LxmertTokenizer',
  'MobileBertTokenizer',
  'RealmTokenizer',
  'RetriBertTokenizer',
  'SqueezeBertTokenizer',
]);

export function fromBertFiles(files: TokenizerFiles, settings: TokenizerSettings): TokenizerParts {
  const { pieces } = files as { pieces: TextFile };
  const { named, ids } = settings.special;
  const part = (value: unknown) => new JsonPart(pieces.path, value);
  const contents = (name: TokenName) =>
    [named.get(name)].flatMap((token) => (token === undefined ? [] : contentOf(token)));
  const [unknown = '[UNK]'] = contents('unk_token');
  return {
    path: pieces.path,
    model: part({ type: 'WordPiece', unk_token: unknown }),
    vocab: part(vocabularyOf(pieces)),
    merges: part(null),
    added: part(null),
    normalizer: part({ type: 'BertNormalizer' }),
    preTokenizer: part({ type: 'BertPreTokenizer' }),
    postProcessor: part(templateOf(contents('cls_token'), contents('sep_token'), ids)),
    decoder: part({ type: 'WordPiece' }),
  };
}

/** The class's settings count, whatever a tokenizer.json says of its normalizer. */
export function bertNormalizer(normalizer: JsonPart, { config }: Pick<TokenizerSettings, 'config'>): JsonPart {
  if (normalizer.missing || normalizer.at('type').value !== 'BertNormalizer') {
    return normalizer;
  }
  const accents = config.at('strip_accents');
  const options = {
    lowercase: config.at('do_lower_case').flag(true),
    handle_chinese_chars: config.at('tokenize_chinese_chars').flag(true),
    strip_accents: accents.missing ? null : accents.flag(false),
  };
  return new JsonPart(normalizer.file, { ...normalizer.object(), ...options }, normalizer.path);
}

/** Of lines that are there twice the last counts. @throws KvgenError for too many */
function vocabularyOf({ path, text }: TextFile): Record<string, number> {
  const lines = text.split(/\r\n|\r|\n/, MAX_IDS + 2);
  if (lines.at(-1) === '') {
    lines.pop();
  }
  if (lines.length > MAX_IDS) {
    throw new KvgenError(`${path}: expected at most ${MAX_IDS} lines, found more; download the file again`);
  }
  return Object.fromEntries(lines.map((token, id) => [token, id]));
}
