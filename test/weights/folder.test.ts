// Model folders, sound in all their variety and broken in every way that we know. A broken one ends in one line.

import { copyFileSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ModelFolder } from '../../src/files/model-folder.js';
import { windowLoss } from '../../src/generation/score.js';
import { loadShape } from '../../src/weights/folder.js';
import { expectFailure } from '../support/errors.js';
import { expectParity } from '../support/golden.js';
import { randomTensors, TINY, writeModel } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
import { run } from '../support/run.js';
import { float32, type StoredTensor, writeRaw, writeSafetensors } from '../support/safetensors.js';
import { tempDirs } from '../support/temp-dir.js';

const IDS = [3, 14, 1, 5];
const tempDir = tempDirs();
let start: number;

beforeAll(async () => {
  await useBackend('node');
});
beforeEach(() => {
  start = tf.memory().numTensors;
});
afterEach(() => {
  expect(tf.memory().numTensors).toBe(start);
});

async function logitsOf(dir: string): Promise<Float32Array> {
  const model = await open(dir);
  try {
    return model.logits(IDS, { cache: false });
  } finally {
    model.dispose();
  }
}

type Tensors = Map<string, StoredTensor>;
const get = (tensors: Tensors, name: string) => tensors.get(name) as StoredTensor;
const weights = (dir: string) => join(dir, 'model.safetensors');

function writeShards(dir: string, map: Record<string, string>, shards: Record<string, Tensors>): string {
  writeFileSync(join(dir, 'config.json'), JSON.stringify(TINY));
  writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map }));
  for (const [name, tensors] of Object.entries(shards)) {
    writeSafetensors(join(dir, name), tensors);
  }
  return dir;
}

function halvesOf(tensors: Tensors): [Tensors, Tensors] {
  const all = [...tensors];
  return [new Map(all.slice(0, 9)), new Map(all.slice(9))];
}

describe('equal weights give equal logits', () => {
  let plain: Float32Array;
  beforeAll(async () => {
    plain = await logitsOf(writeModel(tempDir()));
  });

  it.each<[string, (tensors: Tensors) => void]>([
    [
      'named with transformer.',
      (tensors) => {
        for (const [name, tensor] of [...tensors]) {
          tensors.delete(name);
          tensors.set(`transformer.${name}`, tensor);
        }
      },
    ],
    [
      'with stored masks of any dtype',
      (tensors) => {
        tensors.set('h.0.attn.bias', { dtype: 'BOOL', shape: [1, 1, 4, 4], bytes: new Uint8Array(16) });
        tensors.set('h.1.attn.masked_bias', float32([], [-1e4]));
      },
    ],
    ['in another order', (tensors) => reverse(tensors)],
    [
      'with the embedding once more as the head',
      (tensors) => tensors.set('lm_head.weight', get(tensors, 'wte.weight')),
    ],
    [
      'with the head alone',
      (tensors) => {
        tensors.set('lm_head.weight', get(tensors, 'wte.weight'));
        tensors.delete('wte.weight');
      },
    ],
    ...['score.weight', 'v_head.summary.weight', 'classifier.bias', 'qa_outputs.weight', 'v_head.0.weight'].map(
      (name): [string, (tensors: Tensors) => void] => [
        `with ${name} of another use`,
        (tensors) => tensors.set(name, float32([2, 8], new Float32Array(16))),
      ],
    ),
    ...[
      ['_orig_mod.', ''],
      ['module.', ''],
      ['_module.', ''],
      ['model.', 'model.'],
      ['_orig_mod.transformer.', '_orig_mod.'],
      ['module._orig_mod.transformer.', 'module._orig_mod.'],
      ['model.transformer.', 'model.'],
      ['model.transformer.', ''],
      ['pretrained_model.transformer.', 'pretrained_model.'],
      ['_fsdp_wrapped_module.transformer._orig_mod.', ''],
    ].map(([body = '', head = '']): [string, (tensors: Tensors) => void] => [
      `with ${body} before the body and ${head || 'nothing'} before the head`,
      (tensors) => {
        for (const [name, tensor] of [...tensors]) {
          tensors.delete(name);
          tensors.set(body + name, tensor);
        }
        tensors.set(`${head}lm_head.weight`, get(tensors, `${body}wte.weight`));
        tensors.set(`${head}v_head.summary.weight`, float32([1, 8], new Float32Array(8)));
      },
    ]),
    [
      'with a wrapper around each block',
      (tensors) => {
        for (const [name, tensor] of [...tensors]) {
          tensors.delete(name);
          tensors.set(name.replace(/^h\.\d+\./, '$&_orig_mod.'), tensor);
        }
      },
    ],
  ])('%s', async (_, tensors) => {
    expect(await logitsOf(writeModel(tempDir(), { tensors }))).toEqual(plain);
  });

  it('in shards', async () => {
    const [a, b] = halvesOf(randomTensors(TINY));
    const dir = writeShards(
      tempDir(),
      { 'wte.weight': 'a.safetensors', 'ln_f.bias': 'b.safetensors' },
      {
        'a.safetensors': a,
        'b.safetensors': b,
      },
    );
    expect(await logitsOf(dir)).toEqual(plain);
  });

  it('but a stored head that is another decides, tied or not', async () => {
    const tensors = (stored: Tensors) => {
      const doubled = new Float32Array(get(stored, 'wte.weight').bytes.slice().buffer).map((x) => 2 * x);
      stored.set('lm_head.weight', float32([32, 8], doubled));
    };
    for (const tied of [true, false]) {
      const dir = writeModel(tempDir(), { config: { tie_word_embeddings: tied }, tensors });
      expectParity(
        await logitsOf(dir),
        plain.map((x) => 2 * x),
      );
    }
  });
});

