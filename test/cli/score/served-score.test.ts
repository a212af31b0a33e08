// kvgen score --server: the numbers of the same model here, from kvgen serve and from a server with vLLM's shapes; and by name what
// cannot be done.

import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../../src/library/model.js';
import { startVllmStub, type VllmStub } from '../../servers/vllm-stub.js';
import { open } from '../../support/open.js';
import { type Serving, serving } from '../../support/serving.js';
import { tempDirs } from '../../support/temp-dir.js';
import { kvgenHere as kvgen } from '../here.js';

const STORIES = 'models/stories';
const CHOICES = ['--choices', ' the park| the moon|, a dog and a cat', 'One day, Lily went to'];

const tempDir = tempDirs();
let model: Model;
let server: Serving;
let vllm: VllmStub;

beforeAll(async () => {
  model = await open(STORIES, { backend: 'simd', engine: 'auto', threads: 1 });
  server = await serving(model);
  vllm = await startVllmStub(model, { skipsCachedLogprobs: true });
});
afterAll(async () => {
  await Promise.all([server.close(), vllm.close()]);
  model.dispose();
});

const here = (...args: string[]) => scored('--backend', 'simd', '--threads', '1', ...args);
const from = (url: string, ...args: string[]) => scored('--server', url, '--tokenizer', STORIES, ...args);

async function scored(...args: string[]) {
  const { code, stdout, stderr } = await kvgen(['score', '--json', ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

/** With every number as near as rounding lets it be. */
function near(value: unknown): unknown {
  if (typeof value === 'number') {
    return Number.isInteger(value) ? value : expect.closeTo(value, 6);
  }
  if (Array.isArray(value)) {
    return value.map(near);
  }
  return typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, near(one)]))
    : value;
}

/** Longer than the context of 512 tokens. */
function longText(): string {
  const path = join(tempDir(), 'text.txt');
  writeFileSync(path, readFileSync('models/stories/README.md', 'utf8').slice(0, 1700));
  return path;
}

describe('the scores of a server', () => {
  it('are those of the model here, for choices', async () => {
    const expected = await here(...CHOICES);
    expect(expected.choices).toHaveLength(3);
    expect(await from(server.url, ...CHOICES)).toEqual(near(expected));
    expect(await from(vllm.url, ...CHOICES)).toEqual(near(expected));
  });

  it('are those of the model here, for a text of several windows, to the last bit', async () => {
    const path = longText();
    expect(await from(server.url, '--perplexity', path)).toEqual(await here('--perplexity', path));
    // a token must follow there: the longest window has one token less
    expect(await from(vllm.url, '--perplexity', path)).toEqual(near(await here('--perplexity', path, '-c', '511')));
    const windows = ['--perplexity', path, '-c', '100', '--stride', '30'];
    expect(await from(server.url, ...windows)).toEqual(await here(...windows));
  });

  it('are those of the model here, document by document', async () => {
    const path = join(tempDir(), 'documents.txt');
    writeFileSync(path, 'Tom ran home.\n<|endoftext|>\nThe sun was hot.\n');
    const args = ['--perplexity', path, '--per-document'];
    expect(await from(server.url, ...args)).toEqual(near(await here(...args)));
  });

  it('are of ids that were given, and of an empty prompt', async () => {
    const ids = ['--prompt-ids', '481,480', '--choices', ' a| the'];
    expect(await from(server.url, ...ids)).toEqual(near(await here(...ids)));
    const empty = ['--choices', 'Once|The', ''];
    expect(await from(server.url, ...empty)).toEqual(near(await here(...empty)));
  });

  it('are a table too, and --verbose says who scored', async () => {
    const local = await kvgen(['score', '--backend', 'simd', ...CHOICES]);
    const found = await kvgen(['score', '--verbose', '--server', server.url, '--tokenizer', STORIES, ...CHOICES]);
    expect(found.stdout).toBe(local.stdout);
    expect(found.stderr).toBe(`scored by kvgen serve at ${new URL(server.url).host}\n`);
  });

  it("take the tokenizer of the model's folder, where -m names one", async () => {
    const args = ['--choices', ' a| the', 'Once upon'];
    expect(await scored('--server', server.url, '-m', `./${STORIES}`, ...args)).toEqual(near(await here(...args)));
  });
});

