// Where --server meets options of what is computed here: which of them win, and which cannot go together.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DONE, type FakeServer, fakeServer, LENGTH, piece, stream } from '../../remote/fake-server.js';
import { kvgenHere } from '../here.js';

let server: FakeServer;

beforeEach(async () => {
  server = await fakeServer({
    '/v1/completions': (_, response) => response.end(void stream(response, piece('served'), LENGTH, DONE)),
  });
});

afterEach(() => server.close());

const ONE = ['--temp', '0', '-n', '1'];
const HERE = 'Once upon a time';

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}, input?: string) {
  return kvgenHere([...args, ...(input === undefined ? [HERE] : [])], { env, ...(input !== undefined && { input }) });
}

describe('cannot go together', () => {
  it.each([
    [['--no-cache'], '--no-cache'],
    [['--verify-cache'], '--verify-cache'],
    [['--prompt-cache'], '--prompt-cache'],
    [['--no-prompt-cache'], '--no-prompt-cache'],
    [['--answer-cache'], '--answer-cache'],
    [['--backend', 'auto'], '--backend'],
    [['--engine', 'graph'], '--engine'],
    [['--threads', '2'], '--threads'],
    [['--weights', 'int8'], '--weights'],
    [['--draft', '4'], '--draft'],
    [['--ctx-size', '100'], '--ctx-size'],
    [['--cache-dir', '/tmp'], '--cache-dir'],
    [['--no-write-cache'], '--no-write-cache'],
  ])('%j', async (args, option) => {
    const { stdout, stderr, code } = await run(['--server', server.url, ...args]);
    const words = `kvgen: ${option} cannot go with --server: the server decides it\n`;
    expect({ stdout, stderr, code, asked: server.asked }).toEqual({ stdout: '', stderr: words, code: 2, asked: [] });
  });

  it('--on-full reprefill', async () => {
    const words = 'kvgen: --on-full reprefill cannot go with --server\n';
    expect(await run(['--server', server.url, '--on-full', 'reprefill'])).toMatchObject({ stderr: words, code: 2 });
  });

  it('kvgen batch --reorder', async () => {
    const { stderr, code } = await run(['batch', '--reorder', '--server', server.url], {}, '{"prompt":"a"}\n');
    expect({ stderr, code }).toEqual({
      stderr: 'kvgen: --reorder cannot go with --server: the server decides it\n',
      code: 2,
    });
  });

  it.each([
    [['--tokenizer', './models/stories'], '--tokenizer needs --server'],
    [['--timeout', '5'], '--timeout needs --server'],
  ])('without it: %j', async (args, words) => {
    expect(await run(args)).toMatchObject({ stderr: `kvgen: ${words}\n`, code: 2 });
  });

  it('--timeout out of its range', async () => {
    const { stderr, code } = await run(['--server', server.url, '--timeout', '0']);
    expect({ stderr, code }).toEqual({ stderr: 'kvgen: --timeout must be in (0, 86400], got 0\n', code: 2 });
  });

  it('a row cannot name another one', async () => {
    const { stdout } = await run(['batch', '--server', server.url], {}, '{"id":1,"prompt":"a","server":"http://a"}\n');
    expect(JSON.parse(stdout)).toEqual({ id: 1, error: 'server: is the same for all rows, an option of kvgen batch' });
  });
});

describe('the environment', () => {
  it('KVGEN_SERVER is a server like one that is named', async () => {
    expect(await run(ONE, { KVGEN_SERVER: server.url })).toMatchObject({ stdout: 'served\n', code: 0 });
  });

  it('gives way to an option of what is computed here', async () => {
    const { stdout, code } = await run([...ONE, '--backend', 'simd'], { KVGEN_SERVER: server.url });
    expect({ stdout, code, asked: server.asked }).toEqual({ stdout: ',\n', code: 0, asked: [] });
  });

  it('gives way to --server, and so does the model of KVGEN_MODEL', async () => {
    const env = {
      KVGEN_BACKEND: 'simd',
      KVGEN_WEIGHTS: 'int8',
      KVGEN_PROMPT_CACHE: '1',
      KVGEN_CACHE_DIR: '/nonexistent',
      KVGEN_MODEL: './nowhere',
    };
    expect(await run(['--server', server.url, ...ONE], env)).toMatchObject({ stdout: 'served\n', code: 0 });
    expect(server.completions[0]?.body.model).toBe('fake');
  });

  it('may name both the server and its model', async () => {
    const { stderr, code } = await run(ONE, { KVGEN_SERVER: server.url, KVGEN_MODEL: 'other' });
    expect({ stderr, code }).toEqual({
      stderr: `kvgen: ${server.url} serves no model "other"; -m names one of "fake"\n`,
      code: 1,
    });
  });

  it('a wrong one is named', async () => {
    const { stderr, code } = await run(ONE, { KVGEN_SERVER: 'nowhere' });
    const words = 'kvgen: KVGEN_SERVER must be an address such as http://127.0.0.1:8080, got nowhere\n';
    expect({ stderr, code }).toEqual({ stderr: words, code: 2 });
  });

  it('is nothing to commands that have no --server', async () => {
    const env = { KVGEN_SERVER: 'nowhere' };
    expect(await run(['tokenize'], env)).toMatchObject({ stdout: '[481,480,259,423]\n', code: 0 });
    const { stderr, code } = await run(['tokenize', '--server', server.url]);
    expect([stderr, code]).toEqual([
      "kvgen: unknown option '--server'; `kvgen tokenize --help` lists what there is\n",
      2,
    ]);
  });
});
