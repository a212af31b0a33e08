// Files of torch.save: the same weights in every form give the logits of Hugging Face; what is broken ends in one line; what
// asks for more than tensors is refused by name, and runs nothing.

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { WEIGHTS } from '../../src/files/file-kinds.js';
import { ModelFolder } from '../../src/files/model-folder.js';
import { openFile } from '../../src/files/open-file.js';
import { loadShape, readTensors } from '../../src/weights/folder.js';
import { readCompanions } from '../../src/weights/int8-folder.js';
import { nanoGptTensors } from '../../src/weights/nano-gpt.js';
import { stateDict, TorchFile } from '../../src/weights/torch-file.js';
import { TorchTensor } from '../../src/weights/torch-objects.js';
import { expectFailure } from '../support/errors.js';
import { expectParity } from '../support/golden.js';
import { writeModel } from '../support/model-folder.js';
import { open } from '../support/open.js';
import { tempDirs } from '../support/temp-dir.js';
import { int64, op, tensor, torchLegacy, torchZip, zip } from '../support/torch.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/torch', import.meta.url));
const tempDir = tempDirs();
const SIMD = { backend: 'simd', engine: 'auto' } as const;

const FLOATS = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
const SOUND = op.pickle(op.dict({ x: tensor() }));

function openBytes(bytes: Uint8Array): Promise<TorchFile> {
  const path = join(tempDir(), 'pytorch_model.bin');
  writeFileSync(path, bytes);
  return openFile(path, WEIGHTS).then((file) => TorchFile.open(file, stateDict));
}

async function valuesOf(bytes: Uint8Array, name = 'x'): Promise<number[]> {
  const file = await openBytes(bytes);
  try {
    const entry = file.entries.get(name);
    if (entry === undefined) {
      throw new Error(`no ${name}`);
    }
    const values = new Float32Array(entry.shape.reduce((product, n) => product * n, 1));
    await file.read(entry, values, 0);
    return [...values];
  } finally {
    await file.close();
  }
}

describe('the logits are those of Hugging Face', () => {
  const names = readdirSync(FIXTURES).filter((name) => existsSync(join(FIXTURES, name, 'golden.json')));

  it.each(names)('%s', async (name) => {
    const dir = join(FIXTURES, name);
    const { ids, logits } = JSON.parse(readFileSync(join(dir, 'golden.json'), 'utf8'));
    const model = await open(dir, SIMD);
    try {
      expectParity(model.logits(ids, { cache: false }), logits);
    } finally {
      model.dispose();
    }
  });

  it('and a tied head is not read a second time', async () => {
    const folder = new ModelFolder(join(FIXTURES, 'zip'));
    const names: string[] = [];
    for await (const { name } of readTensors(folder, await loadShape(folder))) {
      names.push(name);
    }
    expect([names.length, names.filter((name) => /wte|lm_head/.test(name))]).toEqual([16, ['wte.weight']]);
    const config = { ...JSON.parse(readFileSync(folder.path('config.json'), 'utf8')), tie_word_embeddings: false };
    const dir = tempDir();
    copyFileSync(folder.path('pytorch_model.bin'), join(dir, 'pytorch_model.bin'));
    writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
    const model = await open(dir, SIMD); // which asks for both
    const { ids, logits } = JSON.parse(readFileSync(folder.path('golden.json'), 'utf8'));
    expectParity(model.logits(ids, { cache: false }), logits);
    model.dispose();
  });

  it('but safetensors win where both are there', async () => {
    const dir = writeModel(tempDir());
    writeFileSync(join(dir, 'pytorch_model.bin'), 'nothing that could be read');
    const model = await open(dir, SIMD);
    expect(model.logits([1], { cache: false }).length).toBe(32);
    model.dispose();
  });
});

