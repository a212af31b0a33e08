// kvgen beside real servers of other programs, on the same model: `npm run test:servers`. Not part of `npm test`, and a part is
// skipped with one line where pip does not reach its packages.

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generate } from '../../src/library/generate-text.js';
import { folderSource, type Model, openModel } from '../../src/library/model.js';
import { findModel } from '../../src/weights/find.js';
import { float16Values } from '../../src/weights/float16.js';
import { kvgenHere, kvgenJsonHere } from '../cli/here.js';
import { sureSteps } from '../support/golden.js';
import { float32, readSafetensors, writeSafetensors } from '../support/safetensors.js';
import { serving } from '../support/serving.js';
import { tempDirs } from '../support/temp-dir.js';
import { type PythonServer, pythonWith, startLlama, startMlx, writeGguf } from './python-servers.js';

const STORIES = fileURLToPath(new URL('../../models/stories', import.meta.url));
const PROMPTS = ['Once upon a time', 'The sun', 'One day, a big dog', 'It was raining', 'In the forest there'];
const TOKENS = 100;
const SLOTS = 4;
const CONTEXT = 512;
const INSTALL_MS = 600_000;
const GREEDY = ['--temp', '0', '-n', `${TOKENS}`];
/** llama.cpp takes GELU from a table of float16: its log-probabilities differ by so much. */
const TABLE = 5e-3;

const tempDir = tempDirs();

/** A greedy text of kvgen, as far as rounding may not decide it. */
interface Greedy {
  readonly prompt: string;
  readonly text: string;
  readonly isWhole: boolean;
}

