// The names of saved answers: a hash of everything that decides the text.

import { createHash } from 'node:crypto';

export const ANSWER = /^([0-9a-f]{32})\.json$/;

/** @param question everything that decides the answer, as one JSON text */
export function answerName(question: string): string {
  return `${createHash('sha256').update(question).digest('hex').slice(0, 32)}.json`;
}
