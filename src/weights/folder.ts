// Reads a Hugging Face model folder: config.json, and the weights. All tensors that the architecture expects are checked
// by name and shape before one is read, and one that it does not know is refused. Knows nothing of tokenizers or engines,
// nor of where folders come from (see find.ts) and in which format the weights are (see weight-files.ts).

import { KvgenError } from '../errors.js';
import { CONFIG } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';
import { ARCHITECTURES, type ModelShape } from '../model/architectures.js';
import { ConfigReader, type ExpectedTensor } from '../model/config.js';
import { readJson } from './folder-json.js';
import { int8Matrix, SCALE, storedAs } from './int8-format.js';
import type { Int8Matrix, NamedTensor, StoredTensor, WeightFile } from './weight-file.js';
import { openWeightFiles } from './weight-files.js';

const CONFIG_NAME = 'config.json';
const GENERATION_NAME = 'generation_config.json';

/**
 * Reads config.json, and the ids that end a text from generation_config.json where there is one.
 * @param known the architectures to choose from, if not those of kvgen
 * @throws KvgenError when a file is missing or wrong
 */
export async function loadShape(folder: ModelFolder, known?: typeof ARCHITECTURES): Promise<ModelShape> {
  const path = folder.path(CONFIG_NAME);
  const json = await readJson(folder, CONFIG_NAME, CONFIG);
  if (json === undefined) {
    throw new KvgenError(`${path}: not found; a model folder holds config.json, model.safetensors and a tokenizer`);
  }
  const { config, ...shape } = parseConfig(json, path, known);
  const generation = await readJson(folder, GENERATION_NAME, CONFIG);
  const read = new ConfigReader(generation === undefined ? {} : generation, folder.path(GENERATION_NAME));
  return { ...shape, config: { ...config, eosTokenIds: read.ids('eos_token_id', config.eosTokenIds) } };
}

/**
 * @param json a parsed config.json
 * @param where its path, for messages
 * @throws KvgenError that names the key, what was expected and what was found
 */
export function parseConfig(json: unknown, where: string, known = ARCHITECTURES): ModelShape {
  const read = new ConfigReader(json, where);
  const architecture = known.find(({ modelType }) => modelType === read.value('model_type'));
  if (architecture === undefined) {
    const names = known.map(({ modelType }) => JSON.stringify(modelType)).join(' or ');
    throw read.wrong('model_type', names, read.value('model_type'));
  }
  const stored = storedAs(read);
  return { architecture, config: architecture.parse(read), stored };
}

export interface ReadOptions {
  /** Called before each tensor. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
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
  { onProgress, signal }: ReadOptions = {},
): AsyncGenerator<NamedTensor, void> {
  const files = await openWeightFiles(folder);
  try {
    const tensors = checkTensors(folder.dir, shape, storedTensors(shape, files));
    for (const [i, { name, shape, file, entry, int8 }] of tensors.entries()) {
      onProgress?.(i, tensors.length);
      signal?.throwIfAborted();
      yield { name, shape, read: (into, first) => file.read(entry, into, first), int8 };
    }
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

/** Opens all files of the weights and checks what they hold, as `readTensors` does. @throws as it does */
export async function checkWeights(folder: ModelFolder, shape: ModelShape): Promise<void> {
  const tensors = readTensors(folder, shape);
  await tensors.next();
  await tensors.return();
}

/** A tensor that was found as it was expected. */
interface CheckedTensor extends ExpectedTensor, StoredTensor {
  readonly int8?: Int8Matrix | undefined;
}

/** All stored tensors that a forward pass may need, by the names of the architecture. */
function storedTensors({ architecture }: ModelShape, files: readonly WeightFile[]): Map<string, StoredTensor> {
  const stored = new Map<string, StoredTensor>();
  for (const file of files) {
    for (const entry of file.entries.values()) {
      const name = architecture.tensorName(entry.name);
      if (name !== undefined && stored.has(name)) {
        throw new KvgenError(`${file.path}: ${entry.name}: stored twice`);
      }
      if (name !== undefined) {
        stored.set(name, { file, entry });
      }
    }
  }
  return stored;
}

/** Returns the tensors to read: all that are expected, each found in its expected shape. */
function checkTensors(
  dir: string,
  { architecture, config, stored: form }: ModelShape,
  stored: ReadonlyMap<string, StoredTensor>,
): CheckedTensor[] {
  const checked: CheckedTensor[] = [];
  const read = new Set<string>();
  for (const expected of architecture.tensors(config, stored)) {
    const { name, storedAs = name, isMatrix = false } = expected;
    const found = stored.get(storedAs);
    if (found === undefined) {
      throw new KvgenError(`${dir}: ${name}: not found; expected a tensor of [${expected.shape.join(', ')}]`);
    }
    read.add(storedAs);
    if (form === 'int8' && isMatrix) {
      read.add(storedAs + SCALE);
      checked.push({ ...expected, ...found, int8: int8Matrix(found, stored.get(storedAs + SCALE)) });
    } else {
      checkShape(found, expected);
      checked.push({ ...expected, ...found });
    }
  }
  const unknown = [...stored.keys()].find((name) => !read.has(name));
  if (unknown !== undefined) {
    const what = `a ${architecture.title} of ${config.nLayer} layers has no such tensor`;
    throw new KvgenError(`${dir}: ${unknown}: ${what}; config.json and weights do not fit`);
  }
  return checked;
}

function checkShape({ file, entry }: StoredTensor, { shape }: ExpectedTensor): void {
  if (entry.shape.join() !== shape.join()) {
    const found = entry.shape.join(', ');
    throw new KvgenError(`${file.path}: ${entry.name}: expected [${shape.join(', ')}], found [${found}]`);
  }
}