describe.runIf(process.env.KVGEN_SERVERS === '1')('beside other servers', { timeout: 120_000 }, () => {
  let model: Model;
  const greedy: Greedy[] = [];
  beforeAll(async () => {
    model = await openModel(await folderSource(findModel(STORIES)), { backend: 'simd' });
    for (const prompt of PROMPTS) {
      greedy.push(await greedyText(model, prompt));
    }
  });
  afterAll(() => model.dispose());

  it('kvgen serve gives the greedy texts of the library', async () => {
    const server = await serving(model);
    try {
      await expectSameTexts(server, greedy, model.name);
    } finally {
      await server.close();
    }
  });

  describe('llama.cpp', () => {
    let server: PythonServer | undefined;
    beforeAll(async () => {
      const found = await pythonWith('llama');
      if ('missing' in found) {
        console.log(`skipped, because ${found.missing}`);
        return;
      }
      const file = join(tempDir(), 'stories-f32.gguf');
      await writeGguf(found.python, STORIES, file);
      await expectSameModel(model, file);
      server = await startLlama(found.python, file, SLOTS, CONTEXT);
    }, INSTALL_MS);
    afterAll(() => server?.stop());

    it('gives the same greedy texts, up to near ties', async (test) => {
      test.skip(server === undefined);
      await expectSameTexts(server as PythonServer, greedy, 'stories');
    });

    const served = (what: string, run: (options: readonly string[]) => Promise<void>) =>
      it(`--server: ${what}`, async (test) => {
        test.skip(server === undefined);
        await run(['--server', (server as PythonServer).url]);
      });

    served('writes these texts, of texts and of ids', async (options) => {
      for (const { prompt, text, isWhole } of greedy) {
        for (const more of [[], ['--tokenizer', STORIES]]) {
          const { stdout } = await kvgenHere([...options, ...more, ...GREEDY, prompt]);
          expect(isWhole ? stdout : stdout.slice(0, text.length)).toBe(isWhole ? `${text}\n` : text);
        }
      }
    });

    served('gives the ids and log-probabilities of the model here, as near as its numbers are', async (options) => {
      const args = ['--temp', '0', '-n', '24', '--logprobs', '3', PROMPTS[0] as string];
      const here = await kvgenJsonHere(['--backend', 'simd', ...args]);
      const there = await kvgenJsonHere([...options, '--tokenizer', STORIES, ...args]);
      for (const field of ['text', 'ids', 'prompt_ids', 'finish_reason', 'prompt_tokens', 'generation_tokens']) {
        expect([field, there.json[field]]).toEqual([field, here.json[field]]);
      }
      for (const [i, { logprob, top, ...token }] of here.json.tokens.entries()) {
        const found = there.json.tokens[i];
        expect(found).toMatchObject(token);
        expect(Math.abs(found.logprob - logprob)).toBeLessThan(TABLE);
        expect(found.top.map(({ id }: { id: number }) => id)).toEqual(top.map(({ id }: { id: number }) => id));
      }
      const again = await kvgenJsonHere([...options, ...args]);
      expect(again.json.cache.prompt.reused_tokens).toBe(here.json.prompt_tokens - 1); // the last is always run
    });

    served('stops before a stop string, wherever its tokens begin', async (options) => {
      for (const stop of [' Lily', 'ily.', 'toys and eat', ', there']) {
        const args = ['--temp', '0', '-n', '40', '--stop', stop, PROMPTS[0] as string];
        const here = await kvgenJsonHere(['--backend', 'simd', ...args]);
        for (const more of [[], ['--tokenizer', STORIES]]) {
          const { json } = await kvgenJsonHere([...options, ...more, ...args]);
          expect([stop, json.text, json.finish_reason]).toEqual([stop, here.json.text, 'stop']);
        }
      }
    });

    served('makes more samples than it has slots, each that of its seed', async (options) => {
      const args = [...options, '-n', '12', PROMPTS[0] as string];
      const { stdout } = await kvgenHere(['--samples', `${SLOTS + 3}`, '--seed', '5', ...args]);
      const texts = stdout.slice(0, -1).split('\n---\n');
      expect(texts).toHaveLength(SLOTS + 3);
      expect(new Set(texts).size).toBeGreaterThan(SLOTS);
      const last = await kvgenHere(['--seed', `${5 + SLOTS + 2}`, ...args]);
      expect(last.stdout).toBe(`${texts.at(-1)}\n`);
    });

    served('answers a batch in the order of its lines', async (options) => {
      const lines = PROMPTS.map((prompt, id) => JSON.stringify({ id, prompt, max_tokens: 4 + 7 * (id % 3) }));
      const { stdout, code } = await kvgenHere(['batch', ...options, '--temp', '0'], { input: lines.join('\n') });
      const answers = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(code).toBe(0);
      expect(answers.map(({ id }) => id)).toEqual(PROMPTS.map((_, id) => id));
      for (const [i, { text, generation_tokens: count }] of answers.entries()) {
        expect(count).toBe(4 + 7 * (i % 3));
        expect(greedy[i]?.text.startsWith(text)).toBe(true);
      }
    });

    served('refuses by name what the server would ignore', async (options) => {
      const refusals = [
        [['-n', '0', 'x'], 'cannot do --max-tokens 0; give 1 or more'],
        [['--ignore-eos', 'x'], 'cannot do --ignore-eos'],
        [['--special', 'x'], 'cannot do --special'],
        [[''], 'takes no empty prompt; --tokenizer gives it a token'],
      ] as const;
      for (const [args, words] of refusals) {
        const { code, stdout, stderr } = await kvgenHere([...options, ...args]);
        expect({ code, stdout, stderr }).toEqual({
          code: 1,
          stdout: '',
          stderr: `kvgen: llama.cpp's server ${words}\n`,
        });
      }
      const score = await kvgenHere(['score', ...options, '--tokenizer', STORIES, '--choices', 'a|b', 'x']);
      expect(score).toMatchObject({ code: 1, stdout: '' });
      expect(score.stderr).toMatch(/llama\.cpp's server gives no log-probabilities of a prompt/);
    });

    served('says why a prompt is too long', async (options) => {
      const { code, stderr } = await kvgenHere([...options, 'one two '.repeat(400)]);
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/ answers 400: request \(801 tokens\) exceeds the available context size \(512 tokens\)/),
      ]);
    });
  });

  describe('mlx-lm', () => {
    let server: PythonServer | undefined;
    beforeAll(async () => {
      const found = await pythonWith('mlx');
      if ('missing' in found) {
        console.log(`skipped, because ${found.missing}`);
        return;
      }
      server = await startMlx(found.python, writeFloat32Folder(tempDir()), tempDir());
    }, INSTALL_MS);
    afterAll(() => server?.stop());

    it('gives the same greedy texts, up to near ties', async (test) => {
      test.skip(server === undefined);
      // It drops the space at the beginning of a text.
      const texts = greedy.map((one) => ({ ...one, text: one.text.replace(/^ /, '') }));
      await expectSameTexts(server as PythonServer, texts, 'default_model');
      for (const { prompt, text, isWhole } of texts) {
        const { stdout } = await kvgenHere(['--server', (server as PythonServer).url, ...GREEDY, prompt]);
        expect(isWhole ? stdout : stdout.slice(0, text.length)).toBe(isWhole ? `${text}\n` : text);
      }
    });

    it('--server: refuses by name what the server would ignore', async (test) => {
      test.skip(server === undefined);
      const refusals = [
        [['--prompt-ids', '1,2'], 'takes no token ids; leave --tokenizer and --prompt-ids out'],
        [['--tokenizer', STORIES, 'x'], 'takes no token ids; leave --tokenizer and --prompt-ids out'],
        [['--json', '--logprobs', '1', 'x'], 'gives no log-probabilities in a stream'],
        [['--ignore-eos', 'x'], 'cannot do --ignore-eos'],
        [[''], 'takes no empty prompt; give one'],
      ] as const;
      for (const [args, words] of refusals) {
        const { code, stderr } = await kvgenHere(['--server', (server as PythonServer).url, ...args]);
        expect([code, stderr]).toEqual([1, `kvgen: mlx-lm ${words}\n`]);
      }
    });
  });
});