function reverse(tensors: Tensors): void {
  const all = [...tensors].reverse();
  tensors.clear();
  for (const [name, tensor] of all) {
    tensors.set(name, tensor);
  }
}

describe('files that are missing or cut', () => {
  it('no folder', async () => {
    await expectFailure(() => open(join(tempDir(), 'nowhere')), 'nowhere: no config.json: found nothing');
  });

  it('no config.json', async () => {
    const dir = writeModel(tempDir());
    rmSync(join(dir, 'config.json'));
    await expectFailure(() => open(dir), 'no config.json: found "model.safetensors": weights without');
  });

  it('no weights', async () => {
    const dir = writeModel(tempDir());
    rmSync(weights(dir));
    await expectFailure(
      () => open(dir),
      dir,
      'neither model.safetensors nor pytorch_model.bin: found "config.json"; a model folder',
    );
  });

  it('truncated weights', async () => {
    const dir = writeModel(tempDir());
    truncateSync(weights(dir), 5000);
    await expectFailure(() => open(dir), 'model.safetensors: truncated', 'found 5000', 'download the file again');
  });

  it('a folder where the weights should be', async () => {
    const dir = writeModel(tempDir());
    rmSync(weights(dir));
    mkdirSync(weights(dir));
    await expectFailure(() => open(dir), 'model.safetensors');
  });

  it('an index whose shard is not there, and none of the others stays open', async () => {
    const [a] = halvesOf(randomTensors(TINY));
    const map = { 'wte.weight': 'a.safetensors', 'ln_f.bias': 'b.safetensors' };
    const dir = writeShards(tempDir(), map, { 'a.safetensors': a });
    await expectFailure(() => open(dir), 'b.safetensors: not found');
  });

  it.each([
    ['a path that leaves the folder', { weight_map: { x: '../model.safetensors' } }],
    ['an absolute path', { weight_map: { x: '/etc/passwd' } }],
    ['a path of Windows', { weight_map: { x: '..\\model.safetensors' } }],
    ['a folder below', { weight_map: { x: 'sub/model.safetensors' } }],
    ['a name that is no text', { weight_map: { x: 5 } }],
    ['no files', { weight_map: {} }],
    ['no map', {}],
    ['a list', []],
    ['null', null],
  ])('an index with %s', async (_, index) => {
    const outer = writeModel(tempDir());
    const dir = join(outer, 'inner');
    mkdirSync(dir);
    copyFileSync(join(outer, 'config.json'), join(dir, 'config.json'));
    writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify(index));
    await expectFailure(() => open(dir), 'inner/model.safetensors.index.json: weight_map', 'the same folder');
  });

  it('a tensor in two shards', async () => {
    const [a, b] = halvesOf(randomTensors(TINY));
    b.set('wte.weight', get(a, 'wte.weight'));
    const map = { x: 'a.safetensors', y: 'b.safetensors' };
    const dir = writeShards(tempDir(), map, { 'a.safetensors': a, 'b.safetensors': b });
    await expectFailure(() => open(dir), 'b.safetensors: wte.weight: stored twice: in', 'a.safetensors too');
  });
});

