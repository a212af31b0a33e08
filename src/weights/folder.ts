// A Hugging Face GPT-2 folder into tensors: config.json, model.safetensors or its shards. Every expected
// tensor is checked by name and shape before it is read; one that the forward pass would ignore is refused.
// Knows nothing of tokenizers, nor of where folders come from (see find.ts).

import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { errorCode, errorMessage, KvgenError } from '../errors.js';
import { type Gpt2Config, parseConfig, parseEosTokenIds } from '../model/gpt2-config.js';
import type { Gpt2Weights, LayerNorm, Linear } from '../tf/gpt2.js';
import { tf } from '../tf/tf.js';
import { SafetensorsFile, type TensorEntry } from './safetensors.js';

const WEIGHTS = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
/** Heads of other tasks beside the language model: they do not touch its logits. */
const OTHER_HEADS = /^(score|classifier|multiple_choice_head|qa_outputs)\./;

/** Reads config.json and, where it exists, generation_config.json's end-of-text ids. */
export async function loadConfig(dir: string): Promise<Gpt2Config> {
  const path = join(dir, 'config.json');
  const json = await readJson(path);
  if (json === undefined) {
    throw new KvgenError(`${path}: not found; a model folder holds config.json, model.safetensors and a tokenizer`);
  }
  const config = parseConfig(json, path);
  const generation = join(dir, 'generation_config.json');
  return { ...config, eosTokenIds: parseEosTokenIds(await readJson(generation), generation, config) };
}

export interface LoadOptions {
  /** Called before each tensor is read. */
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal | undefined;
}

/**
 * Reads the weights, one tensor at a time, straight into the memory that TensorFlow then uses.
 * @throws KvgenError naming file and tensor, expected and found; what was loaded by then is freed
 */
