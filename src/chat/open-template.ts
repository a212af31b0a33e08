// Opens the chat template of a model's folder. Knows nothing of what is said.

import { KvgenError } from '../errors.js';
import type { ModelFolder } from '../files/model-folder.js';
import { readChatTemplate } from '../text/chat-template.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { ChatTemplate } from './prompt-template.js';

/** @returns the caller's to dispose; null: there is none @throws KvgenError where a file cannot be read */
export async function chatTemplateOf(folder: ModelFolder, tokenizer: Tokenizer): Promise<ChatTemplate | null> {
  const file = await readChatTemplate(folder);
  return file === undefined ? null : new ChatTemplate(file, tokenizer.named);
}

/** A model has no template. */
export class NoChatTemplate extends KvgenError {}

/** The error that a model has no template, where one is needed. */
export function noTemplate(dir: string): NoChatTemplate {
  return new NoChatTemplate(
    `${dir}: no chat template: expected chat_template.jinja, or chat_template in tokenizer_config.json; give a prompt without --chat`,
  );
}
