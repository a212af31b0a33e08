// What is said in a chat: the messages that a template is given. Knows nothing of templates or ids.

import { KvgenError, shown } from '../errors.js';

export interface ChatMessage {
  /** Such as `system`, `user` or `assistant`; the template says which there are. */
  readonly role: string;
  readonly content: string;
}

/** A user's turn with what was answered. */
export interface SaidTurn {
  readonly user: string;
  readonly answer: string;
}

/** @param system undefined: there is none */
export function messagesOf(system: string | undefined, turns: readonly SaidTurn[], user?: string): ChatMessage[] {
  return [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    ...turns.flatMap(({ user, answer }) => [
      { role: 'user', content: user },
      { role: 'assistant', content: answer },
    ]),
    ...(user === undefined ? [] : [{ role: 'user', content: user }]),
  ];
}

/** @param json what somebody gave as messages @throws KvgenError that names what was expected and what was found */
export function readMessages(json: unknown): ChatMessage[] {
  if (!Array.isArray(json) || json.length === 0) {
    throw new KvgenError(`messages: expected a list of at least one message, found ${shown(json)}`);
  }
  return json.map((message: unknown, i) => {
    const { role, content, ...others } = Object(message);
    for (const [name, value] of Object.entries({ role, content })) {
      if (typeof value !== 'string') {
        throw new KvgenError(`messages[${i}].${name}: expected a text, found ${shown(value)}`);
      }
    }
    const [other] = Object.keys(others);
    if (other !== undefined) {
      throw new KvgenError(`messages[${i}].${other}: expected role and content alone`);
    }
    return { role, content };
  });
}