export async function loadWeights(dir: string, config: Gpt2Config, options: LoadOptions = {}): Promise<Gpt2Weights> {
  const files = await openFiles(dir);
  const loaded: Tensor[] = [];
  try {
    const stored = withEmbedding(config, storedTensors(files));
    const expected = checkTensors(dir, config, stored);
    const tensors = new Map<string, Tensor>();
    for (const [name, shape] of expected) {
      options.onProgress?.(tensors.size, expected.size);
      options.signal?.throwIfAborted();
      const { file, entry } = stored.get(name) as StoredTensor;
      const tensor = tf.tensor(await file.read(entry), [...shape], 'float32');
      loaded.push(tensor);
      tensors.set(name, tensor);
    }
    return assemble(config, tensors);
  } catch (error) {
    tf.dispose(loaded);
    throw error;
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

interface StoredTensor {
  readonly file: SafetensorsFile;
  readonly entry: TensorEntry;
}

async function openFiles(dir: string): Promise<SafetensorsFile[]> {
  const single = join(dir, WEIGHTS);
  const names = (await exists(single)) ? [WEIGHTS] : await shardNames(dir);
  const opened = await Promise.allSettled(names.map((name) => SafetensorsFile.open(join(dir, name))));
  const files = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failed = opened.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    await Promise.all(files.map((file) => file.close()));
    throw failed.reason;
  }
  return files;
}

async function shardNames(dir: string): Promise<string[]> {
  const path = join(dir, INDEX);
  const index = await readJson(path);
  if (index === undefined) {
    throw new KvgenError(await missingWeights(dir));
  }
  const map: unknown = Object(index).weight_map;
  const names = typeof map === 'object' && map !== null ? [...new Set(Object.values(map))] : [];
  if (names.length === 0 || !names.every((name): name is string => typeof name === 'string' && !/[/\\]/.test(name))) {
    throw new KvgenError(`${path}: weight_map: expected names of files in the same folder`);
  }
  return names;
}

async function missingWeights(dir: string): Promise<string> {
  const missing = `${dir}: neither ${WEIGHTS} nor ${INDEX} found`;
  return (await exists(join(dir, 'pytorch_model.bin')))
    ? `${missing}, only pytorch_model.bin; convert it: GPT2LMHeadModel.from_pretrained(…).save_pretrained(…) in transformers`
    : `${missing}; a model folder holds config.json, model.safetensors and a tokenizer`;
}

/** Tensors by canonical name: the optional `transformer.` prefix and the stored causal masks are dropped. */
function storedTensors(files: readonly SafetensorsFile[]): Map<string, StoredTensor> {
  const stored = new Map<string, StoredTensor>();
  for (const file of files) {
    for (const entry of file.entries.values()) {
      const name = entry.name.replace(/^transformer\./, '');
      if (/^h\.\d+\.attn\.(bias|masked_bias)$/.test(name)) {
        continue;
      }
      if (stored.has(name)) {
        throw new KvgenError(`${file.path}: ${entry.name}: stored twice`);
      }
      stored.set(name, { file, entry });
    }
  }
  return stored;
}

/** Of two tied matrices, some writers keep only the head. */
function withEmbedding(config: Gpt2Config, stored: Map<string, StoredTensor>): Map<string, StoredTensor> {
  const head = stored.get('lm_head.weight');
  if (config.tieWordEmbeddings && head !== undefined && !stored.has('wte.weight')) {
    stored.set('wte.weight', head);
    stored.delete('lm_head.weight');
  }
  return stored;
}

/** Name and shape of each tensor of such a model, one after the other: a broken config.json may ask for any number of layers. */
export function* expectedShapes(
  config: Gpt2Config,
  stored: { has(name: string): boolean },
): Generator<[name: string, shape: readonly number[]]> {
  const { vocabSize, nPositions, nEmbd, nLayer, nInner } = config;
  yield ['wte.weight', [vocabSize, nEmbd]];
  yield ['wpe.weight', [nPositions, nEmbd]];
  for (let i = 0; i < nLayer; i++) {
    yield* weightAndBias(`h.${i}.ln_1`, [nEmbd]);
    yield* weightAndBias(`h.${i}.attn.c_attn`, [nEmbd, 3 * nEmbd]);
    yield* weightAndBias(`h.${i}.attn.c_proj`, [nEmbd, nEmbd]);
    yield* weightAndBias(`h.${i}.ln_2`, [nEmbd]);
    yield* weightAndBias(`h.${i}.mlp.c_fc`, [nEmbd, nInner]);
    yield* weightAndBias(`h.${i}.mlp.c_proj`, [nInner, nEmbd]);
  }
  yield* weightAndBias('ln_f', [nEmbd]);
  if (!config.tieWordEmbeddings || stored.has('lm_head.weight')) {
    yield ['lm_head.weight', [vocabSize, nEmbd]];
  }
}

function weightAndBias(name: string, shape: readonly number[]): [string, readonly number[]][] {
  return [
    [`${name}.weight`, shape],
    [`${name}.bias`, shape.slice(-1)],
  ];
}

/** The tensors to read, by name: all that are expected and stored, in their shapes. */
function checkTensors(
  dir: string,
  config: Gpt2Config,
  stored: ReadonlyMap<string, StoredTensor>,
): Map<string, readonly number[]> {
  const expected = new Map<string, readonly number[]>();
  for (const [name, shape] of expectedShapes(config, stored)) {
    const tensor = stored.get(name);
    if (tensor === undefined) {
      throw new KvgenError(`${dir}: ${name}: not found; expected a tensor of [${shape.join(', ')}]`);
    }
    const { file, entry } = tensor;
    if (entry.shape.join() !== shape.join()) {
      throw new KvgenError(
        `${file.path}: ${entry.name}: expected [${shape.join(', ')}], found [${entry.shape.join(', ')}]`,
      );
    }
    expected.set(name, shape);
  }
  const unknown = [...stored.keys()].find((name) => !expected.has(name) && !OTHER_HEADS.test(name));
  if (unknown !== undefined) {
    throw new KvgenError(
      `${dir}: ${unknown}: a GPT-2 of ${config.nLayer} layers has no such tensor; config.json and weights do not fit`,
    );
  }
  return expected;
}

/** The weights from the tensors that expectedShapes named. */
export function assemble(config: Gpt2Config, tensors: ReadonlyMap<string, Tensor>): Gpt2Weights {
  const vector = (name: string) => tensors.get(name) as Tensor1D;
  const matrix = (name: string) => tensors.get(name) as Tensor2D;
  const norm = (name: string): LayerNorm => ({ weight: vector(`${name}.weight`), bias: vector(`${name}.bias`) });
  const linear = (name: string): Linear => ({ weight: matrix(`${name}.weight`), bias: vector(`${name}.bias`) });
  const wte = matrix('wte.weight');
  return {
    wte,
    wpe: matrix('wpe.weight'),
    h: Array.from({ length: config.nLayer }, (_, i) => ({
      ln_1: norm(`h.${i}.ln_1`),
      attn: { c_attn: linear(`h.${i}.attn.c_attn`), c_proj: linear(`h.${i}.attn.c_proj`) },
      ln_2: norm(`h.${i}.ln_2`),
      mlp: { c_fc: linear(`h.${i}.mlp.c_fc`), c_proj: linear(`h.${i}.mlp.c_proj`) },
    })),
    ln_f: norm('ln_f'),
    lm_head: outputMatrix(wte, tensors.get('lm_head.weight') as Tensor2D | undefined),
  };
}

/** A stored head decides, as in transformers 5; where it only repeats the embedding, it is dropped. */
function outputMatrix(wte: Tensor2D, head: Tensor2D | undefined): Tensor2D {
  if (head === undefined) {
    return wte;
  }
  const [embedding, output] = [wte.dataSync(), head.dataSync()];
  if (!output.every((value, i) => value === embedding[i])) {
    return head;
  }
  head.dispose();
  return wte;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The parsed file, or undefined where there is none. */
async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') {
      return undefined;
    }
    throw new KvgenError(`${path}: cannot be read (${errorMessage(error)})`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new KvgenError(`${path}: not JSON (${errorMessage(error)}); download it again`);
  }
}
