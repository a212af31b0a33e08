// From what was said to the ids that a model is given. A model with a template is given the template's rendering of all
// messages, one without is given the text so far. What was said before keeps the ids that it was said with, as long as its
// text is the same: so nothing of it is run twice, and no answer becomes other tokens by being read again.

import { encodePrompt, type TextModel } from '../completion/text-bounds.js';
import { Detokenizer } from '../text/detokenizer.js';
import type { EncodeOptions, Tokenizer } from '../text/tokenizer.js';
import type { ChatMessage } from './messages.js';
import type { ChatTemplate } from './prompt-template.js';

/** A text with the ids that it has, which need not be those that it would be given by itself. */
export interface KnownText {
  readonly text: string;
  readonly ids: readonly number[];
}

export const NOTHING_KNOWN: KnownText = { text: '', ids: [] };

export interface ChatPrompt extends KnownText {
  /** Does it begin with the ids of what was known? */
  readonly extends: boolean;
}

/** @throws KvgenError for what the template refuses; what the signal aborts with */
export async function templatePrompt(
  template: ChatTemplate,
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  known: KnownText,
  options: EncodeOptions,
): Promise<ChatPrompt> {
  const text = await template.render(messages, { addGenerationPrompt: true, signal: options.signal });
  if (known.ids.length > 0 && text.startsWith(known.text)) {
    const rest = text.slice(known.text.length);
    const ids = await tokenizer.encode(rest, options);
    if (beginsSpecial(tokenizer, rest, ids)) {
      return { text, ids: [...known.ids, ...ids], extends: true };
    }
  }
  return { text, ids: await tokenizer.encode(text, options), extends: false };
}

/** A text is cut at a special token anyhow: what stands behind it has the same ids alone. */
function beginsSpecial(tokenizer: Tokenizer, text: string, [first]: readonly number[]): boolean {
  return first !== undefined && tokenizer.isSpecial(first) && text.startsWith(tokenizer.token(first) ?? '\0');
}

/** The text so far with more behind it. @throws KvgenError where there is no text to begin with */
export async function plainPrompt(
  model: TextModel,
  more: string,
  known: KnownText,
  options: EncodeOptions & { readonly bos: boolean },
): Promise<ChatPrompt> {
  const text = known.text + more;
  const { tokenizer } = model;
  if (known.ids.length > 0 && tokenizer?.decoding === undefined) {
    const ids = more === '' ? [] : ((await tokenizer?.encode(more, options)) ?? []);
    return { text, ids: [...known.ids, ...ids], extends: true };
  }
  const { before, ids } = await encodePrompt(text, model, options);
  return { text, ids: [...before, ...ids], extends: false };
}

/**
 * A prompt with what was generated behind it, as far as its text says all of it.
 * @param answer the text that was shown: a stop string is no part of it, nor is a special token
 */
export function withAnswer(
  tokenizer: Tokenizer | null,
  prompt: KnownText,
  answer: string,
  ids: readonly number[],
): KnownText {
  if (tokenizer === null || ids.some((id) => tokenizer.isSpecial(id))) {
    return NOTHING_KNOWN;
  }
  const detokenizer = new Detokenizer(
    tokenizer,
    prompt.ids.filter((id) => !tokenizer.isSpecial(id)),
  );
  const text = ids.map((id) => detokenizer.add(id)).join('') + detokenizer.finish();
  return text === answer ? { text: prompt.text + answer, ids: [...prompt.ids, ...ids] } : NOTHING_KNOWN;
}
