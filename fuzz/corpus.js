// What the mutations begin with: small sound model folders, made of the files in corpus/ and of weights that a formula gives. Knows
// nothing of mutations.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nanoGpt, torchLegacy, torchZip } from './torch.js';

const CORPUS = fileURLToPath(new URL('corpus/', import.meta.url));
const CONFIG = JSON.parse(read('config.json'));
const EOS = '<|endoftext|>';
const MERGES = [
  'o n',
  't h',
  'th e',
  'Ġ t',
  'Ġt h',
  'Ġth e',
  'Ġ f',
  'Ġf o',
  'o x',
  'Ġ a',
  'i n',
  'e r',
  'Ġf ox',
  '! Ċ',
  'm e',
  'i me',
  'a a',
];

export const TEXTS = JSON.parse(read('texts.json'));
export const LINES = read('lines.jsonl').trim().split('\n');

function read(name) {
  return readFileSync(join(CORPUS, name), 'utf8');
}

/** Which folders there are, and what each stands for. */
export const FOLDERS = ['float32', 'half', 'shards', 'files', 'int8', 'torch', 'legacy', 'nanogpt', 'adapter'];

/**
 * Writes all folders but `int8`, which `kvgen quantize` makes of the first.
 * @param {string} parent
 */
export function writeFolders(parent) {
  for (const [name, write] of [
    ['float32', writeOne],
    ['half', writeHalf],
    ['shards', writeShards],
    ['files', writeOne],
    ['torch', (dir, tensors) => writeFileSync(join(dir, 'pytorch_model.bin'), torchZip(tensors))],
    ['legacy', (dir, tensors) => writeFileSync(join(dir, 'pytorch_model.bin'), torchLegacy(tensors))],
    ['nanogpt', (dir, tensors) => writeFileSync(join(dir, 'ckpt.pt'), nanoGpt(tensors, CONFIG))],
  ]) {
    const dir = join(parent, name);
    mkdirSync(dir, { recursive: true });
    for (const file of ['config.json', 'generation_config.json', 'tokenizer_config.json']) {
      cpSync(join(CORPUS, file), join(dir, file));
    }
    write(dir, weights());
    (name === 'files' ? writeVocab : writeTokenizer)(dir);
  }
  writeAdapter(join(parent, 'adapter'), join(parent, 'float32'));
}

/** A LoRA adapter of PEFT. @param {string} dir @param {string} base the folder of its model */
function writeAdapter(dir, base) {
  const { n_embd: C, vocab_size: V } = CONFIG;
  const sizes = { 'h.0.attn.c_attn.lora_A.weight': [2, C], 'h.0.attn.c_attn.lora_B.weight': [3 * C, 2] };
  const others = {
    'wte.lora_embedding_A': [2, V],
    'wte.lora_embedding_B': [C, 2],
    'ln_f.weight': [C],
    'ln_f.bias': [C],
  };
  let n = 0;
  const tensors = Object.entries({ ...sizes, ...others }).map(([name, shape]) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => formula(n++));
    return [`base_model.model.transformer.${name}`, { dtype: 'F32', shape, bytes: Buffer.from(values.buffer) }];
  });
  const config = {
    peft_type: 'LORA',
    base_model_name_or_path: base,
    r: 2,
    lora_alpha: 4,
    use_rslora: false,
    target_modules: ['c_attn', 'wte'],
    modules_to_save: ['ln_f'],
    alpha_pattern: { c_attn: 3 },
    rank_pattern: {},
    bias: 'none',
    layers_to_transform: null,
    use_dora: false,
  };
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify(config));
  writeFileSync(join(dir, 'adapter_model.safetensors'), safetensors(new Map(tensors)));
}

