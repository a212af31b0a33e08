// Which files of weights a model's folder has, and how they are opened: safetensors, else what torch.save wrote, each as one
// file or in shards, else a checkpoint of nanoGPT. Knows nothing of what tensors a model needs.

import { KvgenError } from '../errors.js';
import { INDEX, WEIGHTS } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';
import type { OpenFile } from '../files/open-file.js';
import { readJson } from './folder-json.js';
import { openGgufFiles } from './gguf-model.js';
import { CHECKPOINT_NAME, nanoGptConfig, nanoGptTensors } from './nano-gpt.js';
import { openTorch } from './open-torch.js';
import { SafetensorsFile } from './safetensors.js';
import { stateDict, TorchFile } from './torch-file.js';
import type { WeightFile } from './weight-file.js';
import { notAModel } from './what-is-here.js';

interface Format {
  readonly name: string;
  /** Is it the name of an index of files? */
  readonly isIndex?: boolean;
  /** @param file taken over */
  readonly open: (file: OpenFile) => Promise<WeightFile>;
}

const openSafetensors = (file: OpenFile) => SafetensorsFile.open(file);
const openStateDict = (file: OpenFile) => TorchFile.open(file, stateDict);

/** The first that is there is read, as transformers chooses; the checkpoint of another program comes last. */
const FORMATS: readonly Format[] = [
  { name: 'model.safetensors', open: openSafetensors },
  { name: 'model.safetensors.index.json', isIndex: true, open: openSafetensors },
  { name: 'pytorch_model.bin', open: openStateDict },
  { name: 'pytorch_model.bin.index.json', isIndex: true, open: openStateDict },
  { name: CHECKPOINT_NAME, open: (file) => TorchFile.open(file, nanoGptTensors) },
];

/**
 * All files that hold the weights, their headers checked.
 * @returns the caller's to close
 * @throws KvgenError when one is missing or damaged
 */
export async function openWeightFiles(folder: ModelFolder): Promise<WeightFile[]> {
  if (folder.single !== undefined) {
    return openGgufFiles(folder);
  }
  const format = formatOf(folder);
  if (format === undefined) {
    throw await notAModel(folder, 'neither model.safetensors nor pytorch_model.bin');
  }
  const names = format.isIndex ? await shardNames(folder, format.name) : [format.name];
  const opened = await Promise.allSettled(names.map(async (name) => format.open(await openShard(folder, name))));
  const files = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failed = opened.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    await Promise.all(files.map((file) => file.close()));
    throw failed.reason;
  }
  return files;
}

/**
 * What a config.json would say, where the weights themselves say it; undefined: they do not.
 * @throws KvgenError where they ought to and do not
 */
export async function configInWeights(folder: ModelFolder): Promise<Record<string, unknown> | undefined> {
  if (formatOf(folder)?.name !== CHECKPOINT_NAME) {
    return undefined;
  }
  const file = await openShard(folder, CHECKPOINT_NAME);
  try {
    return nanoGptConfig((await openTorch(file)).root, file.path);
  } finally {
    await file.close();
  }
}

function formatOf(folder: ModelFolder): Format | undefined {
  return FORMATS.find(({ name }) => folder.has(name));
}

async function openShard(folder: ModelFolder, name: string): Promise<OpenFile> {
  const file = await folder.open(name, WEIGHTS);
  if (file === undefined) {
    throw new KvgenError(`${folder.path(name)}: not found; ${WEIGHTS.advice}`);
  }
  return file;
}

async function shardNames(folder: ModelFolder, indexName: string): Promise<string[]> {
  const map: unknown = Object(await readJson(folder, indexName, INDEX)).weight_map;
  const names = typeof map === 'object' && map !== null ? [...new Set(Object.values(map))] : [];
  if (names.length === 0 || !names.every((name): name is string => typeof name === 'string' && !/[/\\]/.test(name))) {
    throw new KvgenError(`${folder.path(indexName)}: weight_map: expected names of files in the same folder`);
  }
  return names;
}