describe('a sound file', () => {
  it('in each format, whatever its folder is called', async () => {
    expect(await valuesOf(torchZip(SOUND, { 0: FLOATS }))).toEqual([1, 2, 3, 4]);
    expect(await valuesOf(torchZip(SOUND, { 0: FLOATS }, 'a name of its own'))).toEqual([1, 2, 3, 4]);
    expect(await valuesOf(torchLegacy(SOUND, [['0', 4, FLOATS]]))).toEqual([1, 2, 3, 4]);
  });

  it.each([
    ['transposed', tensor({ shape: [2, 2], strides: [1, 2] }), [1, 3, 2, 4]],
    ['stepped', tensor({ shape: [2], strides: [2], offset: 1 }), [2, 4]],
    ['one value many times', tensor({ shape: [3], strides: [0], offset: 3 }), [4, 4, 4]],
    ['of no values', tensor({ shape: [0, 5], strides: [5, 1] }), []],
    ['a scalar', tensor({ shape: [], strides: [], offset: 2 }), [3]],
  ])('with a tensor %s', async (_, x, expected) => {
    const pickle = op.pickle(op.dict({ x }));
    expect(await valuesOf(torchZip(pickle, { 0: FLOATS }))).toEqual(expected);
    expect(await valuesOf(torchLegacy(pickle, [['0', 4, FLOATS]]))).toEqual(expected);
  });

  it('with two tensors of one storage, and what is no tensor beside them', async () => {
    const dict = {
      x: tensor({ shape: [3] }),
      y: tensor({ shape: [2], offset: 2 }),
      epoch: op.integer(7),
      name: op.text('n'),
    };
    const bytes = torchZip(op.pickle(op.dict(dict)), { 0: FLOATS });
    expect([await valuesOf(bytes), await valuesOf(bytes, 'y')]).toEqual([
      [1, 2, 3],
      [3, 4],
    ]);
    const file = await openBytes(bytes);
    expect([...file.entries.keys()]).toEqual(['x', 'y']);
    await file.close();
  });

  it('with a tensor behind more pickle than is read at once', async () => {
    const long = op.pickle(op.dict({ note: op.text('n'.repeat(600_000)), x: tensor() }));
    expect(await valuesOf(torchLegacy(long, [['0', 4, FLOATS]]))).toEqual([1, 2, 3, 4]);
  });

  it('with parameters, and tensors that have attributes', async () => {
    const parameter = op.call(op.global('torch._utils', '_rebuild_parameter'), tensor(), op.raw('\x88'), op.raw('N'));
    const args = op.tuple(tensor(), op.raw('\x88'), op.raw('N'));
    const typed = op.call(
      op.global('torch._tensor', '_rebuild_from_type_v2'),
      op.global('torch._utils', '_rebuild_parameter'),
      op.global('torch.nn.parameter', 'Parameter'),
      args,
      op.dict({ note: op.text('hello') }),
    );
    for (const x of [parameter, typed]) {
      expect(await valuesOf(torchZip(op.pickle(op.dict({ x })), { 0: FLOATS }))).toEqual([1, 2, 3, 4]);
    }
  });

  it('with a storage of bytes, and the dtype in the tensor', async () => {
    const id = op.tuple(
      op.text('storage'),
      op.global('torch.storage', 'UntypedStorage'),
      op.text('0'),
      op.text('cpu'),
      op.integer(16),
    );
    const sizes = [op.tuple(op.integer(3)), op.tuple(op.integer(1))];
    const rest = [op.raw('\x89'), op.call(op.global('collections', 'OrderedDict')), op.global('torch', 'float32')];
    const storage = Buffer.concat([id, op.raw('Q')]);
    const x = op.call(op.global('torch._utils', '_rebuild_tensor_v3'), storage, op.integer(1), ...sizes, ...rest);
    expect(await valuesOf(torchZip(op.pickle(op.dict({ x })), { 0: FLOATS }))).toEqual([2, 3, 4]);
  });
});

