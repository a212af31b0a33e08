// Writes a tiny model that chats: GPT-2 with random weights, ids that are bytes, and the template that is given.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomize, TINY, writeModel } from './model-folder.js';

/** The special tokens, with their ids behind those of bytes. */
export const START = '<|im_start|>';
export const END = '<|im_end|>';
export const IDS = { '<|endoftext|>': 256, [START]: 257, [END]: 258 } as const;

export const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

export interface ChatFolder {
  /** null: the model has none. */
  readonly template?: string | null;
  readonly positions?: number;
}

/** @returns `dir` */
export function writeChatModel(dir: string, { template = CHATML, positions = 1024 }: ChatFolder = {}): string {
  const config = { ...TINY, vocab_size: 259, n_positions: positions, eos_token_id: 256 };
  writeModel(dir, { config, tensors: randomize(config) });
  const added = Object.entries(IDS).map(([content, id]) => ({ id, content, special: true }));
  const tokenizer = {
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: byteVocabulary(), merges: [] },
  };
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer));
  const chat = template === null ? {} : { chat_template: template };
  writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify({ eos_token: END, ...chat }));
  return dir;
}

/** GPT-2's characters for bytes: those that can be printed stand for themselves, the others come behind U+0100. */
function byteVocabulary(): Record<string, number> {
  const isPlain = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  const characters = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPlain(byte) ? byte : next++));
  return Object.fromEntries(characters.map((character, byte) => [character, byte]));
}
