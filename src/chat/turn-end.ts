// The token that ends an answer, as the template shows it: whatever special token it writes behind what an assistant said.
// Models name it in their configuration, too, but not all of them.

import { KvgenError } from '../errors.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { ChatTemplate } from './prompt-template.js';

const QUESTION = 'Is it?';
/** No template has these words of its own. */
const ANSWER = 'It is, in every way that kvgen knows of.';
/** How a token looks that a folder added and did not call special. */
const LIKE_SPECIAL = /^<[^\s<>]+>$|^\[[^\s[\]]+\]$/;

/** @returns undefined: the template writes none, or takes no answer @throws what `signal` aborts with */
export async function turnEnd(
  template: ChatTemplate,
  tokenizer: Tokenizer,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const messages = [
    { role: 'user', content: QUESTION },
    { role: 'assistant', content: ANSWER },
  ];
  const text = await template.render(messages, { addGenerationPrompt: false, signal }).catch((error: unknown) => {
    if (error instanceof KvgenError) {
      return ''; // what is wrong with it is said when it is used
    }
    throw error;
  });
  const at = text.lastIndexOf(ANSWER);
  return at < 0 ? undefined : firstSpecial(text.slice(at + ANSWER.length), tokenizer, signal);
}

/** The special token that a text begins with, but for white space. */
async function firstSpecial(
  text: string,
  tokenizer: Tokenizer,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  const rest = text.trimStart();
  const ids = rest === '' ? [] : await tokenizer.encode(rest, { signal });
  return ids.find((id) => {
    const token = tokenizer.token(id) ?? '';
    return rest.startsWith(token) && (tokenizer.isSpecial(id) || LIKE_SPECIAL.test(token));
  });
}
