// Reads the files of a tokenizer: makes one tokenizer.json of them, and what stands beside it. Knows nothing of folders, nor
// of what the parts mean.

import { JsonPart, parseJson } from './json-part.js';
import { convertFiles } from './slow-files.js';
import { mainPath, type TextFile, type TokenizerFiles } from './tokenizer-files.js';
import type { TokenizerParts, TokenizerSettings } from './tokenizer-parts.js';

/** @throws KvgenError that names the file, what was expected and what was found */
export function readParts(files: TokenizerFiles): { parts: TokenizerParts; settings: TokenizerSettings } {
  const settings = readSettings(files);
  const parts = files.tokenizer === undefined ? convertFiles(files, settings) : fromTokenizerJson(files.tokenizer);
  return { parts, settings };
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

function readSettings(files: TokenizerFiles): TokenizerSettings {
  const config = files.config === undefined ? new JsonPart(mainPath(files), {}) : parseJson(files.config);
  return { className: className(config, files.modelConfig), config };
}

/** tokenizer_config.json names it, or else config.json. */
function className(config: JsonPart, modelConfig: TextFile | undefined): string | undefined {
  const own = config.at('tokenizer_class');
  const named = own.missing && modelConfig !== undefined ? parseJson(modelConfig).at('tokenizer_class') : own;
  return named.missing ? undefined : named.text().replace(/Fast$/, '');
}
