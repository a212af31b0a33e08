// Models in GGUF files: what transformers computes from their dequantized weights, on the engines; their configs; and which
// file of a folder is the model.

import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { ModelFolder } from '../../src/files/model-folder.js';
import { folderSource, openModel } from '../../src/library/model.js';
import { type FoundModel, findModel, listModels, weightBytes } from '../../src/weights/find.js';
import { checkWeights, loadShape, readConfig } from '../../src/weights/folder.js';
import { expectFailure } from '../support/errors.js';
import { type Entry, ggufBytes, type TensorParts, text, texts, u32 } from '../support/gguf.js';
import { expectParity } from '../support/golden.js';
import { tempDirs } from '../support/temp-dir.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/gguf', import.meta.url));
const tempDir = tempDirs();

interface Prompt {
  readonly ids: number[];
  readonly logits_last: number[];
  readonly greedy_ids: number[];
}

/** From other models: of an architecture, or with biases, that the first have not. */
const MORE = fileURLToPath(new URL('../fixtures/gguf-models', import.meta.url));
const PATHS = [FIXTURES, MORE].flatMap((dir) =>
  readdirSync(dir).flatMap((name) => (name.endsWith('.gguf') ? [join(dir, name)] : [])),
);

describe.each(PATHS.map((path) => [basename(path, '.gguf'), path]))('%s', (_, path) => {
  const { prompts }: { prompts: Prompt[] } = JSON.parse(readFileSync(path.replace(/gguf$/, 'json'), 'utf8'));

  it.each(['simd', 'cpu'] as const)('logits on %s, cached and not', async (backend) => {
    const model = await openModel(await folderSource(findModel(path)), { backend, threads: 1 });
    try {
      for (const { ids, logits_last, greedy_ids } of prompts) {
        expectParity(model.logits(ids, { cache: true }), logits_last);
        expectParity(model.logits(ids, { cache: false }), logits_last);
        const some = [...ids];
        for (const id of greedy_ids.slice(0, 4)) {
          const logits = Array.from(model.logits(some, { cache: true }));
          expect(logits.indexOf(Math.max(...logits))).toBe(id);
          some.push(id);
        }
      }
    } finally {
      model.dispose();
    }
  });
});

const F32 = (name: string, ...dims: number[]): TensorParts => {
  const values = dims.reduce((product, n) => product * n, 1);
  return { name, dims, type: 0, bytes: Buffer.alloc(4 * values) };
};
const f32 = (value: number): Entry => ({ type: 'FLOAT32', value });

const GPT2 = {
  'general.architecture': text('gpt2'),
  'gpt2.context_length': u32(16),
  'gpt2.embedding_length': u32(8),
  'gpt2.block_count': u32(1),
  'gpt2.attention.head_count': u32(2),
  'gpt2.attention.layer_norm_epsilon': f32(0.5),
};
const LLAMA = {
  'general.architecture': text('llama'),
  'llama.context_length': u32(16),
  'llama.embedding_length': u32(8),
  'llama.block_count': u32(1),
  'llama.feed_forward_length': u32(12),
  'llama.attention.head_count': u32(2),
  'llama.attention.layer_norm_rms_epsilon': f32(0.25),
};
const EMBEDDING = [F32('token_embd.weight', 8, 32)];

function folderOf(metadata: Record<string, Entry>, tensors: readonly TensorParts[] = EMBEDDING): ModelFolder {
  const dir = tempDir();
  writeFileSync(join(dir, 'x.gguf'), ggufBytes({ metadata: Object.entries(metadata), tensors }));
  return new ModelFolder(dir, undefined, { single: 'x.gguf' });
}

const configOf = (metadata: Record<string, Entry>, tensors?: readonly TensorParts[]) =>
  readConfig(folderOf(metadata, tensors));

