// An int8 folder gives what its source gives with int8 weights, to the bit; and whatever is wrong with one ends in a line.

import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { int8Tensors } from '../../src/library/int8-tensors.js';
import { folderSource, loadModel, type Model, openModel } from '../../src/library/model.js';
import type { Gpt2Config } from '../../src/model/gpt2-config.js';
import { placesOfGpt2, planGpt2 } from '../../src/simd/gpt2-plan.js';
import { MemoryPlan } from '../../src/simd/linear-memory.js';
import { findModel } from '../../src/weights/find.js';
import { parseConfig } from '../../src/weights/folder.js';
import { expectFailure } from '../support/errors.js';
import { familyDir } from '../support/families.js';
import { goldenDir } from '../support/golden.js';
import { writeInt8 } from '../support/int8-folder.js';
import { randomize, randomTensors, TINY, writeModel } from '../support/model-folder.js';
import { float32, readSafetensors, type StoredTensor, writeSafetensors } from '../support/safetensors.js';
import { tempDirs } from '../support/temp-dir.js';

/** No width is a multiple of four. */
const ODD = { ...TINY, n_embd: 30, n_head: 5, vocab_size: 101 };

const tempDir = tempDirs();
const weights = (dir: string) => join(dir, 'model.safetensors');
type Tensors = Map<string, StoredTensor>;
const get = (tensors: Tensors, name: string) => tensors.get(name) as StoredTensor;

function doubledHead(tensors: Tensors): void {
  const { shape, bytes } = get(tensors, 'wte.weight');
  const doubled = new Float32Array(bytes.slice().buffer).map((x, i) => 2 * x + i / 1000);
  tensors.set('lm_head.weight', float32(shape, doubled));
}

function sameHead(tensors: Tensors): void {
  tensors.set('lm_head.weight', get(tensors, 'wte.weight'));
}

function headAlone(tensors: Tensors): void {
  sameHead(tensors);
  tensors.delete('wte.weight');
}

const FAMILIES = [
  'llama-headdim',
  'llama-v5-config',
  'qwen3',
  'qwen2-tied',
  'gpt-neox',
  'gpt-neo-local',
  'gpt-neo-headdim-6',
];
const UNTIED = { tie_word_embeddings: false };
const SOURCES: [what: string, dir: () => string][] = [
  ['stories', () => findModel('stories').dir],
  ['odd widths', () => writeModel(tempDir(), { config: ODD, tensors: randomize(ODD) })],
  ['an untied head', () => writeModel(tempDir(), { config: UNTIED, tensors: doubledHead })],
  ['an untied head that is the embedding', () => writeModel(tempDir(), { config: UNTIED, tensors: sameHead })],
  ['a head of its own, though tied', () => writeModel(tempDir(), { tensors: doubledHead })],
  ['the embedding once more as the head', () => writeModel(tempDir(), { tensors: sameHead })],
  ['the head alone', () => writeModel(tempDir(), { tensors: headAlone })],
  ['float16, in shards', () => goldenDir('fp16-sharded')],
  ...FAMILIES.map((name): [string, () => string] => [name, () => familyDir(name)]),
];

describe.each(SOURCES)('of %s', (_, make) => {
  let source: string;
  let dir: string;
  beforeAll(async () => {
    source = make();
    dir = await writeInt8(source, tempDir());
  });

  it('has the logits of its source with int8 weights, bit for bit', async () => {
    const [before, after] = [await loadModel(source, { weights: 'int8' }), await loadModel(dir)];
    try {
      expect(after).toMatchObject({ backend: 'simd', weights: 'int8', parameters: before.parameters });
      const ids = Array.from({ length: 20 }, (_, i) => (i * 7) % before.config.vocabSize);
      for (const length of [1, 20]) {
        expect(bitsOf(after, ids.slice(0, length))).toEqual(bitsOf(before, ids.slice(0, length)));
      }
    } finally {
      before.dispose();
      after.dispose();
    }
  });

  it('has the same files when it is written again', async () => {
    const again = await writeInt8(source, tempDir());
    expect(readFileSync(weights(again)).equals(readFileSync(weights(dir)))).toBe(true);
  });

  it('has the config of its source, and says that it is int8', () => {
    const json = (folder: string) => JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    expect(json(dir)).toEqual({ ...json(source), quantization_config: { quant_method: 'kvgen-int8' } });
  });
});

function bitsOf(model: Model, ids: readonly number[]): number[] {
  const logits = model.logits(ids, { cache: false });
  return [...new Uint32Array(logits.slice().buffer)];
}

