// LoRA adapters of PEFT: the logits are those of PEFT, what is not computed is refused by name, and saved prompts know both
// folders. test/fixtures/make-adapters.py made the adapters and their golden values.

import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { fingerprint } from '../../src/store/fingerprint.js';
import { parseAdapterConfig } from '../../src/weights/adapter-config.js';
import { openModelFolder } from '../../src/weights/adapter-folder.js';
import { loadShape, readTensors } from '../../src/weights/folder.js';
import { expectFailure } from '../support/errors.js';
import { expectParity } from '../support/golden.js';
import { open, useBackend } from '../support/open.js';
import { greedy, run } from '../support/run.js';
import { float32, readSafetensors, type StoredTensor, writeSafetensors } from '../support/safetensors.js';
import { tempDirs } from '../support/temp-dir.js';

const FIXTURES = resolve('test/fixtures/adapters');
const NAMES = ['plain', 'patterns', 'embeddings', 'head', 'saved-modules', 'saved-embedding'];
const tempDir = tempDirs();

beforeAll(async () => {
  await useBackend('node');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

interface Golden {
  prompt_ids: number[];
  logits_last: number[];
  greedy_ids: number[];
}
const golden = (name: string): Golden => JSON.parse(readFileSync(join(FIXTURES, name, 'golden.json'), 'utf8'));

async function expectGolden(dir: string, { prompt_ids, logits_last, greedy_ids }: Golden): Promise<void> {
  for (const backend of ['node', 'simd'] as const) {
    const model = await open(dir, { backend, engine: 'auto' });
    expectParity(model.logits(prompt_ids, { cache: false }), logits_last);
    const { ids } = await run(model.engine, prompt_ids, { maxTokens: greedy_ids.length, cache: true }, greedy());
    expect(ids).toEqual(greedy_ids);
    model.dispose();
  }
}

describe('the logits are those of PEFT', () => {
  it.each(NAMES)('%s', async (name) => {
    await expectGolden(join(FIXTURES, name), golden(name));
  });

  it('where a trained module is saved twice, with its original', async () => {
    const { dir } = copies('saved-embedding');
    changeTensors(dir, (tensors) => {
      for (const [name, tensor] of [...tensors].filter(([key]) => /(wte|lm_head)\.weight$/.test(key))) {
        const other = tensor.bytes.map((byte) => byte ^ 1);
        tensors.set(name.replace('.weight', '.modules_to_save.weight'), tensor);
        tensors.set(name.replace('.weight', '.original_module.weight'), { ...tensor, bytes: other });
      }
    });
    await expectGolden(dir, golden('saved-embedding'));
  });

  it('of parts of a tensor, from wherever they begin', async () => {
    const dir = join(FIXTURES, 'embeddings');
    const folder = await openModelFolder({ dir });
    for await (const { name, shape, read } of readTensors(folder, await loadShape(folder))) {
      const whole = new Float32Array(shape.reduce((a, b) => a * b, 1));
      await read(whole, 0);
      for (const [from, to] of [
        [0, 1],
        [5, 40],
        [whole.length - 3, whole.length],
      ] as const) {
        const part = new Float32Array(Math.max(0, Math.min(to, whole.length) - from));
        await read(part, from);
        expect([name, ...part]).toEqual([name, ...whole.subarray(from, from + part.length)]);
      }
    }
  });
});

/** An adapter and its model, beside each other. */
function copies(name = 'plain'): { dir: string; base: string } {
  const parent = tempDir();
  cpSync(join(FIXTURES, name), join(parent, 'adapter'), { recursive: true });
  cpSync(join(FIXTURES, 'base'), join(parent, 'base'), { recursive: true });
  return { dir: join(parent, 'adapter'), base: join(parent, 'base') };
}

const configPath = (dir: string) => join(dir, 'adapter_config.json');
function changeConfig(dir: string, change: Record<string, unknown>): string {
  const json = JSON.parse(readFileSync(configPath(dir), 'utf8'));
  const [before, after] = [json, change].map((part) => JSON.stringify(part).slice(1, -1));
  writeFileSync(configPath(dir), `{${before}, ${after}}`); // the later of two keys counts
  return dir;
}

function changeTensors(dir: string, change: (tensors: Map<string, StoredTensor>) => void): string {
  const path = join(dir, 'adapter_model.safetensors');
  const tensors = readSafetensors(path);
  change(tensors);
  writeSafetensors(path, tensors);
  return dir;
}

describe('the model that it is of', () => {
  it('is a folder from that of the adapter on, an absolute one, or a name', async () => {
    const { dir, base } = copies();
    await expectGolden(dir, golden('plain'));
    await expectGolden(changeConfig(dir, { base_model_name_or_path: base }), golden('plain'));
    // as of training that ran in the folder above both
    await expectGolden(changeConfig(dir, { base_model_name_or_path: 'base' }), golden('plain'));
    const data = tempDir();
    vi.stubEnv('XDG_DATA_HOME', data);
    mkdirSync(join(data, 'kvgen', 'models'), { recursive: true });
    renameSync(base, join(data, 'kvgen', 'models', 'my-base'));
    await expectGolden(changeConfig(dir, { base_model_name_or_path: 'my-base' }), golden('plain'));
  });

  it('that is not here is named with what fetches it', async () => {
    const { dir } = copies();
    vi.stubEnv('HF_HUB_CACHE', tempDir());
    const refused = (base: unknown, ...words: string[]) =>
      expectFailure(
        () => openModelFolder({ dir: changeConfig(dir, { base_model_name_or_path: base }) }),
        configPath(dir),
        ...words,
      );
    await refused(
      'openai-community/gpt2-xl',
      '"openai-community/gpt2-xl" is not here; `kvgen pull openai-community/gpt2-xl`',
    );
    await refused(
      '/content/drive/model',
      '"/content/drive/model" is not here; put the folder there, or correct the path',
    );
    await refused(null, 'base_model_name_or_path: expected the name or the folder');
    await refused(5, 'base_model_name_or_path: expected the name or the folder');
    await refused('.', 'is an adapter itself');
  });

  it('gives the tokenizer, unless the adapter has one', async () => {
    const { dir, base } = copies();
    writeFileSync(join(base, 'tokenizer.json'), 'base');
    writeFileSync(join(base, 'added_tokens.json'), 'base');
    const textOf = async (name: string) =>
      (await openModelFolder({ dir })).readText(name, { name: 'x', maxBytes: 1e6, advice: '' });
    expect(await textOf('tokenizer.json')).toBe('base');
    writeFileSync(join(dir, 'tokenizer.json'), 'adapter');
    expect(await textOf('tokenizer.json')).toBe('adapter');
    expect(await textOf('added_tokens.json')).toBeUndefined();
    expect(JSON.parse((await textOf('config.json')) ?? '').n_embd).toBe(16);
  });

  it('in int8 is refused', async () => {
    const { dir, base } = copies();
    const json = JSON.parse(readFileSync(join(base, 'config.json'), 'utf8'));
    writeFileSync(
      join(base, 'config.json'),
      JSON.stringify({ ...json, quantization_config: { quant_method: 'kvgen-int8' } }),
    );
    await expectFailure(() => open(dir, { backend: 'simd', engine: 'auto' }), dir, 'stored as int8; name the folder');
  });
});

it('a change of either folder changes the fingerprint', async () => {
  const { dir, base } = copies();
  const print = async () => {
    const folder = await openModelFolder({ dir });
    for await (const _ of readTensors(folder, await loadShape(folder))) {
      // opened
    }
    return fingerprint(folder, { folder: undefined, write: false });
  };
  const first = await print();
  expect(await print()).toBe(first);
  changeTensors(dir, (tensors) =>
    tensors.set('base_model.model.transformer.ln_f.bias', float32([16], new Float32Array(16))),
  );
  const second = await print();
  expect(second).not.toBe(first);
  const weights = join(base, 'model.safetensors');
  const tensors = readSafetensors(weights);
  tensors.set('transformer.ln_f.bias', float32([16], new Float32Array(16)));
  writeSafetensors(weights, tensors);
  const third = await print();
  expect([first, second]).not.toContain(third);
  changeConfig(dir, { lora_alpha: 11 });
  expect([first, second, third]).not.toContain(await print());
});

describe('refused by name', () => {
  it.each<[Record<string, unknown>, string]>([
    [{ peft_type: 'IA3' }, 'peft_type: expected "LORA" (no other adapter is computed'],
    [{ peft_type: 'PREFIX_TUNING' }, 'found "PREFIX_TUNING"'],
    [{ peft_type: 'ADALORA' }, 'found "ADALORA"'],
    [{ peft_type: null }, 'found null'],
    [{ use_dora: true }, 'use_dora: expected nothing (DoRA is not computed; merge it in PEFT'],
    [{ use_qalora: true }, 'QA-LoRA'],
    [{ lora_bias: true }, 'lora_bias: expected nothing'],
    [
      {
        layer_replication: [
          [0, 2],
          [0, 2],
        ],
      },
      'repeated layers',
    ],
    [{ trainable_token_indices: [1] }, 'trained rows'],
    [{ target_parameters: ['x'] }, 'target_parameters'],
    [{ ensure_weight_tying: true }, 'ensure_weight_tying'],
    [JSON.parse('{"__proto__": {"length": 3}}'), '__proto__: expected nothing (it is not known'],
    [{ a_new_key: 3 }, 'a_new_key: expected nothing (it is not known'],
    [{ init_lora_weights: 'pissa_niter_4' }, 'init_lora_weights: expected one that leaves the base model as it is'],
    [{ init_lora_weights: 'olora' }, 'found "olora"'],
    [{ r: 8 }, 'r: expected 4, the width of the products of "transformer.h.0.attn.c_attn", found 8'],
    [
      { rank_pattern: { c_attn: 3 } },
      'r: expected 4, the width of the products of "transformer.h.0.attn.c_attn", found 3',
    ],
    [{ rank_pattern: { 'h.[01].*': 3 } }, 'rank_pattern: expected names of modules (no expressions)'],
    [{ lora_alpha: 'x' }, 'lora_alpha: expected a number, found "x"'],
    [
      { alpha_pattern: { '.*c_attn': 3 } },
      'alpha_pattern: expected names of modules (no expressions), found ".*c_attn"',
    ],
    [{ alpha_pattern: { c_attn: null } }, 'alpha_pattern: expected a number, found null'],
    [{ use_rslora: 1 }, 'use_rslora: expected true or false'],
    [{ modules_to_save: [5] }, 'modules_to_save: expected a list of names'],
    [{ target_modules: ['c_fc'] }, 'target_modules: expected one that fits "transformer.h.0.attn.c_attn", of which'],
    [{ layers_to_transform: [1] }, 'target_modules: expected one that fits "transformer.h.0.attn.c_attn"'],
    [{ exclude_modules: ['h.0.attn.c_attn'] }, 'target_modules: expected one that fits "transformer.h.0.attn.c_attn"'],
  ])('%j', async (change, words) => {
    const { dir } = copies();
    await expectFailure(() => open(changeConfig(dir, change)), configPath(dir), words);
  });

  const A = 'base_model.model.transformer.h.0.attn.c_attn.lora_A.weight';
  it.each<[string, (tensors: Map<string, StoredTensor>) => void, string]>([
    ['half a product', (tensors) => tensors.delete(A), 'without its A; a product has two matrices'],
    [
      'one of another width',
      (tensors) => tensors.set(A, float32([4, 8], new Float32Array(32))),
      'expected [4,16], found [4,8]',
    ],
    [
      'one of another rank',
      (tensors) => tensors.set(A, float32([3, 16], new Float32Array(48))),
      'expected [48,3], found [48,4]',
    ],
    [
      'a magnitude',
      (tensors) =>
        tensors.set(A.replace('lora_A.weight', 'lora_magnitude_vector'), float32([16], new Float32Array(16))),
      'lora_magnitude_vector: no part of a LoRA adapter',
    ],
    [
      'the bias of a product',
      (tensors) => tensors.set(A.replace('lora_A.weight', 'lora_B.bias'), float32([48], new Float32Array(48))),
      'lora_B.bias: no part of',
    ],
    [
      'a layer that there is not',
      (tensors) => tensors.set(A.replace('h.0', 'h.7'), float32([4, 16], new Float32Array(64))),
      'h.7.attn.c_attn.weight: the model has no such tensor',
    ],
    [
      'a bias of another size',
      (tensors) => tensors.set('base_model.model.transformer.ln_f.bias', float32([8], new Float32Array(8))),
      'ln_f.bias: expected [16], found [8]',
    ],
    [
      'another model',
      (tensors) =>
        tensors.set(
          'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight',
          float32([4, 16], new Float32Array(64)),
        ),
      'q_proj.lora_A.weight: no part of a LoRA adapter of a GPT-2',
    ],
    [
      'two of one kind',
      (tensors) => tensors.set(A.replace('lora_A', 'lora_A.default'), float32([4, 16], new Float32Array(64))),
      'two of one kind',
    ],
  ])('%s', async (_, change, words) => {
    const { dir } = copies();
    await expectFailure(() => open(changeTensors(dir, change)), 'adapter_model.safetensors', words);
  });

  it('a vocabulary of another size', async () => {
    const { dir } = copies('saved-embedding');
    const more = float32([66, 16], new Float32Array(66 * 16));
    changeTensors(dir, (tensors) => tensors.set('base_model.model.transformer.wte.weight', more));
    await expectFailure(() => open(dir), 'wte.weight: the vocabulary was resized from 64 to 66; merge it in PEFT');
  });

  it('an adapter without weights', async () => {
    const { dir } = copies();
    rmSync(join(dir, 'adapter_model.safetensors'));
    await expectFailure(() => open(dir), `${dir}: adapter_config.json, but neither adapter_model.safetensors nor`);
  });

  it('a config that is none', async () => {
    const { dir } = copies();
    writeFileSync(configPath(dir), '[');
    await expectFailure(() => open(dir), 'adapter_config.json: not JSON');
    writeFileSync(configPath(dir), '[]');
    await expectFailure(() => open(dir), 'adapter_config.json: expected a JSON object');
  });
});

it('scale: the first pattern that fits a name decides, then alpha is divided by the rank or its root', () => {
  const json = { peft_type: 'LORA', base_model_name_or_path: 'x', r: 2, lora_alpha: 8, target_modules: 'all-linear' };
  const alpha_pattern = { '^h.1.attn.c_attn': 3, c_attn: 4, 'h.0.attn.c_attn': 5 };
  const { scale } = parseAdapterConfig({ ...json, alpha_pattern }, 'a.json');
  expect(
    ['h.0.attn.c_attn', 'h.1.attn.c_attn', 'x.h.1.attn.c_attn', 'h.0.mlp.xc_attn'].map((name) => scale(name, 2)),
  ).toEqual([2, 1.5, 2, 4]);
  expect(parseAdapterConfig({ ...json, r: 4, use_rslora: true }, 'a.json').scale('c_fc', 4)).toBe(4);
});
