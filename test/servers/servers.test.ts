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

const tempDir = tempDirs();

/** A greedy text of kvgen, as far as rounding may not decide it. */
interface Greedy {
  readonly prompt: string;
  readonly text: string;
  readonly isWhole: boolean;
}

describe.runIf(process.env.KVGEN_SERVERS === '1')('beside other servers', () => {
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
