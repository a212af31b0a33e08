// What servers answer, in all its forms: good and bad streams, errors in any shape, ends that are none. Always one line of words,
// and what came before it is kept.

import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { kvgenHere, kvgenJsonHere } from '../cli/here.js';
import { DONE, type FakeServer, fakeServer, json, LENGTH, piece, STOP, stream, usage } from './fake-server.js';

let server: FakeServer;

afterEach(() => server.close());

type Answer = Parameters<typeof fakeServer>[0][string];

/** Greedy, since this server is not known to have a top-k. */
const GREEDY = ['--temp', '0', '-n', '3'];

async function ask(answer: Answer, ...args: readonly string[]) {
  server = await fakeServer({ '/v1/completions': answer });
  const ended = await kvgenHere(['--server', server.url, ...GREEDY, ...args, 'Hi']);
  return { ...ended, stderr: ended.stderr.replaceAll(new URL(server.url).host, 'HOST') };
}

const WHOLE = [piece('a'), piece('ä'), LENGTH, usage(1, 3, 0), DONE].join('');

describe('a stream', () => {
  it.each<[string, readonly (string | Uint8Array)[]]>([
    ['as it is', [WHOLE]],
    ['in single bytes', [...Buffer.from(WHOLE)].map((byte) => Uint8Array.of(byte))],
    ['with CRLF', [WHOLE.replaceAll('\n', '\r\n')]],
    ['with comments, names and ids', [`: keepalive\n\nid: 1\nevent: message\n${WHOLE}`]],
    ['with a mark before it', [`\ufeff${WHOLE}`]],
    [
      'with more behind its end, and choices that nobody asked for',
      [piece('x', { index: 1 }), piece('a'), piece('ä', { finish_reason: 'eos_token' }), piece('more'), DONE],
    ],
    ['without [DONE]', [piece('a'), piece('ä'), LENGTH]],
    ['without a reason, but with [DONE]', [piece('a'), piece('ä'), DONE]],
    [
      'with null instead of a text',
      [piece('a'), piece('ä'), LENGTH.replace('""', 'null'), 'data: {"choices":[]}\n\n', DONE],
    ],
  ])('%s', async (_, pieces) => {
    const { stdout, stderr, code } = await ask((_asked, response) => {
      stream(response, ...pieces);
      response.end();
    });
    expect({ stdout, stderr, code }).toEqual({ stdout: 'aä\n', stderr: '', code: 0 });
  });

  it('that is compressed all the same', async () => {
    const { stdout } = await ask((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
      response.end(gzipSync(WHOLE));
    });
    expect(stdout).toBe('aä\n');
  });

  it('that is one whole answer, since the server does not stream', async () => {
    const answer = {
      choices: [{ text: 'whole', finish_reason: 'stop' }],
      usage: { prompt_tokens: 1, completion_tokens: 2 },
    };
    const { stdout } = await ask((_, response) => json(response, answer));
    expect(stdout).toBe('whole\n');
  });

  it('text from the server is raw on stdout', async () => {
    const { stdout } = await ask((_, response) =>
      response.end(void stream(response, piece('\u001b[31mred'), STOP, DONE)),
    );
    expect(stdout).toBe('\u001b[31mred\n');
  });

  it('stop strings end it here, too, also one that comes in pieces; the request is ended with it', async () => {
    let closed = false;
    const { stdout, code } = await ask(
      (_, response) => {
        stream(response, piece('one EN'), piece('D two'), piece(' three'));
        response.on('close', () => {
          closed = true;
        });
      },
      '--stop',
      'END',
    );
    expect({ stdout, code }).toEqual({ stdout: 'one \n', code: 0 });
    await expect.poll(() => closed).toBe(true);
    expect(server.completions[0]?.body.stop).toEqual(['END']);
  });
});

