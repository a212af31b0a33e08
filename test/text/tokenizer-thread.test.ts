// A tokenizer in its own thread: the same ids, and an end to what would take for ever.

import { afterEach, describe, expect, it } from 'vitest';
import { ModelFolder } from '../../src/files/model-folder.js';
import { buildTokenizer } from '../../src/text/build-tokenizer.js';
import { openTokenizer } from '../../src/text/tokenizer.js';
import { readTokenizerFiles, type TokenizerFiles } from '../../src/text/tokenizer-files.js';
import { TokenizerThread } from '../../src/text/tokenizer-thread.js';
import { expectFailure } from '../support/errors.js';

const LIMITS = { files: [60_000, 0], text: [60_000, 0] } as const;
const BRIEF = { files: [60_000, 0], text: [50, 0] } as const;
const files = await readTokenizerFiles(new ModelFolder('models/stories'));
const here = await buildTokenizer(files);

/** The tokenizer of stories, with a pattern that splits before it. */
function withPattern(pattern: string): TokenizerFiles {
  const { tokenizer } = files as { tokenizer: { path: string; text: string } };
  const json = JSON.parse(tokenizer.text);
  const split = { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
  json.pre_tokenizer = { type: 'Sequence', pretokenizers: [split, json.pre_tokenizer] };
  return { tokenizer: { path: 'slow/tokenizer.json', text: JSON.stringify(json) } };
}

const SLOW = '(a+)+$';
/** For which SLOW looks at 2^50 ways. */
const TEXT = `${'a'.repeat(50)}b`;

let thread: TokenizerThread;
afterEach(() => thread.stop());

describe('a thread', () => {
  it('has the tokens and gives the ids of the main thread, in the order of the calls', async () => {
    thread = new TokenizerThread(files, LIMITS);
    const texts = ['Once upon a time', '', 'the fox '.repeat(3000), '<|endoftext|>é'];
    const [facts, ...all] = await Promise.all([thread.facts(), ...texts.map((text) => thread.encode(text))]);
    const { encode } = here;
    expect(facts).toEqual(here.facts);
    expect(all).toEqual(texts.map((text) => encode(text)));
  });

  it('names file and pattern where a text takes too long, and works again after that', async () => {
    thread = new TokenizerThread(withPattern(SLOW), BRIEF);
    await expectFailure(
      () => thread.encode(TEXT),
      'slow/tokenizer.json: a text of 51 characters with the pattern "(a+)+$" takes longer than 0 s; use',
    );
    expect((await thread.encode('b')).ids).toEqual(here.encode('b').ids);
  });

  it('ends when the signal aborts, with its reason', async () => {
    thread = new TokenizerThread(withPattern(SLOW), LIMITS);
    await thread.facts();
    const stop = new AbortController();
    const ids = thread.encode(TEXT, stop.signal);
    setTimeout(() => stop.abort(new Error('enough')), 20);
    await expect(ids).rejects.toThrow('enough');
    await expect(thread.encode('b', stop.signal)).rejects.toThrow('enough');
    expect((await thread.encode('b')).ids).toEqual(here.encode('b').ids);
  });

  it('says what is wrong with files and texts as the main thread does', async () => {
    thread = new TokenizerThread({ tokenizer: { path: 'x/tokenizer.json', text: '[]' } }, LIMITS);
    await expectFailure(() => thread.encode('a'), 'x/tokenizer.json: expected a JSON object, found []');
    const model = { vocab: { a: 0 }, merges: [] };
    const text = JSON.stringify({ model, pre_tokenizer: { type: 'ByteLevel' } });
    thread = new TokenizerThread({ tokenizer: { path: 'y/tokenizer.json', text } }, LIMITS);
    await expectFailure(() => thread.encode('b'), 'y/tokenizer.json: no token for the byte 0x62 of the text');
    expect((await thread.encode('a')).ids).toEqual([0]);
  });
});

describe('a tokenizer', () => {
  it('gives long texts, large files and unknown patterns to a thread, with the same ids', async () => {
    const long = 'the fox '.repeat(2000);
    const large: TokenizerFiles = { ...files, config: { path: 'c.json', text: `{}${' '.repeat(2 ** 20)}` } };
    for (const opened of [files, large, withPattern('\\x01')]) {
      const tokenizer = await openTokenizer(opened);
      expect(await tokenizer.encode(long)).toEqual(here.encode(long).ids);
      expect(await tokenizer.encode('Once upon')).toEqual(here.encode('Once upon').ids);
      expect([tokenizer.size, tokenizer.eosId, tokenizer.has(0), tokenizer.has(4096)]).toEqual([4096, 0, true, false]);
      expect(Buffer.from(tokenizer.bytes(0)).toString()).toBe('<|endoftext|>');
      tokenizer.dispose();
    }
  });
});