describe('the size', () => {
  it('of a model with the sizes of GPT-2 is about a quarter of float32', () => {
    const { config, architecture } = parseConfig({ model_type: 'gpt2' }, 'c.json');
    const places = placesOfGpt2(planGpt2(new MemoryPlan(), config as Gpt2Config, 'int8', 1), config as Gpt2Config);
    const size = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);
    const bytes = [...architecture.tensors(config, { has: () => false })].map(({ name, shape }) => {
      const place = places.get(name);
      const int8 = place?.kind === 'matrix' ? place.matrix.rows * (place.matrix.columns + 4) : 4 * size(shape);
      return { int8, float32: 4 * size(shape) };
    });
    const total = (form: 'int8' | 'float32') => bytes.reduce((sum, tensor) => sum + tensor[form], 0);
    expect(total('float32')).toBe(497_759_232);
    expect(total('int8') / total('float32')).toBeLessThan(0.257);
  });

  it('of stories, which has more in its embedding of positions, is little more', async () => {
    const { dir } = findModel('stories');
    const { size } = statSync(weights(await writeInt8(dir, tempDir())));
    expect(size / (2 * statSync(weights(dir)).size)).toBeLessThan(0.28); // it is stored as float16
  });
});

it('no tensor but matrices is int8, and docs/int8-format.md says where a number lies', async () => {
  const source = writeModel(tempDir(), { config: ODD, tensors: randomize(ODD) });
  const plain = randomTensors(ODD);
  const stored = readSafetensors(weights(await writeInt8(source, tempDir())));
  const text = readFileSync(fileURLToPath(new URL('../../docs/int8-format.md', import.meta.url)), 'utf8');
  const [, example = ''] = /```js\n([\s\S]*?)```/.exec(text) ?? [];
  const { weightAt } = await import(`data:text/javascript,${encodeURIComponent(example)}`);
  for (const [name, { shape, bytes }] of plain) {
    const found = get(stored, name);
    if (shape.length === 1 || name === 'wpe.weight') {
      expect(found).toEqual({ dtype: 'F32', shape, bytes });
      continue;
    }
    const scale = new Float32Array(get(stored, `${name}_scale`).bytes.slice().buffer);
    const values = new Float32Array(bytes.slice().buffer);
    const [lines = 0, width = 0] = shape;
    for (let line = 0; line < lines; line++) {
      for (let i = 0; i < width; i++) {
        const [n, k] = name === 'wte.weight' ? [line, i] : [i, line];
        const row = name.includes('attn.c_attn') ? inHeads(n) : n;
        const column = name.includes('attn.c_proj') ? inHeads(k) : k;
        const value = weightAt(found.shape, new Int8Array(found.bytes.buffer), scale, row, column);
        const exact = values[line * width + i] as number;
        expect(Math.abs(value - exact)).toBeLessThanOrEqual(0.5001 * (scale[row] as number));
      }
    }
  }
});

/** A head of 6 is filled up to 8. */
function inHeads(n: number): number {
  return Math.floor(n / 6) * 8 + (n % 6);
}

