// The format of torch.save since PyTorch 1.6: a zip archive, in whose one folder data.pkl is the object and data/KEY is each
// storage, not compressed; so values are read where they lie. Knows nothing of models. Reference: _save in
// torch/serialization.py and caffe2/serialize/inline_container.h of PyTorch.

import yauzl, { type Entry, type ZipFile } from 'yauzl';
import { errorMessage, KvgenError, megabytes, shown } from '../errors.js';
import { crc32 } from '../files/crc32.js';
import { type OpenFile, readExactly } from '../files/open-file.js';
import { MAX_PICKLE_BYTES, type TorchArchive } from './torch-archive.js';
import { TorchNames, type TorchStorage } from './torch-objects.js';
import { PickleEnds, unpickle } from './unpickle.js';

const MAX_ENTRIES = 200_000;
const MAX_WORD_BYTES = 100;
const SAVE_AGAIN = 'load it and torch.save it again';

/** @throws KvgenError for an archive that is damaged, compressed or none of torch.save, or asks for more than tensors */
export async function openTorchZip(file: OpenFile): Promise<TorchArchive> {
  const records = await Records.open(file);
  if (records.has('constants.pkl')) {
    throw new KvgenError(`${file.path}: a TorchScript archive (code beside its tensors); save its state_dict() alone`);
  }
  const byteOrder = await records.word('byteorder');
  if (byteOrder !== undefined && byteOrder !== 'little') {
    throw new KvgenError(`${file.path}: expected byteorder "little", found ${shown(byteOrder)}; ${SAVE_AGAIN}`);
  }
  const pickle = await records.read('data.pkl', MAX_PICKLE_BYTES);
  const root = parsePickle(file.path, pickle);
  records.checkSum('data.pkl', pickle); // behind: what a file asks for is named, whatever else is wrong with it
  const place = ({ key, byteLength }: TorchStorage) => records.place(`data/${key}`, byteLength);
  return { root, place };
}

function parsePickle(path: string, bytes: Uint8Array): unknown {
  try {
    const { value, end } = unpickle(bytes, new TorchNames(path), path);
    if (end === bytes.length) {
      return value;
    }
    throw new KvgenError(`${path}: data.pkl: ${bytes.length - end} bytes behind its end; download it again`);
  } catch (error) {
    throw error instanceof PickleEnds ? new KvgenError(`${path}: data.pkl: truncated; download it again`) : error;
  }
}

/** The entries of the one folder in an archive. */
class Records {
  readonly #file: OpenFile;
  readonly #zip: ZipFile;
  readonly #reader: Reader;
  /** By their names in the folder. */
  readonly #entries = new Map<string, Entry>();

  private constructor(file: OpenFile, zip: ZipFile, reader: Reader) {
    this.#file = file;
    this.#zip = zip;
    this.#reader = reader;
  }

  static async open(file: OpenFile): Promise<Records> {
    const reader = new Reader(file);
    const options = { autoClose: false, validateEntrySizes: true };
    const zip = await reader.run(yauzl.fromRandomAccessReaderPromise(reader, file.size, options));
    if (zip.entryCount > MAX_ENTRIES) {
      throw new KvgenError(`${file.path}: expected at most ${MAX_ENTRIES} entries, found ${zip.entryCount}`);
    }
    const records = new Records(file, zip, reader);
    await reader.run(records.#list());
    return records;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** The text of a small record; undefined: there is none. */
  async word(name: string): Promise<string | undefined> {
    return this.has(name)
      ? Buffer.from(await this.read(name, MAX_WORD_BYTES))
          .toString()
          .trim()
      : undefined;
  }

  async read(name: string, maxBytes: number): Promise<Uint8Array> {
    const { uncompressedSize } = this.#entry(name);
    if (uncompressedSize > maxBytes) {
      throw this.#wrong(name, `may have at most ${megabytes(maxBytes, 0)}, found ${megabytes(uncompressedSize)}`);
    }
    const bytes = new Uint8Array(uncompressedSize);
    await readExactly(this.#file, bytes, await this.place(name, uncompressedSize), `${this.#file.path}: ${name}`);
    return bytes;
  }

  /** PyTorch may be told to write none, which is 0. @throws KvgenError where it is another */
  checkSum(name: string, bytes: Uint8Array): void {
    const expected = this.#entry(name).crc32;
    const found = crc32(bytes);
    if (expected !== 0 && expected !== found) {
      throw this.#wrong(name, `its CRC-32 should be ${expected}, found ${found}; download it again`);
    }
  }

  /** Where the bytes of a record begin in the file. */
  async place(name: string, byteLength: number): Promise<number> {
    const entry = this.#entry(name);
    if (entry.isCompressed() || entry.isEncrypted()) {
      throw this.#wrong(name, `compressed or encrypted; ${SAVE_AGAIN}`);
    }
    if (entry.uncompressedSize !== byteLength) {
      throw this.#wrong(name, `expected ${byteLength} bytes, found ${entry.uncompressedSize}; download it again`);
    }
    const header = this.#zip.readLocalFileHeaderPromise(entry, { minimal: true });
    return (await this.#reader.run(header)).fileDataStart;
  }

  /** As PyTorch takes it, the folder is that of the first entry. */
  async #list(): Promise<void> {
    let folder: string | undefined;
    for await (const entry of this.#zip.eachEntry()) {
      const { fileName } = entry;
      folder ??= fileName.slice(0, fileName.indexOf('/') + 1);
      const name = fileName.startsWith(folder) ? fileName.slice(folder.length) : `../${fileName}`;
      if (this.#entries.has(name)) {
        throw this.#wrong(name, 'stored twice; download it again');
      }
      this.#entries.set(name, entry);
    }
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      throw this.#wrong(name, 'not found; the file is none of torch.save, or damaged');
    }
    return entry;
  }

  #wrong(name: string, what: string): KvgenError {
    return new KvgenError(`${this.#file.path}: ${shown(name)}: ${what}`);
  }
}

/** Reads a file for yauzl, which asks for a few bytes at a time. */
class Reader extends yauzl.RandomAccessReader {
  readonly #file: OpenFile;
  /** What was read last. */
  #block = new Uint8Array(0);
  #from = 0;
  #failure: unknown;

  constructor(file: OpenFile) {
    super();
    this.#file = file;
  }

  /** @throws KvgenError with what yauzl found wrong, or why the file could not be read */
  async run<T>(task: Promise<T>): Promise<T> {
    try {
      return await task;
    } catch (error) {
      if (error instanceof KvgenError) {
        throw error;
      }
      const what = `not a zip archive that can be read (${errorMessage(error)})`;
      throw this.#failure ?? new KvgenError(`${this.#file.path}: ${what}; download it again`);
    }
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    this.#read(length, position).then(
      (bytes) => {
        buffer.set(bytes, offset);
        callback(null, bytes.length);
      },
      (error: unknown) => {
        this.#failure = error;
        callback(error as Error);
      },
    );
  }

  async #read(length: number, position: number): Promise<Uint8Array> {
    if (position > this.#file.size) {
      return new Uint8Array(0); // some damaged archives ask for more than a file can have
    }
    if (position < this.#from || position + length > this.#from + this.#block.length) {
      const block = new Uint8Array(Math.max(length, BLOCK_BYTES));
      this.#block = block.subarray(0, await this.#file.read(block, position));
      this.#from = position;
    }
    return this.#block.subarray(position - this.#from, position - this.#from + length);
  }
}

const BLOCK_BYTES = 1 << 14;
