// Merges a LoRA adapter of PEFT with the weights of the model that it is of, one tensor at a time while they are read: to a
// matrix W the product of two narrow ones is added, W + scale · (B·A); biases, norms or heads that were trained along replace
// those of the model. Knows nothing of engines, or of where the model is.
// References: Hu et al. 2021; tuners/lora/layer.py and utils/save_and_load.py of PEFT 0.17.

import { KvgenError, shown } from '../errors.js';
import { CONFIG, WEIGHTS } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';
import type { ModelShape } from '../model/architectures.js';
import type { Architecture, ExpectedTensor } from '../model/config.js';
import { placeName } from '../model/tensor-names.js';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, type AdapterConfig, parseAdapterConfig } from './adapter-config.js';
import type { CheckedTensors } from './check-tensors.js';
import { readJson } from './folder-json.js';
import { SafetensorsFile } from './safetensors.js';
import { valueCount } from './tensor-values.js';
import { stateDict, TorchFile } from './torch-file.js';
import type { NamedTensor, StoredTensor, TensorEntry, WeightFile } from './weight-file.js';

/** What an adapter does to one tensor. */
interface Change {
  /** Takes the place of the model's. */
  replacement?: StoredTensor;
  /** Is it a copy for one use alone? Else a matrix with two uses is replaced in both. */
  isCopy?: boolean;
  /** [r, in]; of an embedding [r, ids]. */
  a?: StoredTensor;
  /** [out, r]; of an embedding [channels, r]. */
  b?: StoredTensor;
  /** The name of its module in the model, without `base_model.model.`. */
  readonly module: string;
}

export interface Adapter {
  readonly file: WeightFile;
  readonly config: AdapterConfig;
  readonly changes: ReadonlyMap<string, Change>;
  /** Names of tensors for other uses than text. */
  readonly otherUses: readonly string[];
}

/**
 * @returns the caller's to close; undefined: the folder has no adapter
 * @throws KvgenError for one that is not computed, or whose files are missing or damaged
 */
