// The interface of a file of weights in any format: tensors by name, each read only when it is asked for.

/** Where a tensor lies in its file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Of its first value, in bytes from the beginning of the file. */
  readonly offset: number;
  /** Of all its values. */
  readonly byteLength: number;
  /** How far apart the values of each axis lie, in values; undefined: they follow each other, the last axis fastest. */
  readonly strides?: readonly number[] | undefined;
}

export interface WeightFile {
  readonly path: string;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /**
   * Fills `into` with values of one tensor as float32, from value number `first` on.
   * @throws KvgenError for a dtype that is not a float
   */
  read(entry: TensorEntry, into: Float32Array, first: number): Promise<void>;
  /** Fills `into` with the bytes of one tensor as they are. */
  readBytes(entry: TensorEntry, into: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** A tensor in its file. */
export interface StoredTensor {
  readonly file: WeightFile;
  readonly entry: TensorEntry;
}

/** A matrix that is stored as an engine keeps it; docs/int8-format.md says how. */
export interface Int8Matrix {
  /** Its file and its name, for messages. */
  readonly where: string;
  /** [rows / 4, columns / 8, 4, 8] */
  readonly shape: readonly number[];
  /**
   * @param numbers all of them
   * @param scales one for each row
   * @throws KvgenError for what no matrix can hold
   */
  read(numbers: Uint8Array, scales: Float32Array): Promise<void>;
}

/** A tensor as an engine takes it over. */
export interface NamedTensor {
  /** The name that the architecture gives it. */
  readonly name: string;
  /** As the architecture has it. */
  readonly shape: readonly number[];
  /** Fills `into` with values as float32, from value number `first` on: so a large tensor can be read in parts. */
  read(into: Float32Array, first: number): Promise<void>;
  /** Where the numbers are stored as int8; `read` then throws. */
  readonly int8?: Int8Matrix | undefined;
}