describe('config.json', () => {
  const withText = (text: string, file = 'config.json') => {
    const dir = writeModel(tempDir());
    writeFileSync(join(dir, file), text);
    return dir;
  };

  it.each(['', '{', '{\n  "model_type": "gpt2",\n  oops\n}', 'nonsense'])('that is not JSON: %j', async (text) => {
    await expectFailure(() => open(withText(text)), 'config.json: not JSON', 'download it again');
  });

  it.each(['[]', '5', 'null', '"gpt2"'])('that is no object: %s', async (text) => {
    await expectFailure(() => open(withText(text)), 'config.json: expected a JSON object');
  });

  it('that cannot be read', async () => {
    const dir = writeModel(tempDir());
    rmSync(join(dir, 'config.json'));
    mkdirSync(join(dir, 'config.json'));
    await expectFailure(() => open(dir), 'config.json: the configuration cannot be read (it is a folder)');
  });

  it('with n_head that does not divide n_embd', async () => {
    const dir = writeModel(tempDir(), { config: { n_head: 3 } });
    await expectFailure(() => open(dir), 'config.json: n_head: expected a divisor of n_embd (8), found 3');
  });

  it('with an activation that is not known', async () => {
    const dir = writeModel(tempDir(), { config: { activation_function: 'laplace' } });
    await expectFailure(() => open(dir), 'activation_function: expected one of gelu_new', 'found "laplace"');
  });

  it('with more layers than the weights, be they ever so many', async () => {
    const three = writeModel(tempDir(), { config: { n_layer: 3 } });
    await expectFailure(() => open(three), three, 'h.2.ln_1.weight: not found', 'expected a tensor of [8]');
    const many = writeModel(tempDir(), { config: { n_layer: Number.MAX_SAFE_INTEGER } });
    await expectFailure(() => open(many), 'h.2.ln_1.weight: not found');
  });

  it('with fewer layers than the weights', async () => {
    const dir = writeModel(tempDir(), { config: { n_layer: 1 } });
    await expectFailure(() => open(dir), 'h.1.ln_1.weight: a GPT-2 of 1 layers has no such tensor');
  });

  it('with sizes that are huge', async () => {
    const dir = writeModel(tempDir(), { config: { vocab_size: 2 ** 40, n_positions: 2 ** 40 } });
    await expectFailure(() => open(dir), 'wte.weight: expected [1099511627776, 8], found [32, 8]');
  });

  it('has end-of-text ids, which generation_config.json replaces', async () => {
    const dir = writeModel(tempDir());
    expect((await loadShape(new ModelFolder(dir))).config.eosTokenIds).toEqual([31]);
    writeFileSync(join(dir, 'generation_config.json'), '{"eos_token_id": [5, 6]}');
    expect((await loadShape(new ModelFolder(dir))).config.eosTokenIds).toEqual([5, 6]);
    writeFileSync(join(dir, 'generation_config.json'), '{"max_length": 5}');
    expect((await loadShape(new ModelFolder(dir))).config.eosTokenIds).toEqual([31]);
  });

  it('beside a generation_config.json that is broken', async () => {
    const broken = withText('{', 'generation_config.json');
    await expectFailure(() => open(broken), 'generation_config.json: not JSON');
    const wrong = withText('{"eos_token_id": "x"}', 'generation_config.json');
    await expectFailure(() => open(wrong), 'generation_config.json: eos_token_id', 'found "x"');
  });
});

