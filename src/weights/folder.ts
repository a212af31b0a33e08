// Reads a Hugging Face model folder: config.json, and the weights, which are checked before one is read. Knows nothing of
// tokenizers or engines, nor of where folders come from (find.ts), in which format the weights are (weight-files.ts) and what
// is checked (check-tensors.ts).

import { CONFIG } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';
import { ARCHITECTURES, type ModelShape } from '../model/architectures.js';
import { type Architecture, ConfigReader } from '../model/config.js';
import { mergeAdapter, openAdapter } from './adapter.js';
import { weightsFolder } from './adapter-folder.js';
import { checkTensors } from './check-tensors.js';
import { readJson } from './folder-json.js';
import { readGgufConfig } from './gguf-model.js';
import { storedAs } from './int8-format.js';
import { valueCount } from './tensor-values.js';
import type { NamedTensor } from './weight-file.js';
import { configInWeights, openWeightFiles } from './weight-files.js';
import { notAModel } from './what-is-here.js';

const CONFIG_NAME = 'config.json';
const GENERATION_NAME = 'generation_config.json';

/**
 * Reads config.json, and the ids that begin and end a text from generation_config.json where there is one.
 * @param known the architectures to choose from, if not those of kvgen
 * @throws KvgenError when a file is missing or wrong
 */
export async function loadShape(folder: ModelFolder, known?: typeof ARCHITECTURES): Promise<ModelShape> {
  const path = folder.path(folder.single ?? CONFIG_NAME);
  const json = await readConfig(folder);
  if (json === undefined) {
    throw await notAModel(folder, 'no config.json');
  }
  const { config, ...shape } = parseConfig(json, path, known);
  if (folder.single !== undefined) {
    return { ...shape, config };
  }
  const generation = await readJson(folder, GENERATION_NAME, CONFIG);
  const read = new ConfigReader(generation === undefined ? {} : generation, folder.path(GENERATION_NAME));
  const eosTokenIds = read.ids('eos_token_id', config.eosTokenIds);
  const bosTokenId = read.ids('bos_token_id', [])[0] ?? config.bosTokenId;
  return { ...shape, config: { ...config, eosTokenIds, bosTokenId } };
}

/**
 * What config.json says, and before it what the weights say of themselves, as those of nanoGPT do.
 * @returns undefined: neither says anything
 */
export async function readConfig(folder: ModelFolder): Promise<unknown> {
  if (folder.single !== undefined) {
    return readGgufConfig(folder);
  }
  const json = await readJson(folder, CONFIG_NAME, CONFIG);
  const inWeights = await configInWeights(folder);
  return inWeights === undefined ? json : { ...Object(json), ...inWeights };
}

/**
 * @param json a parsed config.json
 * @param where its path, for messages
 * @throws KvgenError that names the key, what was expected and what was found
 */
export function parseConfig(json: unknown, where: string, known = ARCHITECTURES): ModelShape {
  const read = new ConfigReader(json, where);
  const architecture = architectureOf(read, known);
  const stored = storedAs(read);
  const bosTokenId = read.ids('bos_token_id', [])[0];
  return { architecture, config: { ...architecture.parse(read), bosTokenId }, stored };
}

/** @throws KvgenError for one that is not known */
function architectureOf(read: ConfigReader, known: typeof ARCHITECTURES): Architecture {
  const type = read.value('model_type') ?? undefined;
  const found = known.find(({ modelType, looksLike }) => (type === undefined ? looksLike?.(read) : type === modelType));
  if (found === undefined) {
    const names = known.map(({ modelType }) => JSON.stringify(modelType)).join(' or ');
    const hint = type === undefined ? 'add it to the file if it is one' : 'others are not done yet';
    throw read.wrong('model_type', `${names} (${hint})`, type ?? read.value('architectures'));
  }
  return found;
}

export interface ReadOptions {
  /** Called before each tensor. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Told of what is left out, and of what is missing and may be. */
  readonly onNote?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Gives the weights one tensor at a time, to be read before the next is asked for: so there is never a second copy of the
 * model in memory.
 * @throws KvgenError that names the file and the tensor, what was expected and what was found
 */
export async function* readTensors(
  folder: ModelFolder,
  shape: ModelShape,
  { onProgress, onNote, signal }: ReadOptions = {},
): AsyncGenerator<NamedTensor, void> {
  const files = await openWeightFiles(folder);
  const opened: { close(): Promise<void> }[] = [...files];
  try {
    const adapter = await openAdapter(folder, shape);
    opened.push(...(adapter === undefined ? [] : [adapter.file]));
    const checked = checkTensors(weightsFolder(folder), shape, files);
    const { tensors, notes } = adapter === undefined ? checked : mergeAdapter(checked, adapter, shape);
    for (const note of notes) {
      onNote?.(note);
    }
    for (const [i, tensor] of tensors.entries()) {
      onProgress?.(i, tensors.length);
      signal?.throwIfAborted();
      yield tensor;
    }
  } finally {
    await Promise.all(opened.map((file) => file.close()));
  }
}

/**
 * Opens all files of the weights and checks what they hold, as `readTensors` does, and reads none.
 * @returns how many numbers they are; a matrix with two uses counts once
 * @throws as `readTensors` does
 */
export async function checkWeights(folder: ModelFolder, shape: ModelShape): Promise<number> {
  const { architecture, config } = shape;
  const plain = new Set(Array.from(architecture.tensors(config, { has: () => false }), ({ name }) => name));
  let count = 0;
  for await (const tensor of readTensors(folder, shape)) {
    count += plain.has(tensor.name) ? valueCount(tensor.shape) : 0;
  }
  return count;
}