export async function openAdapter(
  folder: ModelFolder,
  { architecture, stored }: ModelShape,
): Promise<Adapter | undefined> {
  const json = await readJson(folder, ADAPTER_CONFIG, CONFIG);
  if (json === undefined) {
    return undefined;
  }
  const config = parseAdapterConfig(json, folder.path(ADAPTER_CONFIG));
  if (stored === 'int8') {
    const what = 'the model that the adapter is of is stored as int8';
    throw new KvgenError(`${folder.dir}: ${what}; name the folder that it was made from in ${ADAPTER_CONFIG}`);
  }
  const file = await openFile(folder);
  try {
    return { file, config, ...changesOf(architecture, file, config) };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openFile(folder: ModelFolder): Promise<WeightFile> {
  const [safe, torch] = ADAPTER_WEIGHTS;
  const file = await folder.open(safe, WEIGHTS);
  if (file !== undefined) {
    return SafetensorsFile.open(file);
  }
  const other = await folder.open(torch, WEIGHTS);
  if (other === undefined) {
    throw new KvgenError(`${folder.dir}: ${ADAPTER_CONFIG}, but neither ${safe} nor ${torch}; download them again`);
  }
  return TorchFile.open(other, stateDict);
}

function changesOf(
  architecture: Architecture,
  file: WeightFile,
  { savedModules }: AdapterConfig,
): Pick<Adapter, 'changes' | 'otherUses'> {
  const changes = new Map<string, Change>();
  const otherUses: string[] = [];
  for (const entry of file.entries.values()) {
    const part = partOf(entry);
    const place = part === undefined ? undefined : placeName(architecture, part.tensor);
    if (part === undefined || place === undefined) {
      throw new KvgenError(`${file.path}: ${entry.name}: no part of a LoRA adapter of a ${architecture.title}`);
    }
    if (place.role === 'otherUse') {
      otherUses.push(entry.name);
    } else if (part.kind !== 'original' && !isSecondCopy(entry, file)) {
      const change = changes.get(place.name) ?? { module: part.module };
      changes.set(place.name, change);
      add(change, part.kind, { file, entry });
      change.isCopy ||= part.kind === 'replacement' && isSaved(part.module, savedModules);
    }
  }
  return { changes, otherUses };
}

/** With the embeddings PEFT saves a trained module twice, and reads what has its name without the wrapper. */
function isSecondCopy({ name }: TensorEntry, { entries }: WeightFile): boolean {
  const plain = name.replace(/\.modules_to_save(\.[^.]+)?(?=\.(weight|bias)$)/, '');
  return plain !== name && entries.has(plain);
}

/** @throws KvgenError for the second tensor of a kind */
function add(change: Change, kind: 'a' | 'b' | 'replacement', stored: StoredTensor): void {
  const other = change[kind];
  if (other !== undefined) {
    throw new KvgenError(`${stored.file.path}: two of one kind: ${other.entry.name} and ${stored.entry.name}`);
  }
  change[kind] = stored;
}

function isSaved(module: string, saved: readonly string[]): boolean {
  return saved.some((name) => module === name || module.endsWith(`.${name}`));
}

interface Part {
  readonly module: string;
  /** The tensor that it changes, by its name in the model. */
  readonly tensor: string;
  readonly kind: 'a' | 'b' | 'replacement' | 'original';
}

/** undefined: it is no part of a LoRA adapter that is computed. */
function partOf({ name }: TensorEntry): Part | undefined {
  const inModel = name.replace(/^base_model\.model\./, '');
  const product = /^(.+)\.lora_(embedding_)?([AB])(\.(?!bias$)[^.]+)?$/.exec(
    inModel.replace(/(?<=\.lora_[AB].*)\.weight$/, ''),
  );
  if (product !== null) {
    const [, module = '', , letter] = product;
    return { module, tensor: `${module}.weight`, kind: letter === 'A' ? 'a' : 'b' };
  }
  const whole = /^(.+?)(\.base_layer|\.modules_to_save(\.[^.]+)?|\.original_module)?\.(weight|bias)$/.exec(inModel);
  if (whole === null || inModel.includes('.lora_')) {
    return undefined;
  }
  const [, module = '', wrapper, , last] = whole;
  return { module, tensor: `${module}.${last}`, kind: wrapper === '.original_module' ? 'original' : 'replacement' };
}

/**
 * The tensors of the model as the adapter changes them.
 * @param model all that the model has
 * @throws KvgenError where the adapter does not fit the model
 */
export function mergeAdapter(model: CheckedTensors, adapter: Adapter, shape: ModelShape): CheckedTensors {
  const { changes, file, otherUses } = adapter;
  const all = untied(model.tensors, adapter, shape);
  const names = new Set(all.map(({ name }) => name));
  const stranger = [...changes.keys()].find((name) => !names.has(name));
  if (stranger !== undefined) {
    throw new KvgenError(`${file.path}: ${stranger}: the model has no such tensor; the adapter is of another model`);
  }
  const expected = new Map(
    Array.from(shape.architecture.tensors(shape.config, { has: () => true }), (one) => [one.name, one]),
  );
  const tensors = all.map((tensor) => {
    const change = changes.get(tensor.name);
    return change === undefined ? tensor : changed(tensor, change, adapter, expected.get(tensor.name));
  });
  const leftOut = otherUses.map((name) => `${file.path}: left out, for another use than text: ${name}`);
  return { tensors, notes: [...model.notes, `${file.path}: changes ${changes.size} tensors of the model`, ...leftOut] };
}

/** An adapter of a matrix for ids or for logits leaves the other use of it as it was: there are two of them then. */
function untied(tensors: readonly NamedTensor[], { changes }: Adapter, shape: ModelShape): NamedTensor[] {
  const { embedding, head } = shape.architecture.vocabulary;
  const [ofIds, ofLogits] = [changes.get(embedding), changes.get(head)];
  const matrix = tensors.find(({ name }) => name === embedding);
  const isTied = matrix !== undefined && !tensors.some(({ name }) => name === head);
  if (!isTied || (ofIds === undefined && ofLogits === undefined)) {
    return [...tensors];
  }
  // Without a wrapper there is one matrix, and what replaces it under one name replaces it under both.
  const shared = [ofIds, ofLogits].find((change) => change?.replacement !== undefined && !change.isCopy)?.replacement;
  const base = shared === undefined ? matrix : replaced(matrix, shared);
  return [...tensors.map((tensor) => (tensor === matrix ? base : tensor)), { ...base, name: head }];
}

function replaced(tensor: NamedTensor, { file, entry }: StoredTensor): NamedTensor {
  const [rows = 0, columns] = tensor.shape;
  const [found = 0, width] = entry.shape;
  if (columns !== undefined && columns === width && found !== rows) {
    const what = `${file.path}: ${entry.name}: the vocabulary was resized from ${rows} to ${found}`;
    throw new KvgenError(`${what}; merge it in PEFT: model.merge_and_unload().save_pretrained(OUT)`);
  }
  checkShape(file, entry, tensor.shape);
  return { ...tensor, read: (into, first) => file.read(entry, into, first) };
}

/** @throws KvgenError where the parts of the change do not fit the tensor or each other */
function changed(
  tensor: NamedTensor,
  change: Change,
  { file, config }: Adapter,
  expected: ExpectedTensor | undefined,
): NamedTensor {
  const { replacement, a, b, module } = change;
  const base = replacement === undefined ? tensor : replaced(tensor, replacement);
  if (a === undefined && b === undefined) {
    return base;
  }
  if (a === undefined || b === undefined) {
    const one = (a ?? b)?.entry.name;
    throw new KvgenError(
      `${file.path}: ${one}: without its ${a === undefined ? 'A' : 'B'}; a product has two matrices`,
    );
  }
  const isInputFirst = (expected?.isInputFirst ?? false) || a.entry.name.includes('.lora_embedding_');
  const [rank = 0] = a.entry.shape;
  const [rows = 0, columns = 0] = tensor.shape;
  const [input, output] = isInputFirst ? [rows, columns] : [columns, rows];
  checkShape(file, a.entry, [rank, input]);
  checkShape(file, b.entry, [output, rank]);
  const product = { a, b, isInputFirst, rank, columns, scale: config.scale(module, rank) };
  return {
    ...base,
    async read(into, first) {
      await base.read(into, first);
      await addProduct(product, into, first);
    },
  };
}

function checkShape({ path }: WeightFile, { name, shape }: TensorEntry, expected: readonly number[]): void {
  if (shape.join() !== expected.join()) {
    throw new KvgenError(
      `${path}: ${name}: expected ${shown(expected)}, found ${shown(shape)}; it is of another model`,
    );
  }
}

interface Product {
  readonly a: StoredTensor;
  readonly b: StoredTensor;
  /** Is the result [in, out]? */
  readonly isInputFirst: boolean;
  readonly rank: number;
  /** Of the result. */
  readonly columns: number;
  readonly scale: number;
}

/** Adds the values of scale · (B·A), or of its transpose, from number `first` on. */
async function addProduct(product: Product, into: Float32Array, first: number): Promise<void> {
  const { rank, columns, scale, isInputFirst } = product;
  const [a, b] = [await valuesOf(product.a), await valuesOf(product.b)];
  const inputs = a.length / rank;
  // Of row i: the sum over k of left(i, k) · right[k], a row of numbers.
  const left = (i: number, k: number) => (isInputFirst ? (a[k * inputs + i] as number) : (b[i * rank + k] as number));
  const right = isInputFirst ? transposed(b, columns, rank) : a;
  const sums = new Float64Array(columns);
  for (let done = 0; done < into.length; ) {
    const row = Math.floor((first + done) / columns);
    const from = (first + done) % columns;
    const count = Math.min(columns - from, into.length - done);
    sums.fill(0);
    for (let k = 0; k < rank; k++) {
      addScaled(sums, right.subarray(k * columns, (k + 1) * columns), left(row, k));
    }
    for (let j = 0; j < count; j++) {
      into[done + j] = (into[done + j] as number) + scale * (sums[from + j] as number);
    }
    done += count;
  }
}

function addScaled(sums: Float64Array, row: Float32Array, factor: number): void {
  for (let j = 0; j < sums.length; j++) {
    sums[j] = (sums[j] as number) + factor * (row[j] as number);
  }
}

async function valuesOf({ file, entry }: StoredTensor): Promise<Float32Array> {
  const values = new Float32Array(valueCount(entry.shape));
  await file.read(entry, values, 0);
  return values;
}

/** [rows, columns] as [columns, rows]. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      result[j * rows + i] = values[i * columns + j] as number;
    }
  }
  return result;
}