describe('the config', () => {
  it('of GPT-2', async () => {
    expect(await configOf(GPT2)).toEqual({
      model_type: 'gpt2',
      vocab_size: 32,
      n_positions: 16,
      n_embd: 8,
      n_layer: 1,
      n_head: 2,
      n_inner: 32,
      layer_norm_epsilon: 0.5,
      tie_word_embeddings: true,
    });
  });

  it('of Llama: grouped queries, width of heads, base, biases, a head of its own', async () => {
    const more = {
      'llama.attention.head_count_kv': u32(1),
      'llama.attention.key_length': u32(6),
      'llama.attention.value_length': u32(6),
      'llama.rope.dimension_count': u32(6),
      'llama.rope.freq_base': f32(1e6),
      'llama.rope.scaling.type': text('linear'),
      'llama.rope.scaling.factor': f32(4),
    };
    const tensors = [...EMBEDDING, F32('output.weight', 8, 32), F32('blk.0.attn_q.bias', 12)];
    expect(await configOf({ ...LLAMA, ...more }, tensors)).toEqual({
      model_type: 'llama',
      vocab_size: 32,
      max_position_embeddings: 16,
      hidden_size: 8,
      intermediate_size: 12,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 6,
      hidden_act: 'silu',
      rms_norm_eps: 0.25,
      rope_theta: 1e6,
      rope_scaling: { rope_type: 'linear', factor: 4 },
      attention_bias: true,
      mlp_bias: false,
      tie_word_embeddings: false,
    });
  });

  it('of GPT-NeoX: a part of each head turns', async () => {
    const metadata = Object.fromEntries(
      Object.entries(LLAMA).map(([key, value]) => [key.replace('llama.', 'gptneox.'), value]),
    );
    const more = {
      'general.architecture': text('gptneox'),
      'gptneox.attention.layer_norm_epsilon': f32(0.5),
      'gptneox.rope.dimension_count': u32(1),
      'gptneox.use_parallel_residual': { type: 'BOOL', value: false } as const,
    };
    expect(await configOf({ ...metadata, ...more })).toMatchObject({
      model_type: 'gpt_neox',
      rotary_pct: 0.25,
      use_parallel_residual: false,
    });
  });

  it('factors of frequencies are those of a scaling by frequency', async () => {
    const factors = Buffer.from(Float32Array.of(1, 8).buffer);
    const tensors = [...EMBEDDING, { name: 'rope_freqs.weight', dims: [2], type: 0, bytes: factors }];
    expect(await configOf(LLAMA, tensors)).toMatchObject({
      rope_scaling: { rope_type: 'longrope', short_factor: [1, 8], long_factor: [1, 8], attention_factor: 1 },
    });
  });

  it('ends a text at every id that says so, and at known tokens of control', async () => {
    const tokenizer = {
      'tokenizer.ggml.tokens': texts(['a', '<|endoftext|>', '<|im_end|>', '</s>']),
      'tokenizer.ggml.token_type': { list: 'INT32', value: [1, 3, 3, 1] } as const,
      'tokenizer.ggml.eos_token_id': u32(2),
      'tokenizer.ggml.eot_token_id': u32(0),
      'tokenizer.ggml.bos_token_id': u32(1),
    };
    expect(await configOf({ ...GPT2, ...tokenizer })).toMatchObject({ bos_token_id: 1, eos_token_id: [2, 0, 1] });
  });

  it('one number for each layer must be the same in all', async () => {
    const list = (value: number[]) => ({ 'llama.attention.head_count_kv': { list: 'INT32', value } as const });
    expect(await configOf({ ...LLAMA, ...list([1, 1]) })).toMatchObject({ num_key_value_heads: 1 });
    await expectFailure(
      () => configOf({ ...LLAMA, ...list([1, 2]) }),
      'x.gguf: llama.attention.head_count_kv: ',
      'found ["1","2"]',
    );
  });

  it.each([
    [
      { 'general.architecture': text('mamba') },
      'general.architecture: expected one of "gpt2", "llama"',
      'found "mamba"',
    ],
    [{ 'llama.expert_count': u32(8) }, 'llama.expert_count: expected 0 (it is not computed), found 8'],
    [{ 'llama.attention.sliding_window': u32(8) }, 'llama.attention.sliding_window', 'found 8'],
    [{ 'llama.rope.scaling.type': text('yarn') }, 'llama.rope.scaling.type', 'found "yarn"'],
    [{ 'llama.rope.dimension_count': u32(2) }, 'llama.rope.dimension_count: expected the width of a head, 4, found 2'],
    [{ 'llama.logit_scale': f32(0.5) }, 'llama.logit_scale: expected 1 (it is not computed), found 0.5'],
    [{ 'llama.block_count': text('2') }, 'llama.block_count: expected a whole number', 'found "2"'],
    [{ 'llama.embedding_length': u32(9) }, 'llama.attention.key_length'],
    [{ 'llama.attention.head_count': u32(0) }, 'llama.attention.head_count: expected a whole number from 1, found 0'],
  ] as [Record<string, Entry>, ...string[]][])('%j is refused by name', async (metadata, ...words) => {
    await expectFailure(() => configOf({ ...LLAMA, ...metadata }), 'x.gguf: ', ...words);
  });

  it('an embedding that is none is refused', async () => {
    await expectFailure(() => configOf(GPT2, []), 'x.gguf: token_embd.weight: expected a matrix, found nothing');
  });
});