describe('an end that is none', () => {
  const BROKE = 'kvgen: HOST: the stream broke off after 2 tokens, without its end\n';

  it('is an error behind what came', async () => {
    const { stdout, stderr, code } = await ask((_, response) => {
      stream(response, piece('a'), piece('b'));
      response.end();
    });
    expect({ stdout, stderr, code }).toEqual({ stdout: 'ab\n', stderr: BROKE, code: 1 });
  });

  it('as a closed connection', async () => {
    const { stdout, stderr, code } = await ask((_, response) => {
      stream(response, piece('a'), piece('b'));
      setTimeout(() => response.destroy(), 50);
    });
    expect({ stdout, code }).toEqual({ stdout: 'ab\n', code: 1 });
    expect(stderr).toMatch(/^kvgen: http:\/\/HOST: the connection was closed before the end of the answer\n$/);
    expect(server.completions).toHaveLength(1); // nothing is asked again once something came
  });

  it('text that a stop string might have begun is kept', async () => {
    const { stdout } = await ask(
      (_, response) => response.end(void stream(response, piece('a'), piece(' EN'))),
      '--stop',
      'END',
    );
    expect(stdout).toBe('a EN\n');
  });

  it('the JSON forms have their last object', async () => {
    const answer: Answer = (_, response) => response.end(void stream(response, piece('a'), piece('b')));
    const { stdout, stderr, code } = await ask(answer, '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      text: 'ab',
      finish_reason: 'abort',
      ids: null,
      generation_tokens: null,
    });
    expect({ stderr, code }).toEqual({ stderr: BROKE, code: 1 });
    await server.close();
    const { stdout: lines } = await ask(answer, '--jsonl');
    expect(
      lines
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toMatchObject([
      { type: 'token', index: 0, id: null, text: 'a' },
      { type: 'token', index: 1, id: null, text: 'b' },
      { type: 'done', finish_reason: 'abort' },
    ]);
  });

  it('of one of several samples ends the others', async () => {
    const { stdout, code } = await ask(
      ({ body }, response) => {
        stream(response, piece(`s${body.seed}`));
        if (body.seed === 6) {
          setTimeout(() => response.end(), 100);
        }
      },
      '--samples',
      '3',
      '--seed',
      '5',
    );
    expect({ stdout, code }).toEqual({ stdout: 's5\n---\ns6\n---\ns7\n', code: 1 });
  });

  it('an error within a stream', async () => {
    const { stdout, stderr } = await ask((_, response) =>
      response.end(void stream(response, piece('a'), 'data: {"error":{"message":"out of\\nmemory"}}\n\n', DONE)),
    );
    expect({ stdout, stderr }).toEqual({ stdout: 'a\n', stderr: 'kvgen: HOST: out of memory\n' });
  });

  it('a reason that is no end', async () => {
    const { stdout, stderr, code } = await ask((_, response) =>
      response.end(void stream(response, piece('a'), piece('', { finish_reason: 'content_filter' }), DONE)),
    );
    expect({ stdout, stderr, code }).toEqual({
      stdout: 'a\n',
      stderr: 'kvgen: HOST ended the text: content_filter\n',
      code: 1,
    });
  });

  it('more than was asked for', async () => {
    const { stderr, code } = await ask((_, response) =>
      stream(response, ...['a', 'b', 'c', 'd'].map((text) => piece(text))),
    );
    expect({ stderr, code }).toEqual({
      stderr: 'kvgen: HOST gives more than the 3 tokens that it was asked for\n',
      code: 1,
    });
  });
});

describe('an answer that is none', () => {
  const AT = 'kvgen: http://HOST answers';

  it.each<[string, Answer, string]>([
    ["OpenAI's form", (_, r) => json(r, { error: { message: 'too long', type: 'x' } }, 400), `${AT} 400: too long\n`],
    ['a text', (_, r) => json(r, { error: 'no such model' }, 404), `${AT} 404: no such model\n`],
    ["FastAPI's form", (_, r) => json(r, { detail: [{ msg: 'bad' }] }, 422), `${AT} 422: [{"msg":"bad"}]\n`],
    ['only a message', (_, r) => json(r, { message: 'no' }, 400), `${AT} 400: no\n`],
    ['nothing', (_, r) => r.writeHead(500).end(), `${AT} 500\n`],
    [
      'HTML',
      (_, r) => r.writeHead(500, { 'content-type': 'text/html' }).end('<html><h1>Oops</h1></html>'),
      `${AT} 500: a page of HTML\n`,
    ],
    ['control characters', (_, r) => json(r, { error: '\u001b[2Jx' }, 400), `${AT} 400: \\u001b[2Jx\n`],
    [
      'no key',
      (_, r) => json(r, { error: 'Unauthorized' }, 401),
      `${AT} 401: Unauthorized; KVGEN_API_KEY=… gives it a key\n`,
    ],
    [
      'HTML as a success',
      (_, r) => r.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      'kvgen: HOST: expected JSON, found "<html>"; is it an OpenAI-compatible server?\n',
    ],
    [
      'garbage in a stream',
      (_, r) => r.end(void stream(r, 'data: {"choices":[\n\n')),
      'kvgen: HOST: expected JSON, found "{\\"choices\\":["; is it an OpenAI-compatible server?\n',
    ],
    [
      'no choices',
      (_, r) => r.end(void stream(r, 'data: {"a":1}\n\n')),
      'kvgen: HOST: expected choices in its answer, found {"a":1}\n',
    ],
    [
      'a text that is none',
      (_, r) => r.end(void stream(r, piece(5 as never))),
      'kvgen: HOST: expected a text in its answer, found 5\n',
    ],
  ])('%s', async (_, answer, words) => {
    const { stdout, stderr, code } = await ask(answer);
    expect({ stdout, stderr, code }).toEqual({ stdout: '', stderr: words, code: 1 });
  });

  it('a long reason is shortened', async () => {
    const { stderr } = await ask((_, response) => json(response, { error: 'x'.repeat(1e6) }, 400));
    expect(stderr.length).toBeLessThan(300);
  });

  it('an event without an end', async () => {
    const { stderr, code } = await ask((_, response) => {
      stream(response, 'data: ');
      const fill = () => {
        while (!response.destroyed && response.write('x'.repeat(2 ** 20))) {}
      };
      response.on('drain', fill);
      fill();
    });
    expect({ stderr, code }).toEqual({
      stderr: 'kvgen: HOST: an event of its stream is longer than 16777216 characters\n',
      code: 1,
    });
  });

  it.each([
    ['/v1/completions', ''],
    ['/base/v1/completions', '/base'],
    ['/login?next=%0a', '/login?next=%0a'],
  ])('a redirect to %s is not followed: neither key nor prompt goes there', async (path, named) => {
    const other = await fakeServer({});
    const { stderr, code } = await ask((_, response) => response.writeHead(307, { location: other.url + path }).end());
    await other.close();
    expect(stderr).toBe(
      `kvgen: http://HOST sends us to ${other.url}${named}, where neither key nor prompt goes; name that with --server\n`,
    );
    expect([code, other.asked]).toEqual([1, []]);
  });

  it('a redirect without an address', async () => {
    const { stderr, code } = await ask((_, response) => response.writeHead(308).end());
    expect({ stderr, code }).toEqual({
      stderr: 'kvgen: http://HOST sends us elsewhere, and does not say where; is this its address?\n',
      code: 1,
    });
  });
});