/** @returns {Map<string, { dtype: string, shape: number[], bytes: Buffer }>} */
function weights() {
  const { vocab_size: V, n_positions: P, n_embd: C, n_layer: layers } = CONFIG;
  const tensors = new Map();
  let n = 0;
  const add = (name, shape, mean = 0) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => mean + formula(n++));
    tensors.set(name, { dtype: 'F32', shape, bytes: Buffer.from(values.buffer) });
  };
  const both = (name, shape, mean) => {
    add(`${name}.weight`, shape, mean);
    add(`${name}.bias`, shape.slice(-1));
  };
  add('wte.weight', [V, C]);
  add('wpe.weight', [P, C]);
  for (let i = 0; i < layers; i++) {
    both(`h.${i}.ln_1`, [C], 1);
    both(`h.${i}.attn.c_attn`, [C, 3 * C]);
    both(`h.${i}.attn.c_proj`, [C, C]);
    both(`h.${i}.ln_2`, [C], 1);
    both(`h.${i}.mlp.c_fc`, [C, 4 * C]);
    both(`h.${i}.mlp.c_proj`, [4 * C, C]);
  }
  both('ln_f', [C], 1);
  return tensors;
}

/** −0.5 … 0.5, without a pattern that a model could lose itself in. */
function formula(n) {
  const x = Math.sin(n * 12.9898) * 43758.5453;
  return x - Math.floor(x) - 0.5;
}

function writeOne(dir, tensors) {
  writeFileSync(join(dir, 'model.safetensors'), safetensors(tensors));
}

/** As bfloat16: the upper half of each number. */
function writeHalf(dir, tensors) {
  for (const tensor of tensors.values()) {
    const numbers = new Uint16Array(tensor.bytes.buffer);
    Object.assign(tensor, { dtype: 'BF16', bytes: Buffer.from(numbers.filter((_, i) => i % 2 === 1).buffer) });
  }
  writeOne(dir, tensors);
}

/** Two files, one of them with a name of its own. */
function writeShards(dir, tensors) {
  const names = ['model-00001-of-00002.safetensors', 'rest.bin'];
  const shardOf = (name) => names[name.startsWith('h.') ? 0 : 1];
  for (const shard of names) {
    writeFileSync(join(dir, shard), safetensors(new Map([...tensors].filter(([name]) => shardOf(name) === shard))));
  }
  const map = Object.fromEntries([...tensors.keys()].map((name) => [name, shardOf(name)]));
  writeFileSync(
    join(dir, 'model.safetensors.index.json'),
    JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }),
  );
}

function safetensors(tensors) {
  let end = 0;
  const entries = [...tensors].map(([name, { dtype, shape, bytes }]) => {
    const begin = end;
    end += bytes.length;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  return joinSafetensors(
    { __metadata__: { format: 'pt' }, ...Object.fromEntries(entries) },
    [...tensors.values()].map(({ bytes }) => bytes),
  );
}

/** @param {unknown} header a JSON value, or its text @param {readonly Uint8Array[]} data */
export function joinSafetensors(header, data) {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...data]);
}

/** The header of a sound file as text, and what follows it. @param {Buffer} bytes */
export function splitSafetensors(bytes) {
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  return { header: bytes.subarray(8, start).toString(), data: bytes.subarray(start) };
}

/** From a token to its id: one of each byte, then the merged ones. */
function vocabulary() {
  const tokens = [...byteCharacters(), ...MERGES.map((merge) => merge.replace(' ', ''))];
  return { ...Object.fromEntries(tokens.map((token, id) => [token, id])), [EOS]: CONFIG.eos_token_id };
}

/** GPT-2 writes each byte as one printable character. Reference: `bytes_to_unicode` of openai/gpt-2 src/encoder.py. */
function byteCharacters() {
  let unprintable = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : 256 + unprintable++);
  });
}

function writeTokenizer(dir) {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [{ id: CONFIG.eos_token_id, content: EOS, ...flags }],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true },
    decoder: byteLevel,
    model: { type: 'BPE', dropout: null, unk_token: null, fuse_unk: false, vocab: vocabulary(), merges: MERGES },
  };
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(json));
}

function writeVocab(dir) {
  writeFileSync(join(dir, 'vocab.json'), JSON.stringify(vocabulary()));
  writeFileSync(join(dir, 'merges.txt'), `#version: 0.2\n${MERGES.join('\n')}\n`);
  writeFileSync(join(dir, 'special_tokens_map.json'), JSON.stringify({ unk_token: EOS, pad_token: '<pad>' }));
  const added = { '<pad>': Object.keys(vocabulary()).length, 'of ': Object.keys(vocabulary()).length + 1 };
  writeFileSync(join(dir, 'added_tokens.json'), JSON.stringify(added));
}