it('a tensor that is missing, and one that nobody knows, are named', async () => {
  const folder = folderOf(GPT2);
  await expectFailure(async () => checkWeights(folder, await loadShape(folder)), 'wpe.weight: not found');
  const other = folderOf(GPT2, [...EMBEDDING, F32('blk.0.ssm_in.weight', 8)]);
  await expectFailure(async () => checkWeights(other, await loadShape(other)), 'not found');
});

describe('a file that was split', () => {
  const count = { 'split.count': u32(2) };

  it('is read from all its parts', async () => {
    const dir = tempDir();
    const [first, second] = [1, 2].map((i) => `m-0000${i}-of-00002.gguf`) as [string, string];
    writeFileSync(join(dir, first), ggufBytes({ metadata: Object.entries({ ...GPT2, ...count }), tensors: EMBEDDING }));
    const folder = new ModelFolder(dir, undefined, { single: first });
    await expectFailure(() => loadShape(folder), `${second}: not found`);
    writeFileSync(join(dir, second), ggufBytes({ tensors: [F32('position_embd.weight', 8, 16)] }));
    const again = new ModelFolder(dir, undefined, { single: first });
    await expectFailure(async () => checkWeights(again, await loadShape(again)), 'h.0.ln_1.weight: not found');
    expect(findModel(dir)).toMatchObject({ single: first });
    expect(weightBytes(findModel(dir))).toBe(
      [first, second].reduce((sum, name) => sum + readFileSync(join(dir, name)).length, 0),
    );
  });

  it('has the tensors of all parts, wherever they are', async () => {
    const dir = tempDir();
    const [first, second] = [1, 2].map((i) => `m-0000${i}-of-00002.gguf`) as [string, string];
    writeFileSync(join(dir, first), ggufBytes({ metadata: Object.entries({ ...LLAMA, ...count }) }));
    const factors = Buffer.from(Float32Array.of(1, 2).buffer);
    const tensors = [
      ...EMBEDDING,
      F32('output.weight', 8, 32),
      { name: 'rope_freqs.weight', dims: [2], type: 0, bytes: factors },
    ];
    writeFileSync(join(dir, second), ggufBytes({ tensors }));
    const config = await readConfig(new ModelFolder(dir, undefined, { single: first }));
    expect(config).toMatchObject({
      vocab_size: 32,
      tie_word_embeddings: false,
      rope_scaling: { short_factor: [1, 2] },
    });
  });

  it('is named by its first part', async () => {
    const bytes = ggufBytes({ metadata: Object.entries({ ...GPT2, ...count }), tensors: EMBEDDING });
    const dir = tempDir();
    for (const [name, words] of [
      ['m-00002-of-00002.gguf', 'part 2 of 2; name the first'],
      ['m.gguf', 'expected a name that ends in -00001-of-00002.gguf'],
    ] as const) {
      writeFileSync(join(dir, name), bytes);
      const folder = new ModelFolder(dir, undefined, { single: name });
      await expectFailure(async () => checkWeights(folder, await loadShape(folder)), `${name}: `, words);
    }
  });
});

