// Which files of weights a model's folder has, and how they are opened: model.safetensors, or its shards. Knows nothing of
// what tensors a model needs.

import { KvgenError } from '../errors.js';
import { INDEX, WEIGHTS } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';
import { readJson } from './folder-json.js';
import { SafetensorsFile } from './safetensors.js';
import type { WeightFile } from './weight-file.js';

const WEIGHTS_NAME = 'model.safetensors';
const INDEX_NAME = 'model.safetensors.index.json';

/**
 * All files that hold the weights, their headers checked.
 * @returns the caller's to close
 * @throws KvgenError when one is missing or damaged
 */
export async function openWeightFiles(folder: ModelFolder): Promise<WeightFile[]> {
  const names = folder.has(WEIGHTS_NAME) ? [WEIGHTS_NAME] : await shardNames(folder);
  const opened = await Promise.allSettled(names.map((name) => openShard(folder, name)));
  const files = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failed = opened.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    await Promise.all(files.map((file) => file.close()));
    throw failed.reason;
  }
  return files;
}

async function openShard(folder: ModelFolder, name: string): Promise<WeightFile> {
  const file = await folder.open(name, WEIGHTS);
  if (file === undefined) {
    throw new KvgenError(`${folder.path(name)}: not found; ${WEIGHTS.advice}`);
  }
  return SafetensorsFile.open(file);
}

async function shardNames(folder: ModelFolder): Promise<string[]> {
  const path = folder.path(INDEX_NAME);
  const index = await readJson(folder, INDEX_NAME, INDEX);
  if (index === undefined) {
    throw new KvgenError(missingWeights(folder));
  }
  const map: unknown = Object(index).weight_map;
  const names = typeof map === 'object' && map !== null ? [...new Set(Object.values(map))] : [];
  if (names.length === 0 || !names.every((name): name is string => typeof name === 'string' && !/[/\\]/.test(name))) {
    throw new KvgenError(`${path}: weight_map: expected names of files in the same folder`);
  }
  return names;
}

function missingWeights(folder: ModelFolder): string {
  const missing = `${folder.dir}: neither ${WEIGHTS_NAME} nor ${INDEX_NAME} found`;
  return folder.has('pytorch_model.bin')
    ? `${missing}, only pytorch_model.bin; convert it: GPT2LMHeadModel.from_pretrained(…).save_pretrained(…) in transformers`
    : `${missing}; a model folder holds config.json, model.safetensors and a tokenizer`;
}
