// What tokenizer.json would say, made from GPT-2's vocab.json and merges.txt.
// References: `GPT2Converter`, `RobertaConverter` and `Qwen2Converter` of transformers' convert_slow_tokenizer.py.

import { JsonPart, parseJson } from './json-part.js';
import { QWEN2_PATTERN } from './pattern.js';
import { templateOf } from './post-processor.js';
import { contentOf } from './special-tokens.js';
import type { TokenName } from './tokenizer-classes.js';
import type { TextFile, TokenizerFiles } from './tokenizer-files.js';
import type { TokenizerParts, TokenizerSettings } from './tokenizer-parts.js';

/** Classes with the same files that put `cls_token` before a text and `sep_token` behind it. */
const SURROUNDING = new Set([
  'BartTokenizer',
  'DebertaTokenizer',
  'LEDTokenizer',
  'LongformerTokenizer',
  'RobertaTokenizer',
]);

const QWEN2 = 'Qwen2Tokenizer';

/** The classes that read them so. CLIP's vocab.json and merges.txt, for one, are of another kind of BPE. */
export const GPT2_CLASSES: ReadonlySet<string> = new Set(['GPT2Tokenizer', 'CodeGenTokenizer', QWEN2, ...SURROUNDING]);

export function fromGpt2Files(files: TokenizerFiles, settings: TokenizerSettings): TokenizerParts {
  const { vocab, merges } = files as { vocab: TextFile; merges: TextFile };
  const part = (value: unknown) => new JsonPart(vocab.path, value);
  return {
    path: vocab.path,
    model: part({ type: 'BPE' }),
    vocab: parseJson(vocab),
    merges: new JsonPart(merges.path, mergeLines(merges.text)),
    added: part(null),
    ...splitting(settings, part),
    postProcessor: new JsonPart(settings.config.file, postProcessor(settings)),
    decoder: part({ type: 'ByteLevel' }),
  };
}

/** GPT-2's pattern, or for Qwen 2 its own, on normalized text. */
function splitting({ className, config }: TokenizerSettings, part: (value: unknown) => JsonPart) {
  const add_prefix_space = config.at('add_prefix_space').flag(false);
  const words = { type: 'ByteLevel', add_prefix_space, use_regex: className !== QWEN2 };
  if (className !== QWEN2) {
    return { normalizer: part(null), preTokenizer: part(words) };
  }
  const split = { type: 'Split', pattern: { Regex: QWEN2_PATTERN }, behavior: 'Isolated', invert: false };
  return {
    normalizer: part({ type: 'NFC' }),
    preTokenizer: part({ type: 'Sequence', pretokenizers: [split, words] }),
  };
}

/** As transformers reads them: what is before the first line break is the version, and a line that has no end is lost. */
function mergeLines(text: string): string[] {
  const lines = text.split(/\r\n|\r|\n/).slice(1, -1);
  return [...new Set(lines.map((line) => line.trim()).filter((line) => line !== ''))];
}

/** BERT-like classes surround a text; those like GPT-2 put `bos_token` before it where `add_bos_token` says so. */
function postProcessor({ className, config, special: { named, ids } }: TokenizerSettings): object | null {
  const contents = (name: TokenName) =>
    [named.get(name)].flatMap((token) => (token === undefined ? [] : contentOf(token)));
  if (className !== undefined && SURROUNDING.has(className)) {
    return templateOf(contents('cls_token'), contents('sep_token'), ids);
  }
  return className !== QWEN2 && config.at('add_bos_token').flag(false)
    ? templateOf(contents('bos_token'), [], ids)
    : null;
}