describe('a file that is not what it says is refused in one line', () => {
  const pickleOf = (x: Buffer) => op.pickle(op.dict({ x }));
  const zipOf = (x: Buffer) => torchZip(pickleOf(x), { 0: FLOATS });

  it.each<[string, Buffer, string[]]>([
    ['empty', Buffer.alloc(0), ['truncated']],
    ['a text', Buffer.from('version https://example'), ['no opcode has the number 118']],
    [
      'an old archive',
      Buffer.concat([Buffer.alloc(257), Buffer.from('ustar')]),
      ['before 0.1.10', 'torch.save it again'],
    ],
    ['safetensors', Buffer.from('\x40\0\0\0\0\0\0\0{"a":1}'), ['rename it to model.safetensors']],
    ['GGUF', Buffer.from('GGUF\x03\0\0\0'), ['GGUF under another name', '.gguf']],
    ['a page of the web', Buffer.from('\n<!DOCTYPE html>'), ['a page of the web', 'download']],
    ['compressed as a whole', Buffer.from([0x1f, 0x8b, 8, 0]), ['gzip', 'gunzip']],
    ['only a pickle', op.pickle(op.dict({})), ['none of torch.save']],
    ['another version', torchLegacy(SOUND, [], { version: 1002 }), ['expected version 1001', 'found 1002']],
    ['of a big-endian machine', torchLegacy(SOUND, [], { littleEndian: false }), ['big-endian', 'save it again']],
    ['no storage', torchLegacy(SOUND), ['storage "0": not found']],
    ['another number of values', torchLegacy(SOUND, [['0', 5, FLOATS]]), ['storage "0"', 'expected 4 values, found 5']],
    ['a storage of no tensor', torchLegacy(SOUND, [['1', 4, FLOATS]]), ['storage "1": of no tensor']],
    ['cut', torchLegacy(SOUND, [['0', 4, FLOATS.subarray(1)]]), ['truncated: expected']],
    ['a zip archive of something else', zip([['a/b.txt', FLOATS]]), ['"data.pkl": not found']],
    [
      'TorchScript',
      zip([
        ['a/data.pkl', SOUND],
        ['a/constants.pkl', SOUND],
      ]),
      ['TorchScript', 'state_dict()'],
    ],
    [
      'two of a name',
      zip([
        ['a/data.pkl', SOUND],
        ['a/data.pkl', SOUND],
      ]),
      ['"data.pkl": stored twice'],
    ],
    ['a storage that is not there', torchZip(SOUND), ['"data/0": not found']],
    ['a storage too short', torchZip(SOUND, { 0: FLOATS.subarray(4) }), ['"data/0": expected 16 bytes, found 12']],
    ['a storage too long', torchZip(SOUND, { 0: Buffer.concat([FLOATS, FLOATS]) }), ['expected 16 bytes, found 32']],
    [
      'compressed',
      zip([
        ['a/data.pkl', SOUND],
        ['a/data/0', { bytes: FLOATS, method: 8 }],
      ]),
      ['"data/0": compressed'],
    ],
    ['encrypted', zip([['a/data.pkl', { bytes: SOUND, flags: 1 }]]), ['zip archive']],
    [
      'big-endian',
      zip([
        ['a/data.pkl', SOUND],
        ['a/byteorder', Buffer.from('big')],
      ]),
      ['byteorder "little", found "big"'],
    ],
    ['a range past the end', zipOf(tensor({ offset: 1 })), ['storage "0" of 4 values', '[4] from 1 on']],
    ['strides past the end', zipOf(tensor({ shape: [2, 2], strides: [3, 1] })), ['storage "0" of 4 values', '[2, 2]']],
    ['one value too many times', zipOf(tensor({ shape: [1e9, 1e9], strides: [0, 0] })), ['[1000000000, 1000000000]']],
    ['strides that are not numbers of axes', zipOf(tensor({ strides: [1, 1] })), ['offset, shape and strides']],
    ['a negative stride', zipOf(tensor({ strides: [-1] })), ['offset, shape and strides']],
    [
      'a view outside',
      torchLegacy(pickleOf(tensor({ view: op.tuple(op.text('v'), op.integer(2), op.integer(3)) }))),
      ['a view'],
    ],
    ['one storage of two sizes', torchZip(op.pickle(op.dict({ x: tensor(), y: tensor({ count: 5 }) }))), ['two sizes']],
    ['a storage that is none', torchZip(op.pickle(op.text('x'), op.raw('Q'))), ['no storage']],
    ['a list', torchZip(op.pickle(op.list(tensor())), { 0: FLOATS }), ['expected a dict of tensors, found none']],
    ['a tensor', torchZip(op.pickle(tensor()), { 0: FLOATS }), ['found a tensor']],
    [
      'a dict of dicts',
      torchZip(op.pickle(op.dict({ state_dict: op.dict({ x: tensor() }), epoch: op.integer(1) })), { 0: FLOATS }),
      ['a checkpoint with ["state_dict","epoch"]', 'torch.save(torch.load(FILE)["state_dict"], FILE)'],
    ],
    [
      'a checkpoint of nanoGPT under another name',
      torchZip(op.pickle(op.dict({ model: op.dict({ x: tensor() }), model_args: op.dict({}) })), { 0: FLOATS }),
      ['as nanoGPT saves it; rename it to ckpt.pt'],
    ],
    [
      'a dict of dicts beside a tensor',
      torchZip(op.pickle(op.dict({ model: op.dict({ x: tensor() }), loss: tensor() })), { 0: FLOATS }),
      ['a checkpoint with ["model","loss"]', 'torch.save(torch.load(FILE)["model"], FILE)'],
    ],
    [
      'a checkpoint without weights',
      torchZip(op.pickle(op.dict({ epoch: op.integer(1) }))),
      ['a checkpoint with ["epoch"], not a dict of tensors'],
    ],
    ['a pickle that is cut', torchZip(SOUND.subarray(0, -1), { 0: FLOATS }), ['data.pkl: truncated']],
  ])('%s', async (_, bytes, words) => {
    await expectFailure(() => openBytes(bytes), 'pytorch_model.bin: ', ...words);
  });

  it('a pickle whose checksum is another, unless there is none', async () => {
    const withSum = (crc: number) =>
      zip([
        ['a/data.pkl', { bytes: SOUND, crc }],
        ['a/data/0', FLOATS],
      ]);
    await expectFailure(() => openBytes(withSum(7)), '"data.pkl": its CRC-32 should be 7, found ', 'download it again');
    expect(await valuesOf(withSum(0))).toEqual([1, 2, 3, 4]);
  });

  it('a zip archive that is cut anywhere', async () => {
    const sound = torchZip(SOUND, { 0: FLOATS });
    for (let length = 4; length < sound.length; length += 7) {
      await expectFailure(() => openBytes(sound.subarray(0, length)), 'download it again');
    }
  });

  it('a tensor of whole numbers, only where it is read', async () => {
    const bytes = torchZip(pickleOf(tensor({ storage: 'IntStorage' })), { 0: FLOATS });
    await expectFailure(() => valuesOf(bytes), 'x: expected dtype F32, F16, BF16, F64, found I32');
  });

  it('what would grow without end', async () => {
    const many = (part: string, times: number) => torchZip(op.pickle(op.raw(part.repeat(times))));
    await expectFailure(() => openBytes(many('(', 2000)), 'nested more than 1000 deep');
    await expectFailure(() => openBytes(many('N', 1_100_000)), 'more than 1000000 objects on the stack');
    await expectFailure(() => openBytes(many('}0', 1_600_000)), 'more than 1500000 objects');
    await expectFailure(() => openBytes(many('N0', 5_100_000)), 'more than 10000000 opcodes');
    await expectFailure(
      () => openBytes(torchZip(op.pickle(op.raw('N'), op.raw('\x94'.repeat(3_100_000))))),
      'the memo',
    );
    const integer = op.pickle(op.raw('\x8b'), Buffer.from([0, 0, 0, 127]));
    await expectFailure(() => openBytes(torchZip(integer)), 'an integer of 2130706432 bytes');
    await expectFailure(() => openBytes(torchZip(op.pickle(int64(0)))), 'no opcode has the number 0');
  });

  it('what would fill a message', async () => {
    const deep = op.raw(`${']'.repeat(100_000)}${'a'.repeat(99_999)}`);
    await expectFailure(() => openBytes(torchZip(op.pickle(op.raw('}'), deep, op.raw('Ns')))), '["a list"]');
    const bytes = Buffer.concat([op.raw('B\x80\x84\x1e\0'), Buffer.alloc(2_000_000)]);
    const keys = torchLegacy(SOUND).subarray(0, -op.pickle(op.list()).length);
    await expectFailure(
      () => openBytes(Buffer.concat([keys, op.pickle(op.list(bytes))])),
      'storage an object: of no tensor',
    );
  });

  it('but a list in itself does no harm', async () => {
    const cycle = op.pickle(op.dict({ x: tensor(), y: op.raw(']q\x05h\x05a') }));
    expect(await valuesOf(torchZip(cycle, { 0: FLOATS }))).toEqual([1, 2, 3, 4]);
  });
});

