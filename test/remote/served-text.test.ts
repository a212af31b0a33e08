// The text of a server whose chunks hold several tokens, as vLLM's do, where no tokenizer says which text is whose.

import { describe, expect, it } from 'vitest';
import type { AnswerPart, ToldToken } from '../../src/remote/answer-part.js';
import { ServedText } from '../../src/remote/served-text.js';

const END = 0;

function textOf(...parts: readonly Partial<AnswerPart>[]) {
  const options = { stops: [], special: false, logprobs: undefined, before: undefined, givesEnd: true, ends: [] };
  const text = new ServedText(null, options);
  for (const part of parts) {
    text.add({ text: '', tokens: null, areAllIds: true, finishReason: undefined, stopReason: undefined, ...part });
  }
  text.end(parts.at(-1)?.finishReason === 'stop' && typeof parts.at(-1)?.stopReason !== 'string');
  return text.tokens.map(({ id, text: own }) => [id, own]);
}

const ids = (...all: number[]): ToldToken[] => all.map((id) => ({ id }));

describe('the token that ends a text', () => {
  it('is none of its tokens, though it comes together with the last of them', () => {
    const last = { text: ' after.', tokens: ids(7, 8, END), finishReason: 'stop', stopReason: null };
    expect(textOf({ text: ' ever', tokens: ids(6) }, last)).toEqual([
      [6, ' ever'],
      [7, ''],
      [8, ' after.'],
    ]);
  });

  it('is told by its text, too, where tokens have texts', () => {
    const tokens = [
      { id: 7, text: ' after' },
      { id: 8, text: '.' },
      { id: END, text: '<|endoftext|>' },
    ];
    expect(textOf({ text: ' after.', tokens, finishReason: 'stop', stopReason: null })).toEqual([
      [7, ' after'],
      [8, '.'],
    ]);
  });

  it('is not there where a stop string or the length ended it', () => {
    const stopped = { text: ' a', tokens: ids(7, 8), finishReason: 'stop', stopReason: ' little' };
    expect(textOf(stopped)).toEqual([
      [7, ''],
      [8, ' a'],
    ]);
    expect(textOf({ text: ' a b', tokens: ids(7, 8), finishReason: 'length', stopReason: null })).toHaveLength(2);
  });
});
