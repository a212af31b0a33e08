// Text from ids: bytes as ids, so that the tests can spell.

import { describe, expect, it } from 'vitest';
import { type CompletionToken, complete } from '../../src/completion/complete.js';
import type { CompletionRequest } from '../../src/completion/request.js';
import { type FinishReason, NOTHING_MEASURED, type SequenceOptions } from '../../src/generation/sequence.js';
import type { Sampler } from '../../src/sampling/sampler.js';
import { byteTokenizer } from '../support/byte-tokenizer.js';
import { MockEngine } from '../support/mock-engine.js';
import { greedy, optionsFor } from '../support/run.js';

interface Completed {
  events: CompletionToken[];
  text: string;
  reason: FinishReason;
  engine: MockEngine;
  generationTokens: number;
}

/** What to complete: behind one id, without stop strings and log-probabilities, unless there is more to say. */
function request(
  engine: MockEngine,
  sampler: Sampler,
  options: Partial<SequenceOptions>,
  stops: readonly string[] = [],
  special = false,
): CompletionRequest {
  return { promptIds: [1], sampler, stops, special, logprobs: undefined, options: optionsFor(engine, options) };
}

interface Pieces {
  readonly stops?: string[];
  readonly pieces?: string[];
  /** Those of the pieces that are special tokens. */
  readonly hidden?: string[];
  readonly special?: boolean;
}

/** Completes with these ids, one after the other; pieces as in byteTokenizer. */
async function completeIds(
  ids: readonly number[],
  { stops = [], pieces = [], hidden = [], special = false, ...options }: Partial<SequenceOptions> & Pieces = {},
): Promise<Completed> {
  const engine = new MockEngine(() => new Float32Array(300), { vocabSize: 300, nPositions: 1024 });
  const sampler = (_: unknown, all: readonly number[]) => ids[all.length - 1] ?? 0;
  const given = request(engine, sampler, { maxTokens: ids.length, ...options }, stops, special);
  const tokens = complete(engine, byteTokenizer(pieces, hidden), given);
  const events: CompletionToken[] = [];
  for (let next = await tokens.next(); ; next = await tokens.next()) {
    if (next.done === true) {
      const { finishReason: reason, stats, text, tokens } = next.value;
      expect(text).toBe(events.map((event) => event.text).join(''));
      expect(tokens).toEqual(events);
      return { events, text, reason, engine, generationTokens: stats.generationTokens };
    }
    events.push(next.value);
  }
}

const bytes = (text: string) => [...Buffer.from(text, 'utf8')];

describe('text', () => {
  it.each(['Once upon a time', 'naïve – “quotes”', '人工智能', '👩‍👩‍👧 done', '\ufefftext', 'a\r\nb\u0000c'])(
    'joined, is the whole text: %j',
    async (text) => {
      const { events, text: joined, reason } = await completeIds(bytes(text));
      expect(joined).toBe(text);
      expect(events.map(({ id }) => id)).toEqual(bytes(text));
      expect(reason).toBe('length');
    },
  );

  it('comes with the token that completes the character', async () => {
    const { events } = await completeIds(bytes('aé–b'));
    expect(events.map(({ text }) => text)).toEqual(['a', '', 'é', '', '', '–', 'b']);
  });

  it('of a model without a tokenizer is empty, with all its ids', async () => {
    const engine = MockEngine.script(() => 65);
    const ids: number[] = [];
    for await (const { id, text } of complete(engine, null, request(engine, greedy(), { maxTokens: 3 }))) {
      ids.push(id);
      expect(text).toBe('');
    }
    expect(ids).toEqual([65, 65, 65]);
  });
});

describe('broken bytes', () => {
  it.each([
    ['a lone continuation', [0x61, 0x80, 0x62]],
    ['a character cut by another', [0x61, 0xe2, 0x82, 0x62]],
    ['overlong', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80, 0x21]],
    ['cut at the end', [0x61, 0xf0, 0x9f, 0x98]],
    ['a lead byte before a whole character', [0xc3, 0xc3, 0xa9]],
  ])('become U+FFFD as in one decode: %s', async (_, ids) => {
    const { text, events } = await completeIds(ids);
    expect(text).toBe(new TextDecoder().decode(Uint8Array.from(ids)));
    expect(text).toContain('\ufffd');
    expect(events.map(({ id }) => id)).toEqual(ids);
  });

  it('an unfinished character is released with the last token', async () => {
    const { events } = await completeIds([0x61, 0xe2, 0x82]);
    expect(events).toEqual([
      { id: 0x61, text: 'a' },
      { id: 0xe2, text: '' },
      { id: 0x82, text: '\ufffd' },
    ]);
  });

  it('and before a stop id, too', async () => {
    const { events, reason } = await completeIds([0x61, 0xc3, 7], { stopIds: [7] });
    expect([events.at(-1), reason]).toEqual([{ id: 0xc3, text: '\ufffd' }, 'stop']);
  });
});

