// What is found in folders and files that are no models, and what helps.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ModelFolder } from '../../src/files/model-folder.js';
import { findModel } from '../../src/weights/find.js';
import { notAModel } from '../../src/weights/what-is-here.js';
import { expectFailure } from '../support/errors.js';
import { writeModel } from '../support/model-folder.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();

/** A folder with these files, each with these bytes. */
function folderOf(names: readonly string[], bytes: Uint8Array = Buffer.from('bytes')): string {
  const dir = tempDir();
  for (const name of names) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), bytes);
  }
  return dir;
}

async function foundIn(dir: string): Promise<string> {
  const { message } = await notAModel(new ModelFolder(dir), 'no weights');
  expect(message.startsWith(`${dir}: no weights: found `)).toBe(true);
  expect(message.length).toBeLessThan(290); // none loses its middle
  return message.slice(`${dir}: no weights: found `.length);
}

describe('a folder says what it holds', () => {
  it.each<[string[], string, string]>([
    [['README.md', 'model.Q8_0.gguf'], '"model.Q8_0.gguf": a GGUF file', 'name it alone: -m '],
    [['onnx/decoder_model.onnx', 'config.json'], '"onnx": ONNX', 'kvgen pull OWNER/NAME'],
    [['decoder_with_past_model.onnx', 'config.json', 'vocab.json'], 'ONNX', 'kvgen pull'],
    [['tf_model.h5', 'config.json'], '"tf_model.h5": weights of TensorFlow', 'from_tf=True'],
    [['saved_model.pb', 'variables/variables.index'], 'a SavedModel of TensorFlow', 'kvgen pull'],
    [['saved_model/1/saved_model.pb', 'config.json'], 'a SavedModel of TensorFlow', 'kvgen pull'],
    [['checkpoint', 'model.ckpt.index', 'model.ckpt.meta', 'hparams.json'], 'TensorFlow 1', 'kvgen pull'],
    [['model-1.ckpt.data-00000-of-00001'], 'TensorFlow 1', 'kvgen pull'],
    [['flax_model.msgpack', 'config.json'], '"flax_model.msgpack": weights of Flax', 'from_flax=True'],
    [['rust_model.ot', 'config.json'], 'weights of rust-bert', 'kvgen pull'],
    [['zero_to_fp32.py', 'latest', 'global_step500/mp_rank_00_model_states.pt'], 'DeepSpeed', 'zero_to_fp32.py . OUT'],
    [['pytorch_model_fsdp_0/__0_0.distcp', 'optimizer_0/__0_0.distcp'], 'FSDP', 'accelerate merge-weights DIR OUT'],
    [['__0_0.distcp', '.metadata'], '"__0_0.distcp": a distributed checkpoint', 'accelerate merge-weights'],
    [['mp_rank_00/model_optim_rng.pt'], 'Megatron', 'checkpoint_reshaping_and_interoperability'],
    [
      ['optimizer.pt', 'trainer_state.json', 'rng_state.pth', 'config.json'],
      'in the middle of training',
      'save the model',
    ],
    [['epoch=3-step=100.ckpt', 'hparams.yaml'], 'weights of PyTorch under another name', 'pytorch_model.bin'],
    [['gpt2.safetensors', 'config.json'], 'weights under another name', 'rename it to model.safetensors'],
    [['model-00001-of-00002.safetensors', 'config.json'], 'a shard', 'with the index'],
    [['adapter_model.safetensors'], 'without their adapter_config.json', 'fetch the folder again'],
    [['model.safetensors', 'vocab.json'], '"model.safetensors": weights without the config.json', 'copy that'],
    [['pytorch_model.bin'], '"pytorch_model.bin": weights without the config.json', 'copy that'],
    [['vocab.json', 'merges.txt', 'config.json'], 'a tokenizer, and no weights', 'kvgen pull'],
    [['gptq_model-4bit-128g.safetensors', 'quantize_config.json'], 'quantized weights (GPTQ or AWQ)', 'made from'],
    [
      ['config.json', 'README.md', 'a', 'b', 'c'],
      '"README.md", "a", "b", "c", …',
      'config.json, model.safetensors and a',
    ],
    [['\u001b[31m.txt'], '"\\u001b[31m.txt"', 'a model folder holds'],
    [[], 'nothing, the folder is empty', 'kvgen pull OWNER/NAME'],
  ])('%j', async (names, what, help) => {
    const found = await foundIn(folderOf(names));
    expect(found).toContain(what);
    expect(found).toContain(help);
  });

  it('weights of llm.c, by their first bytes', async () => {
    const header = Buffer.alloc(1024);
    header.writeInt32LE(20240326);
    header.writeInt32LE(3, 4);
    expect(await foundIn(folderOf(['gpt2_124M.bin'], header))).toBe(
      '"gpt2_124M.bin": weights of llm.c; llm.c\'s dev/eval/export_hf.py makes a folder of it that is read',
    );
  });

  it('the model in the folder of the Hugging Face cache', async () => {
    const dir = folderOf(['refs/main', 'snapshots/abc/README.md']);
    expect(await foundIn(dir)).toContain('a folder of the Hugging Face cache without a model');
    writeModel(join(dir, 'snapshots', 'abc'));
    expect(await foundIn(dir)).toContain(`name one of its snapshots: -m ${join(dir, 'snapshots', 'abc')}`);
  });

  it('the Hugging Face cache itself', async () => {
    const words = 'the Hugging Face cache; `kvgen models` lists what is in it';
    expect(await foundIn(folderOf(['models--gpt2/refs/main', 'version.txt']))).toBe(words);
  });

  it('the last of the models in it', async () => {
    const dir = tempDir();
    for (const name of ['checkpoint-500', 'checkpoint-1000']) {
      mkdirSync(join(dir, name));
      writeModel(join(dir, name));
    }
    mkdirSync(join(dir, 'runs'));
    writeFileSync(join(dir, 'training_args.bin'), '');
    writeFileSync(join(dir, 'tokenizer.json'), '');
    expect(await foundIn(dir)).toBe(
      `the model "checkpoint-1000" and 1 more in it; name it: -m ${join(dir, 'checkpoint-1000')}`,
    );
  });
});

describe('a file in place of a folder', () => {
  it.each([
    ['model.safetensors', '; name its folder: -m '],
    ['config.json', '; name its folder: -m '],
    ['ckpt.pt', '; name its folder: -m '],
    ['notes.txt', '; name its folder: -m '],
    ['gpt2_124M.bin', '; name its folder: -m '],
    ['model-00001-of-00002.safetensors', '; name its folder: -m '],
    ['tokenizer.json', '; name its folder: -m '],
    ['model.onnx', ': ONNX; '],
  ])('%s', async (name, words) => {
    const dir = folderOf([name]);
    const { message } = await expectFailure(() => findModel(join(dir, name)), `${join(dir, name)}: a file${words}`);
    expect(message).not.toContain('holds config.json');
  });
});