describe('which file is the model', () => {
  it('a path to a file, and a folder with one', () => {
    const dir = tempDir();
    const path = join(dir, 'tiny.GGUF');
    copyFileSync(join(FIXTURES, 'gpt2-q8_0.gguf'), path);
    writeFileSync(join(dir, 'mmproj-tiny.gguf'), '');
    expect(findModel(path)).toEqual({ name: 'tiny', dir, source: 'path', single: 'tiny.GGUF' });
    expect(findModel(dir)).toMatchObject({ dir, single: 'tiny.GGUF' });
    writeFileSync(join(dir, 'config.json'), '{}');
    expect(findModel(dir)).toMatchObject({ single: 'tiny.GGUF' });
    writeFileSync(join(dir, 'model.safetensors'), '');
    expect(findModel(dir).single).toBeUndefined();
  });

  it('several are named', async () => {
    const dir = tempDir();
    for (const name of ['b.gguf', 'a.gguf']) {
      symlinkSync(join(FIXTURES, 'gpt2-q8_0.gguf'), join(dir, name));
    }
    await expectFailure(
      () => findModel(dir),
      `${dir}: several GGUF files: "a.gguf", "b.gguf"`,
      `-m ${join(dir, 'a.gguf')}`,
    );
    expect(findModel(join(dir, 'b.gguf'))).toMatchObject({ single: 'b.gguf' });
  });

  it('a name: a snapshot of the Hugging Face cache with one, as `kvgen pull --file` leaves it', () => {
    const hub = tempDir();
    const snapshot = join(hub, 'models--me--tiny', 'snapshots', 'abc');
    mkdirSync(snapshot, { recursive: true });
    copyFileSync(join(FIXTURES, 'gpt2-q8_0.gguf'), join(snapshot, 'tiny-q8_0.gguf'));
    vi.stubEnv('HF_HUB_CACHE', hub);
    for (const name of ['me/tiny', 'tiny']) {
      expect(findModel(name)).toEqual({ name, dir: snapshot, source: 'hugging face cache', single: 'tiny-q8_0.gguf' });
    }
    expect(listModels().models).toContainEqual(expect.objectContaining({ name: 'me/tiny', single: 'tiny-q8_0.gguf' }));
    vi.unstubAllEnvs();
  });

  it("a file among the user's models, with its ending or without", async () => {
    const data = tempDir();
    const dir = join(data, 'kvgen', 'models');
    mkdirSync(join(dir, 'two'), { recursive: true });
    for (const name of ['tiny.gguf', 'rest-00002-of-00002.gguf', join('two', 'a.gguf'), join('two', 'b.gguf')]) {
      symlinkSync(join(FIXTURES, 'gpt2-q8_0.gguf'), join(dir, name));
    }
    vi.stubEnv('XDG_DATA_HOME', data);
    const found = { name: 'tiny', dir, source: 'user', single: 'tiny.gguf' };
    expect(findModel('tiny')).toEqual(found);
    expect(findModel('tiny.gguf')).toEqual(found);
    const mine = listModels().models.filter(({ source }) => source === 'user');
    expect(mine).toEqual([found, { name: 'two', dir: join(dir, 'two'), source: 'user' }]);
    await expectFailure(() => folderSource(mine[1] as FoundModel), 'several GGUF files: "a.gguf", "b.gguf"');
    vi.unstubAllEnvs();
  });

  it('a folder above one says so', async () => {
    const dir = tempDir();
    mkdirSync(join(dir, 'Q8_0'));
    symlinkSync(join(FIXTURES, 'gpt2-q8_0.gguf'), join(dir, 'Q8_0', 'tiny.gguf'));
    const help = `found only the model "Q8_0" in it; name it: -m ${join(dir, 'Q8_0')}`;
    await expectFailure(() => folderSource(findModel(dir)), help);
    expect(findModel(join(dir, 'Q8_0'))).toMatchObject({ single: 'tiny.gguf' });
  });

  it('one that is not there is said not to be', async () => {
    await expectFailure(
      () => findModel('none.gguf'),
      join(process.cwd(), 'none.gguf: there is no such file; `kvgen models`'),
    );
    await expectFailure(() => findModel('./some/none.gguf'), 'some/none.gguf: there is no such file');
    await expectFailure(() => findModel('some/none.gguf'), 'some/none.gguf: there is no such file');
  });

  it('what is no GGUF file is said to be none', async () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'x.gguf'), 'version https://example.org');
    await expectFailure(() => folderSource(findModel(dir)), 'x.gguf: expected a GGUF file', 'found "vers"');
  });
});