describe('stop strings', () => {
  it('end the text before the match, and the reason is stop', async () => {
    const { text, reason, events } = await completeIds(bytes('one. two. three'), { stops: ['. t'] });
    expect([text, reason]).toEqual(['one', 'stop']);
    expect(events.map(({ id }) => id)).toEqual(bytes('one. t'));
  });

  it('may span tokens and end in the middle of one', async () => {
    const pieces = ['Hello wor', 'ld, go', 'od'];
    const { text, events, generationTokens, engine } = await completeIds([256, 257, 258], { pieces, stops: ['world'] });
    expect(text).toBe('Hello ');
    expect(events).toEqual([
      { id: 256, text: 'Hello ' },
      { id: 257, text: '' },
    ]);
    expect(generationTokens).toBe(2);
    expect(engine.calls.length).toBe(2);
    expect(engine.caches[0]?.disposed).toBe(1);
  });

  it('hold back what may still become one, and release what does not', async () => {
    const { events, text, reason } = await completeIds(bytes('a\n\nb'), { stops: ['\n\n\n'] });
    expect(events.map((event) => event.text)).toEqual(['a', '', '', '\n\nb']);
    expect([text, reason]).toEqual(['a\n\nb', 'length']);
  });

  it('release what is held when the tokens end', async () => {
    const { events, reason } = await completeIds(bytes('ab\n'), { stops: ['\n\n'] });
    expect([events.at(-1), reason]).toEqual([{ id: 10, text: '\n' }, 'length']);
  });

  it('the first of several to be complete counts', async () => {
    const { text } = await completeIds(bytes('x abc'), { stops: ['zz', 'abcd', 'bc'] });
    expect(text).toBe('x a');
  });

  it('do not begin in the prompt', async () => {
    const { text } = await completeIds(bytes('b ab'), { stops: ['\u0001b', 'ab'] }); // the prompt is byte 1
    expect(text).toBe('b ');
  });

  it('are found in characters of several tokens', async () => {
    const { text, events } = await completeIds(bytes('é–€!'), { stops: ['–€'] });
    expect(text).toBe('é');
    expect(events.length).toBe(bytes('é–€').length);
  });

  it('are found where an unfinished character becomes U+FFFD at the end', async () => {
    const { text, reason } = await completeIds([0x61, 0xe2], { stops: ['\ufffd'] });
    expect([text, reason]).toEqual(['a', 'stop']);
  });

  it('keep held text through an abort', async () => {
    const controller = new AbortController();
    const pieces = ['x\n'];
    const engine = new MockEngine(() => new Float32Array(300), { vocabSize: 300 });
    const sampler = () => {
      controller.abort();
      return 256;
    };
    const given = request(engine, sampler, { maxTokens: 9, signal: controller.signal }, ['\n\n']);
    const tokens = complete(engine, byteTokenizer(pieces), given);
    expect(await tokens.next()).toEqual({ done: false, value: { id: 256, text: 'x\n' } });
    expect(await tokens.next()).toMatchObject({
      done: true,
      value: { finishReason: 'abort', text: 'x\n', tokens: [{ id: 256, text: 'x\n' }], stats: { generationTokens: 1 } },
    });
  });
});

describe('special tokens', () => {
  const pieces = ['<s>', 'ab', '<x>'];
  const hidden = ['<s>', '<x>'];

  it('have no text, unless they are asked for', async () => {
    const { text, events } = await completeIds([256, 257, 258, 33], { pieces, hidden });
    expect(text).toBe('ab!');
    expect(events).toEqual([
      { id: 256, text: '' },
      { id: 257, text: 'ab' },
      { id: 258, text: '' },
      { id: 33, text: '!' },
    ]);
    expect((await completeIds([256, 257, 258, 33], { pieces, hidden, special: true })).text).toBe('<s>ab<x>!');
  });

  it('are between the bytes of a character as if they were not there', async () => {
    const { text, events } = await completeIds([0xc3, 256, 0xa9, 33], { pieces, hidden });
    expect(text).toBe('é!');
    expect(events.map((event) => event.text)).toEqual(['', '', 'é', '!']);
  });

  it('end a text whose stop string they are, also where they are not seen', async () => {
    for (const special of [false, true]) {
      const { text, reason, generationTokens } = await completeIds([257, 258, 33], {
        pieces,
        hidden,
        special,
        stops: ['<x>', 'b!'],
      });
      expect([text, reason, generationTokens]).toEqual(['ab', 'stop', 2]);
    }
  });
});

describe('events', () => {
  it('wait only while text is held', async () => {
    const engine = new MockEngine(() => new Float32Array(300), { vocabSize: 300 });
    const ids = bytes('aé!');
    const sampler = (_: unknown, all: readonly number[]) => ids[all.length - 1] ?? 0;
    const tokens = complete(engine, byteTokenizer(), request(engine, sampler, { maxTokens: ids.length }));
    await tokens.next();
    expect(engine.calls.length).toBe(1); // 'a' is there before the next token is run
    expect((await tokens.next()).value).toEqual({ id: 0xc3, text: '' });
    expect(engine.calls.length).toBe(3); // it waited for the other half of é
    expect((await tokens.next()).value).toEqual({ id: 0xa9, text: 'é' });
    expect(engine.calls.length).toBe(3);
    await tokens.return({ finishReason: 'abort', stats: NOTHING_MEASURED, text: '', tokens: [] });
    expect(engine.caches[0]?.disposed).toBe(1);
  });

  it('pass on how the loop ended', async () => {
    expect((await completeIds(bytes('abc'), { nCtx: 3, maxTokens: 9 })).reason).toBe('context');
    expect((await completeIds(bytes('abc'), { stopIds: [98] })).reason).toBe('stop');
    expect((await completeIds(bytes('abc'), { signal: AbortSignal.abort() })).reason).toBe('abort');
    expect((await completeIds(bytes('abc'), { maxTokens: 0 })).events).toEqual([]);
  });
});