describe('tensors', () => {
  const broken: [string, (tensors: Tensors) => void, string[]][] = [
    ['missing', (tensors) => tensors.delete('h.1.mlp.c_fc.bias'), ['h.1.mlp.c_fc.bias: not found', '[32]']],
    [
      'with the shape turned',
      (tensors) => tensors.set('h.0.attn.c_attn.weight', { ...get(tensors, 'h.0.attn.c_attn.weight'), shape: [24, 8] }),
      ['model.safetensors: h.0.attn.c_attn.weight: expected [8, 24], found [24, 8]'],
    ],
    [
      'with another rank',
      (tensors) => tensors.set('ln_f.weight', { ...get(tensors, 'ln_f.weight'), shape: [1, 8] }),
      ['ln_f.weight: expected [8], found [1, 8]'],
    ],
    ['empty', (tensors) => tensors.set('ln_f.weight', float32([0], [])), ['ln_f.weight: expected [8], found [0]']],
    [
      'huge and empty',
      (tensors) => tensors.set('ln_f.weight', float32([2 ** 40, 2 ** 40, 0], [])),
      ['ln_f.weight: expected [8], found [1099511627776, 1099511627776, 0]'],
    ],
    [
      'of whole numbers',
      (tensors) => tensors.set('wpe.weight', { dtype: 'I64', shape: [24, 8], bytes: new Uint8Array(1536) }),
      ['model.safetensors: wpe.weight: expected dtype F32, F16, BF16, F64, found I64; name the model'],
    ],
    [
      'of a layer beyond n_layer',
      (tensors) => tensors.set('h.2.ln_1.weight', float32([8], new Float32Array(8))),
      ['h.2.ln_1.weight: a GPT-2 of 2 layers has no such tensor'],
    ],
    [
      'that the forward pass would ignore',
      (tensors) => tensors.set('h.0.crossattention.c_attn.weight', float32([8], new Float32Array(8))),
      ['h.0.crossattention.c_attn.weight', 'no such tensor'],
    ],
    [
      'stored under both names',
      (tensors) => tensors.set('transformer.ln_f.bias', get(tensors, 'ln_f.bias')),
      ['ln_f.bias: stored twice, as ln_f.bias and as transformer.ln_f.bias'],
    ],
    [
      'stored under a wrapper too',
      (tensors) => tensors.set('_orig_mod.wte.weight', get(tensors, 'wte.weight')),
      ['wte.weight: stored twice, as wte.weight and as _orig_mod.wte.weight'],
    ],
    [
      'with two heads',
      (tensors) => {
        tensors.set('lm_head.weight', get(tensors, 'wte.weight'));
        tensors.set('module.lm_head.weight', get(tensors, 'wte.weight'));
      },
      ['lm_head.weight: stored twice, as lm_head.weight and as module.lm_head.weight'],
    ],
    [
      'under two prefixes',
      (tensors) => {
        tensors.set('model.wpe.weight', get(tensors, 'wpe.weight'));
        tensors.delete('wpe.weight');
      },
      ['two sets of weights: wte.weight and model.wpe.weight'],
    ],
    [
      'with a head elsewhere',
      (tensors) => tensors.set('ema.lm_head.weight', get(tensors, 'wte.weight')),
      ['ema.lm_head.weight: a GPT-2 of 2 layers has no such tensor'],
    ],
    [
      'under a prefix, with a tensor that nobody knows',
      (tensors) => {
        for (const [name, tensor] of [...tensors]) {
          tensors.delete(name);
          tensors.set(`_orig_mod.transformer.${name}`, tensor);
        }
        tensors.set('_orig_mod.transformer.h.0.attn.rotary.inv_freq', float32([4], [1, 2, 3, 4]));
      },
      ['_orig_mod.transformer.h.0.attn.rotary.inv_freq: a GPT-2 of 2 layers has no such tensor'],
    ],
    [
      'of GPT-1',
      (tensors) => {
        const tensor = get(tensors, 'wte.weight');
        tensors.clear();
        tensors.set('tokens_embed.weight', tensor);
      },
      ['wte.weight: not found: these are no weights of a GPT-2: ["tokens_embed.weight"]'],
    ],
    [
      'of GPTQ',
      (tensors) => {
        tensors.delete('h.0.attn.c_attn.weight');
        tensors.set('h.0.attn.c_attn.qweight', { dtype: 'I32', shape: [1, 24], bytes: new Uint8Array(96) });
      },
      ['h.0.attn.c_attn.qweight: the weights are quantized in a way that is not computed; name the model'],
    ],
    [
      'without one of the biases',
      (tensors) => tensors.delete('h.1.attn.c_attn.bias'),
      ['h.1.attn.c_attn.bias: not found, while others like it are there; expected a tensor of [24]'],
    ],
    [
      'without the bias of ln_f alone',
      (tensors) => tensors.delete('ln_f.bias'),
      ['ln_f.bias: not found, while others like it are there'],
    ],
  ];
  it.each(broken)('%s', async (_, tensors, fragments) => {
    const dir = writeModel(tempDir(), { tensors });
    await expectFailure(() => open(dir), dir, ...fragments);
  });

  it('an untied model without its head', async () => {
    const dir = writeModel(tempDir(), { config: { tie_word_embeddings: false } });
    await expectFailure(() => open(dir), 'lm_head.weight: not found; expected a tensor of [32, 8]');
  });

  it('a header that is no header', async () => {
    const dir = writeModel(tempDir());
    writeRaw(weights(dir), 'not json', new Uint8Array(8));
    await expectFailure(() => open(dir), 'model.safetensors: the header is not JSON');
    writeFileSync(weights(dir), 'version 1, and so on');
    await expectFailure(() => open(dir), 'model.safetensors: header of', 'does not fit the file');
  });
});