describe('a pickle that asks for more than tensors is refused by name and runs nothing', () => {
  const all: Record<string, { asks: string; pickle: string }> = JSON.parse(
    readFileSync(join(FIXTURES, 'malicious.json'), 'utf8'),
  );

  it.each(Object.entries(all))('%s', async (name, { asks, pickle }) => {
    const bytes = Buffer.from(pickle, 'hex');
    await expectFailure(() => openBytes(torchZip(bytes)), 'pytorch_model.bin: ', asks);
    if (name !== 'behind-the-end') {
      await expectFailure(() => openBytes(torchLegacy(bytes)), 'pytorch_model.bin: ', asks);
      await expectFailure(() => openBytes(bytes), 'pytorch_model.bin: ', asks);
    }
    expect(existsSync('kvgen-was-here')).toBe(false);
  });

  it('in each of the pickles of the old format', async () => {
    const evil = Buffer.from(all.reduce?.pickle ?? '', 'hex');
    const sound = torchLegacy(SOUND, [['0', 4, FLOATS]]);
    const parts = [evil, Buffer.concat([torchLegacy(SOUND).subarray(0, 15), evil])];
    parts.push(Buffer.concat([sound.subarray(0, sound.indexOf(SOUND) + SOUND.length), evil]));
    for (const bytes of parts) {
      await expectFailure(() => openBytes(bytes), 'posix.system');
    }
  });
});