describe('log-probabilities', () => {
  it('in the older shape: texts, with bytes where they are whole characters', async () => {
    const logprobs = {
      tokens: ['a', 'bytes:\\xe2\\x80'],
      token_logprobs: [-0.5, -1.5],
      top_logprobs: [{ b: -1, a: -0.5 }, null],
      text_offset: [0, 1],
    };
    const { stdout } = await ask(
      (_, r) => r.end(void stream(r, piece('a', { logprobs }), LENGTH, DONE)),
      '--json',
      '--logprobs',
      '1',
    );
    expect(JSON.parse(stdout).tokens).toEqual([
      { id: null, text: 'a', bytes: [97], logprob: -0.5, top: [{ id: null, text: 'a', bytes: [97], logprob: -0.5 }] },
      { id: null, text: '', bytes: [226, 128], logprob: -1.5 },
    ]);
  });

  it('in the newer shape: ids and bytes', async () => {
    const rival = { id: 5, token: 'b', bytes: [98], logprob: -2 };
    const content = [{ id: 4, token: 'a', bytes: [97], logprob: -0.5, top_logprobs: [rival] }];
    const { stdout } = await ask(
      (_, r) => r.end(void stream(r, piece('a', { logprobs: { content } }), LENGTH, usage(1, 1), DONE)),
      '--json',
      '--logprobs',
      '1',
    );
    expect(JSON.parse(stdout)).toMatchObject({
      ids: [4],
      generation_tokens: 1,
      tokens: [{ id: 4, text: 'a', bytes: [97], logprob: -0.5, top: [{ id: 5, text: 'b', bytes: [98], logprob: -2 }] }],
    });
  });

  it('whose tokens are no texts are of tokens without a name', async () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000); // its text would be made by as many calls
    const logprobs = { tokens: ['DEEP', 5], token_logprobs: [-1, -2] };
    const event = piece('a', { logprobs }).replace('"DEEP"', deep);
    const { stdout } = await ask((_, r) => r.end(void stream(r, event, LENGTH, DONE)), '--json', '--logprobs', '0');
    expect(JSON.parse(stdout).tokens).toEqual([
      { id: null, text: '', bytes: null, logprob: -1 },
      { id: null, text: 'a', bytes: null, logprob: -2 },
    ]);
  });

  it('that were asked for and do not come are an error', async () => {
    const { stderr, code } = await ask(
      (_, r) => r.end(void stream(r, piece('a'), LENGTH, DONE)),
      '--json',
      '--logprobs',
      '1',
    );
    expect({ stderr, code }).toEqual({
      stderr: 'kvgen: HOST gives no log-probabilities; leave --logprobs out\n',
      code: 1,
    });
  });
});

describe('reused tokens', () => {
  it.each([
    [usage(9, 1, 8), { result: 'partial', reused_tokens: 8, computed_tokens: 1 }],
    [usage(9, 1, 0), { result: 'miss', reused_tokens: 0, computed_tokens: 9 }],
    [usage(9, 1), { result: null, reused_tokens: null, computed_tokens: null }],
    [
      'data: {"choices":[],"usage":{"prompt_tokens":9},"timings":{"cache_n":9}}\n\n',
      { result: 'hit', reused_tokens: 9 },
    ],
  ])('%s', async (counts, expected) => {
    server = await fakeServer({ '/v1/completions': (_, r) => r.end(void stream(r, piece('a'), LENGTH, counts, DONE)) });
    const { json: report } = await kvgenJsonHere(['--server', server.url, ...GREEDY, 'Hi']);
    expect(report.cache.prompt).toMatchObject(expected);
    expect(report.prompt_tokens).toBe(9);
  });
});
