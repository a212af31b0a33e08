// The format of torch.save before PyTorch 1.6: five pickles one after the other (a magic number, a version, facts of the
// machine, the object, the keys of the storages), then the storages, each with its number of values in front.
// Knows nothing of models. Reference: _legacy_save in torch/serialization.py of PyTorch.

import { KvgenError, shown } from '../errors.js';
import { type OpenFile, readExactly } from '../files/open-file.js';
import { MAX_PICKLE_BYTES, type TorchArchive } from './torch-archive.js';
import { TorchNames, type TorchStorage, VALUE_BYTES } from './torch-objects.js';
import { PickleEnds, shownObject, unpickle } from './unpickle.js';

const MAGIC = 0x1950a86a20f9469cfc6cn;
const VERSION = 1001;
/** Read first; twice as much wherever the pickles are longer. */
const FIRST_BYTES = 1 << 18;

interface Pickles {
  readonly root: unknown;
  readonly keys: unknown;
  readonly storages: ReadonlyMap<string, TorchStorage>;
  /** The byte behind them. */
  readonly end: number;
}

/** @throws KvgenError for what is no such file, or damaged, or asks for more than tensors */
export async function openTorchLegacy(file: OpenFile): Promise<TorchArchive> {
  const { root, keys, storages, end } = await readPickles(file);
  const places = await placesOf(file, keys, storages, end);
  const place = async ({ key }: TorchStorage) => {
    const at = places.get(key);
    if (at === undefined) {
      throw new KvgenError(`${file.path}: storage ${shown(key)}: not found; download it again`);
    }
    return at;
  };
  return { root, place };
}

async function readPickles(file: OpenFile): Promise<Pickles> {
  for (let length = FIRST_BYTES; ; length *= 2) {
    const bytes = new Uint8Array(Math.min(length, file.size, MAX_PICKLE_BYTES));
    await readExactly(file, bytes, 0, file.path);
    try {
      return parsePickles(file.path, bytes);
    } catch (error) {
      if (!(error instanceof PickleEnds)) {
        throw error;
      }
      if (bytes.length < length) {
        const what = bytes.length < file.size ? `more than ${MAX_PICKLE_BYTES} bytes without a tensor` : 'truncated';
        throw new KvgenError(`${file.path}: ${what}; download it again`);
      }
    }
  }
}

function parsePickles(path: string, bytes: Uint8Array): Pickles {
  const names = new TorchNames(path);
  let end = 0;
  const next = () => {
    const read = unpickle(bytes, names, path, end);
    end = read.end;
    return read.value;
  };
  if (next() !== MAGIC) {
    throw new KvgenError(`${path}: a pickle, but none of torch.save; ${SAVE_AGAIN}`);
  }
  const version = next();
  if (version !== VERSION) {
    throw new KvgenError(
      `${path}: expected version ${VERSION} of the format of torch.save, found ${shownObject(version)}`,
    );
  }
  const machine = next();
  if (machine instanceof Map && machine.get('little_endian') === false) {
    throw new KvgenError(`${path}: written by a big-endian machine; ${SAVE_AGAIN}`);
  }
  const root = next();
  return { root, keys: next(), storages: names.storages, end };
}

const SAVE_AGAIN = 'save it again with torch.save';

/** Where the values of each storage begin. */
async function placesOf(
  file: OpenFile,
  keys: unknown,
  storages: ReadonlyMap<string, TorchStorage>,
  from: number,
): Promise<Map<string, number>> {
  const places = new Map<string, number>();
  let at = from;
  for (const key of Array.isArray(keys) ? keys : []) {
    const storage = storages.get(key);
    if (storage === undefined || places.has(key)) {
      throw new KvgenError(
        `${file.path}: storage ${shownObject(key)}: of no tensor, or stored twice; download it again`,
      );
    }
    await checkCount(file, storage, at);
    places.set(key, at + 8);
    at += 8 + storage.byteLength;
  }
  if (at > file.size) {
    throw new KvgenError(`${file.path}: truncated: expected ${at} bytes, found ${file.size}; download it again`);
  }
  return places;
}

async function checkCount(file: OpenFile, { key, dtype, byteLength }: TorchStorage, at: number): Promise<void> {
  const where = `${file.path}: storage ${shown(key)}`;
  const bytes = Buffer.alloc(8);
  await readExactly(file, bytes, at, where);
  const found = bytes.readBigUInt64LE();
  const expected = byteLength / (VALUE_BYTES[dtype] as number);
  if (found !== BigInt(expected)) {
    throw new KvgenError(`${where}: expected ${expected} values, found ${found}; download it again`);
  }
}
