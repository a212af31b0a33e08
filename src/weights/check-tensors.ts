// Finds the tensors that an architecture expects among those that are stored, and checks each by name and shape. One that
// nobody knows is refused: it may change the result. Knows nothing of what the numbers are, or of how files are opened.

import { KvgenError, shown } from '../errors.js';
import type { ModelShape } from '../model/architectures.js';
import type { ExpectedTensor } from '../model/config.js';
import { kindOf, ownNames } from '../model/tensor-names.js';
import { int8Matrix, SCALE } from './int8-format.js';
import type { NamedTensor, StoredTensor, WeightFile } from './weight-file.js';

export interface CheckedTensors {
  /** All that are expected, in the architecture's order. */
  readonly tensors: readonly NamedTensor[];
  /** What was left out, and what is missing and may be: for people who want to know. */
  readonly notes: readonly string[];
}

/** @throws KvgenError that names the file and the tensor, what was expected and what was found */
export function checkTensors(dir: string, shape: ModelShape, files: readonly WeightFile[]): CheckedTensors {
  const { stored, otherUses } = storedTensors(dir, shape, files);
  const kinds = new Set(Array.from(stored.keys(), kindOf));
  const tensors: NamedTensor[] = [];
  const zeros = new Set<string>();
  const read = new Set<string>();
  const copies = secondNames(stored);
  const has = (name: string) => stored.has(name) && !copies.has(name);
  for (const expected of shape.architecture.tensors(shape.config, { has })) {
    const { name, storedAs = name, zeroWithout } = expected;
    const found = stored.get(storedAs);
    if (found !== undefined) {
      tensors.push(takenTensor(shape, expected, found, stored, read));
    } else if (zeroWithout?.every((kind) => !kinds.has(kind))) {
      zeros.add(kindOf(name));
      tensors.push(zeroTensor(expected));
    } else {
      throw missing(dir, shape, expected, stored);
    }
  }
  checkKnown(dir, shape, stored, new Set([...read, ...copies]));
  return { tensors, notes: notesOn(dir, otherUses, [...zeros]) };
}

interface Stored {
  /** All tensors that may be needed, by the names of the architecture. */
  readonly stored: ReadonlyMap<string, StoredTensor>;
  readonly otherUses: readonly string[];
}

function storedTensors(dir: string, { architecture }: ModelShape, files: readonly WeightFile[]): Stored {
  const all = new Map<string, StoredTensor>();
  for (const file of files) {
    for (const [name, entry] of file.entries) {
      const other = all.get(name);
      if (other !== undefined) {
        throw new KvgenError(`${file.path}: ${name}: stored twice: in ${other.file.path} too`);
      }
      all.set(name, { file, entry });
    }
  }
  const [only] = files.length === 1 ? files : [];
  const { byStored, otherUses } = ownNames(architecture, all.keys(), only?.path ?? dir);
  const stored = new Map(Array.from(byStored, ([name, own]) => [own, all.get(name) as StoredTensor]));
  return { stored, otherUses };
}

/** Of tensors that lie in the same place as one before them, as a tied head does in PyTorch's files: they say nothing new. */
function secondNames(stored: ReadonlyMap<string, StoredTensor>): Set<string> {
  const places = new Set<string>();
  const names = new Set<string>();
  for (const [name, { file, entry }] of stored) {
    const { dtype, shape, strides, offset, byteLength } = entry;
    const place = JSON.stringify([file.path, offset, dtype, shape, strides]);
    if (places.has(place) && byteLength > 0) {
      names.add(name);
    }
    places.add(place);
  }
  return names;
}

/** @param read gets the names of what it takes */
function takenTensor(
  { stored: form }: ModelShape,
  expected: ExpectedTensor,
  found: StoredTensor,
  stored: ReadonlyMap<string, StoredTensor>,
  read: Set<string>,
): NamedTensor {
  const { name, shape, storedAs = name, isMatrix = false } = expected;
  const { file, entry } = found;
  const tensor: NamedTensor = { name, shape, read: (into, first) => file.read(entry, into, first) };
  read.add(storedAs);
  if (form === 'int8' && isMatrix) {
    read.add(storedAs + SCALE);
    return { ...tensor, int8: int8Matrix(found, stored.get(storedAs + SCALE)) };
  }
  checkShape(found, expected);
  checkNumbers(found);
  return tensor;
}

/** Tensors of GPTQ, AWQ, bitsandbytes, compressed-tensors and fp8, beside or in place of a matrix. */
const QUANTIZED = /\.(qweight|qzeros|g_idx|SCB|absmax|quant_map|weight_packed|weight_scale_inv|weight_format)\b/;

/** Whole and complex numbers, and floats of 8 bits or less. */
const NOT_COMPUTED = /^([IUC]\d|F[4-8]_|BOOL)/;

function checkShape({ file, entry }: StoredTensor, { shape }: ExpectedTensor): void {
  if (entry.shape.join() !== shape.join()) {
    const found = entry.shape.join(', ');
    throw new KvgenError(`${file.path}: ${entry.name}: expected [${shape.join(', ')}], found [${found}]`);
  }
}

/** Said here and not where values are read, so that a model that would not load is known by its header. */
function checkNumbers({ file, entry: { name, dtype } }: StoredTensor): void {
  if (NOT_COMPUTED.test(dtype)) {
    const help = 'name the model that they were made from';
    throw new KvgenError(`${file.path}: ${name}: expected dtype F32, F16, BF16, F64, found ${dtype}; ${help}`);
  }
}

function zeroTensor({ name, shape }: ExpectedTensor): NamedTensor {
  return { name, shape, read: async (into) => void into.fill(0) };
}

function missing(
  dir: string,
  { architecture }: ModelShape,
  { name, shape, zeroWithout }: ExpectedTensor,
  stored: ReadonlyMap<string, StoredTensor>,
): KvgenError {
  const names = [...stored.keys()];
  const isOther = names.length > 0 && !names.some((known) => architecture.tensorRole(known) === 'body');
  if (isOther) {
    const found = shown(names.slice(0, 3).map((known) => stored.get(known)?.entry.name));
    return new KvgenError(`${dir}: ${name}: not found: these are no weights of a ${architecture.title}: ${found}`);
  }
  const quantized = names.find((known) => QUANTIZED.test(known));
  if (quantized !== undefined) {
    const what = `${stored.get(quantized)?.entry.name}: the weights are quantized in a way that is not computed`;
    return new KvgenError(`${dir}: ${what}; name the model that they were made from`);
  }
  const others = zeroWithout === undefined ? '' : ', while others like it are there';
  return new KvgenError(`${dir}: ${name}: not found${others}; expected a tensor of [${shape.join(', ')}]`);
}

function checkKnown(
  dir: string,
  { architecture, config }: ModelShape,
  stored: ReadonlyMap<string, StoredTensor>,
  read: ReadonlySet<string>,
): void {
  for (const [name, { entry }] of stored) {
    if (!read.has(name)) {
      const what = `a ${architecture.title} of ${config.nLayer} layers has no such tensor`;
      throw new KvgenError(`${dir}: ${entry.name}: ${what}; config.json and weights do not fit`);
    }
  }
}

function notesOn(dir: string, otherUses: readonly string[], zeros: readonly string[]): string[] {
  return [
    ...(otherUses.length > 0 ? [`${dir}: left out, for other uses than text: ${otherUses.join(', ')}`] : []),
    ...(zeros.length > 0 ? [`${dir}: not stored, so 0: ${zeros.join(', ')}`] : []),
  ];
}
