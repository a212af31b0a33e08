// A file of torch.save as a file of weights: the tensors of a dict, each read from its storage where it lies. Knows nothing
// of the two formats (see torch-archive.ts) or of models.

import { KvgenError, shown } from '../errors.js';
import { type OpenFile, readExactly } from '../files/open-file.js';
import { readFloats } from './float-values.js';
import { openTorch } from './open-torch.js';
import { gatherValues } from './strided.js';
import { valueCount } from './tensor-values.js';
import type { TorchArchive } from './torch-archive.js';
import { TorchTensor, VALUE_BYTES } from './torch-objects.js';
import { shownKeys } from './unpickle.js';
import type { TensorEntry, WeightFile } from './weight-file.js';

export type TorchTensors = ReadonlyMap<string, TorchTensor>;

export class TorchFile implements WeightFile {
  readonly path: string;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly #file: OpenFile;

  private constructor(file: OpenFile, entries: ReadonlyMap<string, TensorEntry>) {
    this.path = file.path;
    this.#file = file;
    this.entries = entries;
  }

  /**
   * @param file taken over: closed with this one, or when it is refused
   * @param tensorsOf finds the tensors in the object that was saved
   * @throws KvgenError when the file cannot be read, or does not hold what it says
   */
  static async open(file: OpenFile, tensorsOf: (root: unknown, path: string) => TorchTensors): Promise<TorchFile> {
    try {
      const archive = await openTorch(file);
      return new TorchFile(file, await entriesOf(archive, tensorsOf(archive.root, file.path)));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async read(entry: TensorEntry, into: Float32Array, first: number): Promise<void> {
    const where = `${this.path}: ${entry.name}`;
    await readFloats(where, entry, into, first, (bytes, from) => readExactly(this.#file, bytes, from, where));
  }

  async readBytes(entry: TensorEntry, into: Uint8Array): Promise<void> {
    const where = `${this.path}: ${entry.name}`;
    await gatherValues(entry, into, 0, (bytes, from) => readExactly(this.#file, bytes, from, where));
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** The tensors of a state dict; what else is in it is passed over. @throws KvgenError where there is none */
export function stateDict(root: unknown, path: string): TorchTensors {
  const tensors = new Map<string, TorchTensor>();
  for (const [name, value] of root instanceof Map ? root : []) {
    if (typeof name === 'string' && value instanceof TorchTensor) {
      tensors.set(name, value);
    }
  }
  // What lies beside weights in a dict of their own is of the training, such as a loss.
  if (tensors.size === 0 || weightsKey(root) !== undefined) {
    throw new KvgenError(`${path}: ${whatElse(root)}`);
  }
  return tensors;
}

/** What was saved that is no dict of tensors, and what helps. */
function whatElse(root: unknown): string {
  const parts: ReadonlyMap<unknown, unknown> = root instanceof Map ? root : new Map();
  if (parts.size === 0) {
    return `expected a dict of tensors, found ${root instanceof TorchTensor ? 'a tensor' : 'none'}; save model.state_dict()`;
  }
  const found = `a checkpoint with ${shownKeys(parts)}`;
  if (parts.has('model') && parts.has('model_args')) {
    return `${found}, as nanoGPT saves it; rename it to ckpt.pt`;
  }
  const key = weightsKey(parts);
  return key === undefined
    ? `${found}, not a dict of tensors; save model.state_dict() alone`
    : `${found}; torch.save(torch.load(FILE)[${shown(key)}], FILE) leaves the weights, which can be read`;
}

/** What programs that train call the weights in their checkpoints. */
const WEIGHTS_KEYS = ['state_dict', 'model_state_dict', 'model', 'module', 'net', 'weights'];

function weightsKey(root: unknown): string | undefined {
  const isStateDict = (part: unknown) =>
    part instanceof Map && [...part.values()].some((x) => x instanceof TorchTensor);
  return root instanceof Map ? WEIGHTS_KEYS.find((name) => isStateDict(root.get(name))) : undefined;
}

async function entriesOf(archive: TorchArchive, tensors: TorchTensors): Promise<Map<string, TensorEntry>> {
  const entries = new Map<string, TensorEntry>();
  for (const [name, { storage, dtype, offset, shape, strides }] of tensors) {
    const size = VALUE_BYTES[dtype] as number;
    const begin = (await archive.place(storage)) + storage.from + size * offset;
    const byteLength = size * valueCount(shape);
    entries.set(name, {
      name,
      dtype,
      shape,
      offset: begin,
      byteLength,
      ...(isDense(shape, strides) ? {} : { strides }),
    });
  }
  return entries;
}

/** Do the values follow each other, the last axis fastest? */
function isDense(shape: readonly number[], strides: readonly number[]): boolean {
  let step = 1;
  return shape.every((_, i) => {
    const axis = shape.length - 1 - i;
    const fits = shape[axis] === 1 || strides[axis] === step;
    step *= shape[axis] as number;
    return fits;
  });
}