/** A step whose two best are as near as rounding ends it. */
async function greedyText(model: Model, prompt: string): Promise<Greedy> {
  const steps: { text: string; gap: number }[] = [];
  for await (const { text, top = [] } of generate(model, prompt, { temperature: 0, maxTokens: TOKENS, logprobs: 2 })) {
    steps.push({ text, gap: (top[0]?.logprob ?? 0) - (top[1]?.logprob ?? 0) });
  }
  const sure = sureSteps(steps);
  return { prompt, text: sure.map(({ text }) => text).join(''), isWhole: sure.length === steps.length };
}

async function expectSameTexts(
  { url }: { readonly url: string },
  texts: readonly Greedy[],
  name: string,
): Promise<void> {
  for (const { prompt, text, isWhole } of texts) {
    const question = { model: name, prompt, max_tokens: TOKENS, temperature: 0 };
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}/v1/completions`, { method: 'POST', headers, body: JSON.stringify(question) });
    const { choices } = (await response.json()) as { choices: { text: string }[] };
    const found = choices[0]?.text ?? '';
    expect([prompt, isWhole ? found : found.slice(0, text.length)]).toEqual([prompt, text]);
  }
}

/** The converted file has every number of the folder. */
async function expectSameModel(model: Model, file: string): Promise<void> {
  const converted = await openModel(await folderSource(findModel(file)), { backend: 'simd' });
  try {
    const ids = [481, 480, 259, 423];
    expect(converted.logits(ids, { cache: false })).toEqual(model.logits(ids, { cache: false }));
    expect(await converted.tokenizer?.encode(PROMPTS.join('\n'))).toEqual(
      await model.tokenizer?.encode(PROMPTS.join('\n')),
    );
  } finally {
    converted.dispose();
  }
}

/** `stories` in float32, since mlx-lm computes in what the file has. */
function writeFloat32Folder(dir: string): string {
  cpSync(STORIES, dir, { recursive: true });
  const path = join(dir, 'model.safetensors');
  const wide = float16Values();
  const tensors = [...readSafetensors(path)].map(([name, { shape, bytes }]) => {
    const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
    return [
      name,
      float32(
        shape,
        Array.from(halves, (half) => wide[half] as number),
      ),
    ] as const;
  });
  writeSafetensors(path, new Map(tensors));
  return dir;
}