describe('biases that no block has are 0', () => {
  const BIASES = [...randomTensors(TINY).keys()].filter((name) => name.endsWith('.bias'));
  const WITHOUT: [string, (name: string) => boolean, string][] = [
    [
      'all of them, as nanoGPT trains',
      () => true,
      'h.*.ln_1.bias, h.*.attn.c_attn.bias, h.*.attn.c_proj.bias, h.*.ln_2.bias, h.*.mlp.c_fc.bias, h.*.mlp.c_proj.bias, ln_f.bias',
    ],
    ['those of the products', (name) => name.includes('.c_'), ''],
    ['those of the norms', (name) => name.includes('ln_'), 'h.*.ln_1.bias, h.*.ln_2.bias, ln_f.bias'],
    ['those of c_attn', (name) => name.includes('c_attn'), 'h.*.attn.c_attn.bias'],
    ['those of ln_2', (name) => name.includes('ln_2'), 'h.*.ln_2.bias'],
  ];

  it.each(WITHOUT)('%s, with a note', async (_, isGone, gone) => {
    const change = (tensors: Tensors, fill: boolean) => {
      for (const name of BIASES.filter(isGone)) {
        const { shape, bytes } = get(tensors, name);
        tensors.delete(name);
        if (fill) {
          tensors.set(name, float32(shape, new Float32Array(bytes.length / 4)));
        }
      }
    };
    const [zeros, missing] = [true, false].map((fill) =>
      writeModel(tempDir(), { tensors: (tensors) => change(tensors, fill) }),
    ) as [string, string];
    for (const backend of ['node', 'simd'] as const) {
      const engine = 'auto';
      const notes: string[] = [];
      const models = [
        await open(zeros, { backend, engine }),
        await open(missing, { backend, engine, onNote: (line) => notes.push(line) }),
      ];
      const [a, b] = models.map((model) => [model.parameters, [...model.logits(IDS, { cache: false })]]);
      expect(b).toEqual(a);
      expect(notes).toEqual([expect.stringContaining(`not stored, so 0: ${gone}`)]);
      for (const model of models) {
        model.dispose();
      }
    }
  });
});

it('what is left out is noted by its stored name', async () => {
  const tensors = (stored: Tensors) => {
    stored.set('v_head.summary.weight', float32([1, 8], new Float32Array(8)));
    stored.set('v_head.summary.bias', float32([1], [5]));
  };
  const notes: string[] = [];
  const model = await open(writeModel(tempDir(), { tensors }), { onNote: (line) => notes.push(line) });
  model.dispose();
  expect(notes).toEqual([
    expect.stringContaining('left out, for other uses than text: v_head.summary.weight, v_head.summary.bias'),
  ]);
});

describe('weights that are not numbers', () => {
  it.each([
    ['wte.weight', Number.NaN],
    ['h.1.mlp.c_proj.bias', Number.NaN],
    ['ln_f.weight', Number.POSITIVE_INFINITY],
  ])('stop the generation with an error that says so: %s %d', async (name, value) => {
    const dir = writeModel(tempDir(), {
      tensors: (tensors) => {
        const { shape, bytes } = get(tensors, name);
        tensors.set(name, float32(shape, new Array(bytes.length / 4).fill(value)));
      },
    });
    const model = await open(dir);
    for (const cache of [true, false]) {
      await expectFailure(
        () => run(model.engine, IDS, { cache }),
        'generation stopped',
        'not numbers',
        'the weights are probably damaged',
      );
      await expectFailure(() => run(model.engine, IDS, { cache, maxTokens: 0 }), "the model's logits are not numbers");
      await expectFailure(() => model.logits(IDS, { cache }), "the model's logits are not numbers");
    }
    await expectFailure(() => windowLoss(model.engine, { ids: IDS, scored: 1 }), "the model's logits are not numbers");
    model.dispose();
  });
});
