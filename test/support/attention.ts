// What heads look at, compared with the `output_attentions` of Hugging Face transformers (test/fixtures/make-attention.py). The
// same tests on every engine.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackendName } from '../../src/backends.js';
import type { Engine, LayerAttention } from '../../src/engine/engine.js';
import type { KvCache } from '../../src/engine/kv-cache.js';
import type { Model } from '../../src/library/model.js';
import { familyDir } from './families.js';
import { goldenDir } from './golden.js';
import { open, useBackend } from './open.js';

interface GoldenAttention {
  readonly ids: readonly number[];
  readonly rows: readonly number[];
  /** [layer][head][row] → the weights of positions 0 … row. */
  readonly weights: readonly (readonly (readonly (readonly number[])[])[])[];
}

const FILE = fileURLToPath(new URL('../fixtures/attention.json', import.meta.url));
const { models: GOLDEN } = JSON.parse(readFileSync(FILE, 'utf8')) as { models: Record<string, GoldenAttention> };

/** Rows by `layer head token`, of the one sequence of a pass. */
export class Rows {
  readonly #nHead: number;
  readonly #rows = new Map<string, number[]>();

  constructor({ config }: Engine) {
    this.#nHead = config.nHead;
  }

  add({ layer, sequence, from, tokens: T, weights }: LayerAttention): void {
    const nHead = this.#nHead;
    expect(weights.length).toBe(nHead * T * (from + T));
    for (let row = 0; row < nHead * T; row++) {
      const [head, t] = [Math.floor(row / T), row % T];
      const own = [...weights.subarray(row * (from + T), (row + 1) * (from + T))];
      expect(own.splice(from + t + 1).every((weight) => weight === 0)).toBe(true);
      this.#rows.set(this.#key(sequence, layer, head, from + t), own);
    }
  }

  row(layer: number, head: number, token: number, sequence = 0): readonly number[] {
    return this.#rows.get(this.#key(sequence, layer, head, token)) ?? [];
  }

  get count(): number {
    return this.#rows.size;
  }

  #key(...place: number[]): string {
    return place.join(' ');
  }
}

/** Runs ids in passes of so many. */
export function attentionOf(engine: Engine, ids: readonly number[], lengths: readonly number[], cache: KvCache | null) {
  const rows = new Rows(engine);
  let start = 0;
  for (const length of lengths) {
    const part = ids.slice(start, start + length);
    engine.forward({ ids: [part], wanted: [part.length - 1], onAttention: (layer) => rows.add(layer) }, cache);
    start += length;
  }
  return rows;
}

export function testAttention(backend: BackendName, threads?: number): void {
  beforeAll(async () => {
    if (backend !== 'simd') {
      expect((await useBackend(backend)).name).toBe(backend);
    }
  });
  describe.each(Object.keys(GOLDEN))(`${backend}: %s`, (name) => {
    const { ids, rows, weights } = GOLDEN[name] as GoldenAttention;
    let model: Model;
    beforeAll(async () => {
      const dir = name.startsWith('gpt2-') ? goldenDir(name) : familyDir(name);
      const engine = backend === 'simd' ? 'auto' : 'eager';
      model = await open(dir, { backend, engine, threads, tokenizer: async () => null });
    });
    afterAll(() => model.dispose());

    function expectGolden(found: Rows): void {
      const { nLayer, nHead } = model.config;
      expect(found.count).toBe(nLayer * nHead * ids.length);
      for (const [layer, heads] of weights.entries()) {
        for (const [head, golden] of heads.entries()) {
          for (const [i, t] of rows.entries()) {
            const row = found.row(layer, head, t);
            const difference = row.map((weight, j) => Math.abs(weight - (golden[i]?.[j] ?? Number.NaN)));
            expect(row.length).toBe(t + 1);
            expect(Math.max(...difference)).toBeLessThan(1e-5);
          }
        }
      }
    }

    it('a whole pass, with no cache', () => {
      expectGolden(attentionOf(model.engine, ids, [ids.length], null));
    });

    it('prefill in parts, then decode steps', () => {
      const cache = model.engine.newCache();
      const steps = ids.slice(25).map(() => 1);
      const before = model.engine.numTensors();
      expectGolden(attentionOf(model.engine, ids, [17, 8, ...steps], cache));
      cache.dispose();
      expect(model.engine.numTensors()).toBe(before);
    });

    it('changes no bit of the logits', () => {
      const pass = { ids: [ids], wanted: ids.map((_, t) => t) };
      const plain = model.engine.forward(pass, null).map((logits) => logits.slice());
      const shown = model.engine.forward({ ...pass, onAttention: () => {} }, null);
      expect(shown.map((logits) => [...logits])).toEqual(plain.map((logits) => [...logits]));
    });

    it('sequences of different lengths side by side, each from its own first position', () => {
      const { engine } = model;
      const lengths = [44, 30];
      const caches = lengths.map((length) => {
        const cache = engine.newCache();
        engine.forward({ ids: [ids.slice(0, length)], wanted: [0] }, cache);
        return cache;
      });
      const batch = engine.gather(caches.map((cache) => ({ cache, places: [0] })));
      const side = new Rows(engine);
      const next = lengths.map((length) => [ids[length] as number]);
      engine.forward({ ids: next, wanted: [0, 1], onAttention: (layer) => side.add(layer) }, batch);
      const alone = attentionOf(engine, ids, [ids.length], null);
      for (const [sequence, length] of lengths.entries()) {
        for (let layer = 0; layer < engine.config.nLayer; layer++) {
          const [row, golden] = [side.row(layer, 1, length, sequence), alone.row(layer, 1, length)];
          expect(row.length).toBe(length + 1);
          expect(Math.max(...row.map((weight, j) => Math.abs(weight - (golden[j] as number))))).toBeLessThan(1e-5);
        }
      }
      for (const cache of [...caches, batch]) {
        cache.dispose();
      }
    });
  });
}
