// Reads the files of a tokenizer: makes one tokenizer.json of them, and what stands beside it. Knows nothing of folders, nor
// of what the parts mean.

import { BERT_CLASSES, bertNormalizer } from './bert-files.js';
import { JsonPart, parseJson } from './json-part.js';
import { templateOf } from './post-processor.js';
import { classForFiles, classOfFiles, convertFiles } from './slow-files.js';
import { contentOf, readSpecialTokens } from './special-tokens.js';
import { classOf, classOfModelType, isKnownClass, type TokenName } from './tokenizer-classes.js';
import { mainPath, type TextFile, type TokenizerFiles } from './tokenizer-files.js';
import type { TokenizerParts, TokenizerSettings } from './tokenizer-parts.js';

/** @throws KvgenError that names the file, what was expected and what was found */
export function readParts(files: TokenizerFiles): { parts: TokenizerParts; settings: TokenizerSettings } {
  const json = files.tokenizer === undefined ? undefined : fromTokenizerJson(files.tokenizer);
  const settings = readSettings(files, json);
  const parts = json !== undefined && !isConverted(files, settings) ? json : convertFiles(files, settings);
  const postProcessor = surrounding(settings) ?? parts.postProcessor;
  const preTokenizer = withPrefix(parts.preTokenizer, settings);
  const isBert = BERT_CLASSES.has(settings.className ?? '');
  const normalizer = isBert ? bertNormalizer(parts.normalizer, settings) : parts.normalizer;
  return { parts: { ...parts, normalizer, preTokenizer, postProcessor }, settings };
}

/** Classes whose tokenizer.json counts no more where the configuration says how words begin. */
const CONVERTED = new Set(['LlamaTokenizer', 'T5Tokenizer']);

function isConverted({ sentencePiece }: TokenizerFiles, { className, config }: TokenizerSettings): boolean {
  return sentencePiece !== undefined && CONVERTED.has(className ?? '') && !config.at('add_prefix_space').missing;
}

function fromTokenizerJson(file: TextFile): TokenizerParts {
  const json = parseJson(file);
  const model = json.at('model');
  return {
    path: file.path,
    model,
    vocab: model.at('vocab'),
    merges: model.at('merges'),
    added: json.at('added_tokens'),
    normalizer: json.at('normalizer'),
    preTokenizer: json.at('pre_tokenizer'),
    postProcessor: json.at('post_processor'),
    decoder: json.at('decoder'),
  };
}

function readSettings(files: TokenizerFiles, json: TokenizerParts | undefined): TokenizerSettings {
  const config = files.config === undefined ? new JsonPart(mainPath(files), {}) : parseJson(files.config);
  const named = namedClass(config, files);
  const className = named === undefined ? usualClass(files) : readableClass(named, files);
  const own = json?.added ?? new JsonPart(mainPath(files), null);
  const special = readSpecialTokens(files, config, own, classOf(className));
  return { className, named, config, special, splitsSpecial: config.at('split_special_tokens').flag(false) };
}

/** tokenizer_config.json names it, or else config.json. */
function namedClass(config: JsonPart, files: TokenizerFiles): string | undefined {
  const own = config.at('tokenizer_class');
  const named = own.missing ? modelConfigOf(files)?.at('tokenizer_class') : own;
  return named === undefined || named.missing ? undefined : named.text().replace(/Fast$/, '');
}

/** Where nobody knows the class, older files say which it is. */
function readableClass(named: string, files: TokenizerFiles): string {
  return isKnownClass(named) || files.tokenizer !== undefined ? named : (classOfFiles(files) ?? named);
}

/** The one of the model, unless it reads other files than are there. */
function usualClass(files: TokenizerFiles): string | undefined {
  const usual = classOfModelType(modelConfigOf(files)?.at('model_type').value);
  return files.tokenizer === undefined ? classForFiles(files, usual) : usual;
}

function modelConfigOf({ modelConfig }: TokenizerFiles): JsonPart | undefined {
  return modelConfig === undefined ? undefined : parseJson(modelConfig);
}

/** What a class puts around a text, whatever tokenizer.json says; undefined: it does not. */
function surrounding({ className, config, special }: TokenizerSettings): JsonPart | undefined {
  const { surrounds } = classOf(className);
  if (surrounds === undefined) {
    return undefined;
  }
  const around = (flag: string, usual: boolean, name: TokenName): string[] => {
    const token = special.named.get(name);
    const { value } = config.at(flag);
    if (value === null || !config.at(flag).flag(usual)) {
      return [];
    }
    if (token === undefined) {
      throw config.broken(`${flag} is true, and no ${name} is named`);
    }
    return [contentOf(token)];
  };
  const before = around('add_bos_token', surrounds.bos, 'bos_token');
  return new JsonPart(config.file, templateOf(before, around('add_eos_token', surrounds.eos, 'eos_token')));
}

/** Where there is a class, the configuration decides whether a space comes before a text, and tokenizer.json does not. */
function withPrefix(json: JsonPart, { className, config }: TokenizerSettings): JsonPart {
  const isByteLevel = !json.missing && json.at('type').value === 'ByteLevel';
  if (className === undefined || !isByteLevel || config.at('add_prefix_space').value === null) {
    return json; // null says nothing, and nothing says false
  }
  const add_prefix_space = config.at('add_prefix_space').flag(false);
  return new JsonPart(json.file, { ...json.object(), add_prefix_space }, json.path);
}