describe('what cannot be done', () => {
  const failing = async (...args: string[]) => {
    const { code, stdout, stderr } = await kvgen(['score', ...args]);
    expect(stdout).toBe('');
    return [code, stderr];
  };
  const served = () => ['--server', server.url, '--tokenizer', STORIES];

  it('is exit 2 by name where the options alone say so', async () => {
    expect(await failing('--server', server.url, ...CHOICES)).toEqual([
      2,
      'kvgen: score --server needs --tokenizer DIR, the folder of the same model: prompt and choices are tokenized apart, and sent as ids\n',
    ]);
    for (const option of ['--backend=simd', '--weights=int8', '--threads=1', '--prompt-cache', '--cache-dir=x']) {
      const name = option.replace(/=.*/, '');
      expect(await failing(...served(), option, ...CHOICES)).toEqual([
        2,
        `kvgen: ${name} cannot go with --server: the server decides it\n`,
      ]);
    }
    expect(await failing('--timeout', '5', ...CHOICES)).toEqual([2, 'kvgen: --timeout needs --server\n']);
  });

  it('is exit 1 where the server says so', async () => {
    expect(await failing(...served(), '-c', '513', ...CHOICES)).toEqual([
      1,
      'kvgen: --ctx-size 513: kvgen serve scores 512 tokens there; give 512 or less\n',
    ]);
    expect(await failing(...served(), '--prompt-ids', '9999', '--choices', 'a')).toEqual([
      1,
      `kvgen: ${server.url} answers 400: token id 9999: expected a whole number from 0 to 4095 (vocab_size − 1)\n`,
    ]);
  });

  it('is said where the tokenizer is that of another model', async () => {
    const other = ['--tokenizer', otherTokenizer(tempDir()), ...CHOICES];
    for (const url of [server.url, vllm.url]) {
      expect(await failing('--server', url, ...other)).toEqual([
        1,
        `kvgen: ${new URL(url).host} writes another text for the ids of a prompt; is --tokenizer of the same model?\n`,
      ]);
    }
  });

  it('is said of llama.cpp and mlx-lm, which give no log-probabilities of a prompt', async () => {
    for (const [file, title] of [
      ['llama-cpp', "llama.cpp's server"],
      ['mlx-lm', 'mlx-lm'],
    ]) {
      const replay = await replaying(file as string);
      expect(await failing('--server', replay.url, '--tokenizer', STORIES, ...CHOICES)).toEqual([
        1,
        `kvgen: ${replay.url}: ${title} gives no log-probabilities of a prompt; kvgen serve and vLLM do\n`,
      ]);
      replay.close();
    }
  });
});

/** That of `stories` with its ids in another order. */
function otherTokenizer(dir: string): string {
  cpSync(STORIES, dir, { recursive: true });
  const path = join(dir, 'tokenizer.json');
  const tokenizer = JSON.parse(readFileSync(path, 'utf8'));
  const ids = Object.entries<number>(tokenizer.model.vocab).map(([token, id]) => [token, id === 0 ? 0 : 4096 - id]);
  tokenizer.model.vocab = Object.fromEntries(ids);
  writeFileSync(path, JSON.stringify(tokenizer));
  return dir;
}

/** A server that answers what that one answered when it was asked what it is. */
async function replaying(name: string) {
  const answers: Recorded[] = Object.values(JSON.parse(readFileSync(`test/fixtures/servers/${name}.json`, 'utf8')));
  const server = createServer(({ method, url }, response) => {
    const found = answers.find(({ question }) => question.method === method && question.path === url);
    response.writeHead(found?.status ?? 404, {
      'content-type': found?.type ?? 'text/plain',
      ...(name === 'mlx-lm' && { server: 'BaseHTTP/0.6 Python/3.11' }),
    });
    const answer = found?.answer ?? '';
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

interface Recorded {
  readonly question: { readonly method: string; readonly path: string };
  readonly status: number;
  readonly type: string;
  readonly answer: unknown;
}