describe('what is wrong with a folder', () => {
  let sound: string;
  beforeAll(async () => {
    sound = await writeInt8(writeModel(tempDir()), tempDir());
  });

  function changed(change: (tensors: Tensors) => void): string {
    const dir = tempDir();
    writeFileSync(join(dir, 'config.json'), readFileSync(join(sound, 'config.json')));
    const tensors = readSafetensors(weights(sound));
    change(tensors);
    writeSafetensors(weights(dir), tensors);
    return dir;
  }

  const FC = 'h.0.mlp.c_fc.weight';
  const put = (name: string, parts: Partial<StoredTensor>) => (tensors: Tensors) =>
    tensors.set(name, { ...get(tensors, name), ...parts });
  const withByte = (value: number) => (tensors: Tensors) => {
    get(tensors, FC).bytes[77] = value;
  };
  const withScale = (value: number) => (tensors: Tensors) => {
    const scales = new Float32Array(32).fill(0.5);
    scales[9] = value;
    tensors.set(`${FC}_scale`, float32([32], scales));
  };

  it.each<[string, (tensors: Tensors) => unknown, string[]]>([
    ['no matrix', (tensors) => tensors.delete(FC), [`${FC}: not found; expected a tensor of [8, 32]`]],
    [
      'no scales',
      (tensors) => tensors.delete(`${FC}_scale`),
      [`safetensors: ${FC}_scale: not found; expected F32 [32]`],
    ],
    [
      'another number of scales',
      put(`${FC}_scale`, float32([31], new Float32Array(31))),
      [`${FC}_scale: expected F32 [32], found F32 [31]`],
    ],
    [
      'scales of float16',
      put(`${FC}_scale`, { dtype: 'F16', bytes: new Uint8Array(64) }),
      [`${FC}_scale: expected F32 [32], found F16 [32]`],
    ],
    [
      'a matrix of floats',
      put(FC, float32([8, 32], new Float32Array(256))),
      [`${FC}: expected I8 [rows / 4, columns / 8, 4, 8], found F32 [8, 32]`],
    ],
    [
      'a matrix in another order',
      put(FC, { shape: [8, 2, 8, 4] }),
      [`${FC}: expected I8 [rows / 4, columns / 8, 4, 8], found I8 [8, 2, 8, 4]`],
    ],
    [
      'a matrix of other sizes',
      (tensors) => {
        put(FC, { shape: [4, 4, 4, 8] })(tensors);
        tensors.set(`${FC}_scale`, float32([16], new Float32Array(16)));
      },
      [`safetensors: ${FC}: expected I8 [8, 2, 4, 8], found [4, 4, 4, 8]`],
    ],
    [
      'a vector of int8',
      put('ln_f.weight', { dtype: 'I8', bytes: new Uint8Array(8) }),
      ['ln_f.weight: expected dtype F32, F16, BF16, F64, found I8'],
    ],
    [
      'scales of what is no matrix',
      (tensors) => tensors.set('wpe.weight_scale', float32([1], [1])),
      ['wpe.weight_scale: a GPT-2 of 2 layers has no such tensor'],
    ],
    ['the number -128', withByte(0x80), [`safetensors: ${FC}: expected numbers of -127 … 127, found -128`]],
    ...[Number.NaN, -1, Number.POSITIVE_INFINITY].map((value): [string, (tensors: Tensors) => unknown, string[]] => [
      `the scale ${value}`,
      withScale(value),
      [`safetensors: ${FC}_scale: row 9: expected a scale of 0 or more, found ${value}`],
    ]),
  ])('%s', async (_, change, fragments) => {
    const dir = changed(change);
    await expectFailure(() => loadModel(dir), dir, ...fragments);
  });

  it('-127 and 127 are sound', async () => {
    for (const value of [0x81, 0x7f]) {
      (await loadModel(changed(withByte(value)))).dispose();
    }
  });

  it('a file that is cut', async () => {
    const dir = changed(() => {});
    truncateSync(weights(dir), 1500);
    await expectFailure(() => loadModel(dir), 'model.safetensors: ', 'download');
    truncateSync(weights(dir), statSync(weights(sound)).size / 2);
    await expectFailure(() => loadModel(dir), 'model.safetensors: ', 'download');
  });

  it('a config that does not say int8, or no weights at all', async () => {
    const dir = changed(() => {});
    writeFileSync(join(dir, 'config.json'), JSON.stringify(TINY));
    await expectFailure(() => loadModel(dir), 'expected [32, 8], found [8, 2, 4, 8]');
    rmSync(weights(dir));
    await expectFailure(() => loadModel(dir), 'neither model.safetensors nor');
  });

  it('no other backend, and no other form of weights', async () => {
    await expectFailure(
      () => loadModel(sound, { backend: 'node' }),
      `${sound}: its weights are int8`,
      '--backend node',
    );
    await expectFailure(() => loadModel(sound, { weights: 'float32' }), `${sound}: its weights are int8`);
  });
});

it('weights that are not numbers are not written', async () => {
  const dir = writeModel(tempDir(), {
    tensors: (tensors) => tensors.set('h.1.attn.c_proj.weight', float32([8, 8], new Array(64).fill(Number.NaN))),
  });
  const source = await folderSource({ name: 'test', dir, source: 'path' });
  const model = await openModel(source, { backend: 'simd', weights: 'int8', threads: 1 });
  const { signal } = new AbortController();
  const work = () => int8Tensors(model, source, signal);
  await expectFailure(work, `${dir}: h.1.attn.c_proj.weight in int8: row 0: expected a scale of 0 or more, found NaN`);
  model.dispose();
  const floats = await loadModel(dir, { backend: 'simd' });
  await expect(int8Tensors(floats, source, signal)).rejects.toThrow('expected the simd engine with int8 weights');
  floats.dispose();
});
