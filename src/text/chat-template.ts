// Where the chat template of a model is: in chat_template.jinja, else in tokenizer_config.json, or in the metadata of a GGUF
// file. Reads its text alone, and knows nothing of what is in it.
// Reference: `PreTrainedTokenizerBase._from_pretrained` of transformers 4.57: the file comes before the configuration.

import { TOKENIZER } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';
import { ggufHeader } from '../gguf/folder-header.js';
import { type JsonPart, parseJson } from './json-part.js';
import type { TextFile } from './tokenizer-files.js';

/** Of several templates in one configuration the one of plain chats. */
const DEFAULT_NAME = 'default';

/** @returns undefined: the model has none @throws KvgenError where a file cannot be read, or says something else there */
export async function readChatTemplate(folder: ModelFolder): Promise<TextFile | undefined> {
  if (folder.single !== undefined) {
    const { path, metadata } = await ggufHeader(folder);
    const text = metadata.text('tokenizer.chat_template');
    return text === undefined ? undefined : { path, text };
  }
  const text = await folder.readText('chat_template.jinja', TOKENIZER);
  if (text !== undefined) {
    return { path: folder.path('chat_template.jinja'), text };
  }
  const config = await folder.readText('tokenizer_config.json', TOKENIZER);
  const path = folder.path('tokenizer_config.json');
  return config === undefined ? undefined : inConfig(path, parseJson({ path, text: config }).at('chat_template'));
}

function inConfig(path: string, template: JsonPart): TextFile | undefined {
  if (template.missing) {
    return undefined;
  }
  if (!Array.isArray(template.value)) {
    return { path, text: template.text() };
  }
  const named = template.list().find((one) => one.at('name').value === DEFAULT_NAME);
  return named === undefined ? undefined : { path, text: named.at('template').text() };
}
