// SmolLM2-135M-Instruct against what transformers computes of it: `npm run test:models`. Not part of `npm test`, and skipped
// with one line where pip does not reach the model.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { windowLoss } from '../../src/generation/score.js';
import { generate } from '../../src/library/generate-text.js';
import { folderSource, type Model, type OpenOptions, openModel } from '../../src/library/model.js';
import { autoBackend } from '../../src/native/status.js';
import { decodeAll } from '../../src/text/detokenizer.js';
import type { Tokenizer } from '../../src/text/tokenizer.js';
import { findModel } from '../../src/weights/find.js';
import { smollm2File } from './smollm2-file.js';

interface Prompt {
  readonly text?: string;
  /** A chat, as the template writes it. */
  readonly rendered?: string;
  readonly ids: number[];
  readonly top20: [id: number, logit: number][];
  readonly mean_loss: number;
  readonly greedy: [id: number, logprob: number, gap: number][];
}

interface Golden {
  readonly prompts: Prompt[];
  readonly tokenizer_cases: { readonly text: string; readonly ids: number[]; readonly decoded: string }[];
}

const GOLDEN: Golden = JSON.parse(
  readFileSync(fileURLToPath(new URL('../fixtures/smollm2-golden.json', import.meta.url)), 'utf8'),
);
/** A greedy step whose two best are nearer than this may be decided by rounding. */
const NEAR = 0.005;
const TWO_MINUTES = 120_000;

const ENGINES: readonly (readonly [name: string, options: OpenOptions])[] = [
  ['node, float32', { backend: 'node' }],
  ['simd, float32', { backend: 'simd' }],
  ['simd, int8', { backend: 'simd', weights: 'int8' }],
];

describe.runIf(process.env.KVGEN_MODELS === '1')('SmolLM2-135M-Instruct', () => {
  let path: string | undefined;
  beforeAll(async () => {
    const found = await smollm2File();
    path = 'path' in found ? found.path : undefined;
    if ('missing' in found) {
      console.log(`skipped: ${found.missing}`);
    }
  }, 2 * TWO_MINUTES);

  describe.each(ENGINES)('on %s', (name, options) => {
    let model: Model | undefined;
    beforeAll(async () => {
      const isInstalled = options.backend !== 'node' || autoBackend() === 'node';
      model =
        path === undefined || !isInstalled ? undefined : await openModel(await folderSource(findModel(path)), options);
    }, TWO_MINUTES);
    afterAll(() => model?.dispose());

    const real = (what: string, run: (model: Model) => Promise<void>) =>
      it(
        what,
        async (test) => {
          test.skip(model === undefined);
          await run(model as Model);
        },
        TWO_MINUTES,
      );

    real('ids of texts, and texts of ids', async ({ tokenizer }) => {
      const { encode } = boundTo(tokenizer as Tokenizer);
      for (const { text, ids, decoded } of GOLDEN.tokenizer_cases) {
        expect([text, await encode(text)]).toEqual([text, ids]);
        expect(decodeAll(tokenizer as Tokenizer, ids)).toBe(decoded);
      }
      for (const { text, rendered, ids } of GOLDEN.prompts) {
        expect(await encode(text ?? rendered ?? '')).toEqual(ids);
      }
    });

    real('the mean loss of each prompt', async ({ engine }) => {
      for (const { ids, mean_loss } of GOLDEN.prompts) {
        const scored = ids.length - 1;
        const loss = (await windowLoss(engine, { ids, scored })) / scored;
        // A long text says what int8 costs; in a short one a single id can be far off.
        const most = options.weights !== 'int8' ? 1e-4 : scored > 100 ? 0.02 : 0.1;
        expect(Math.abs(loss - mean_loss), `${name}: ${loss} of ${mean_loss}`).toBeLessThan(most);
      }
    });

    if (options.weights !== 'int8') {
      real('the likeliest twenty, within 1e-4 of the largest logit', async (model) => {
        for (const { ids, top20 } of GOLDEN.prompts) {
          const logits = model.logits(ids, { cache: false }); // the greedy ids come through the cache
          const largest = Math.max(...top20.map(([, logit]) => Math.abs(logit)));
          for (const [id, logit] of top20) {
            expect(Math.abs((logits[id] as number) - logit) / largest).toBeLessThanOrEqual(1e-4);
          }
        }
      });

      real('greedy ids, up to the first step that rounding may decide', async (model) => {
        for (const { ids, greedy } of GOLDEN.prompts) {
          const near = greedy.findIndex(([, , gap]) => gap < NEAR);
          const sure = near < 0 ? greedy : greedy.slice(0, near);
          const found: number[] = [];
          for await (const { id } of generate(model, ids, {
            temperature: 0,
            maxTokens: sure.length,
            ignoreEos: true,
          })) {
            found.push(id);
          }
          expect(found).toEqual(sure.map(([id]) => id));
        }
      });
    }
  });
});

function boundTo(tokenizer: Tokenizer) {
  const encode = async (text: string) => [...tokenizer.around.before, ...(await tokenizer.encode(text))];
  return { encode };
}