it('an int8 folder of a checkpoint of nanoGPT has the config that the checkpoint says', async () => {
  const companions = await readCompanions(new ModelFolder(join(FIXTURES, 'nanogpt-no-biases')));
  expect(JSON.parse(Buffer.from(companions.get('config.json') ?? []).toString())).toEqual({
    model_type: 'gpt2',
    n_layer: 1,
    n_head: 2,
    n_embd: 8,
    n_positions: 16,
    vocab_size: 32,
    activation_function: 'gelu',
    layer_norm_epsilon: 1e-5,
    tie_word_embeddings: true,
    quantization_config: { quant_method: 'kvgen-int8' },
  });
});

it('a checkpoint of nanoGPT without a bias that it was trained with is refused, and one without any is not', () => {
  const plain = new TorchTensor({
    storage: {} as TorchTensor['storage'],
    dtype: 'F32',
    offset: 0,
    shape: [1],
    strides: [1],
  });
  const checkpoint = (bias: boolean, ...names: string[]) =>
    new Map<string, unknown>([
      ['model', new Map(names.map((name) => [name, plain]))],
      ['model_args', new Map([['bias', bias]])],
    ]);
  const some = ['_orig_mod.transformer.wte.weight', '_orig_mod.transformer.h.0.attn.c_attn.weight'];
  const bias = '_orig_mod.transformer.h.0.attn.c_attn.bias';
  expect(() => nanoGptTensors(checkpoint(true, ...some), 'ckpt.pt')).toThrow(
    `ckpt.pt: ${bias}: not found, while model_args says bias: True; save all of model.state_dict() again`,
  );
  expect([...nanoGptTensors(checkpoint(true, ...some, bias), 'ckpt.pt').keys()]).toEqual([...some, bias]);
  expect([...nanoGptTensors(checkpoint(false, ...some), 'ckpt.pt').keys()]).toEqual(some);
});

it('a checkpoint of nanoGPT that says too little is refused', async () => {
  const dir = join(tempDir(), 'nano');
  mkdirSync(dir);
  const write = (pickle: Buffer) => writeFileSync(join(dir, 'ckpt.pt'), torchZip(pickle, { 0: FLOATS }));
  write(op.pickle(op.dict({ model: op.dict({ x: tensor() }), iter_num: op.integer(3) })));
  await expectFailure(() => open(dir, SIMD), 'ckpt.pt: expected a checkpoint of nanoGPT', '"iter_num"');
  write(SOUND);
  await expectFailure(
    () => open(dir, SIMD),
    'found a dict of tensors; rename it to pytorch_model.bin, beside a config.json',
  );
  write(op.pickle(op.dict({ model: op.dict({ x: tensor() }), model_args: op.dict({ n_layer: op.text('2') }) })));
  await expectFailure(() => open(dir, SIMD), 'model_args: n_layer: expected a number, found "2"');
});
