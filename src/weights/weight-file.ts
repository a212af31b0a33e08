// The interface of a file of weights in any format: tensors by name, each read only when it is asked for.

/** Where a tensor lies in its file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** In bytes from the beginning of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface WeightFile {
  readonly path: string;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /**
   * Fills `into` with values of one tensor as float32, from value number `first` on.
   * @throws KvgenError for a dtype that is not a float
   */
  read(entry: TensorEntry, into: Float32Array, first: number): Promise<void>;
  close(): Promise<void>;
}

/** A tensor as an engine takes it over. */
export interface NamedTensor {
  /** The name that the architecture gives it. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Fills `into` with values as float32, from value number `first` on: so a large tensor can be read in parts. */
  read(into: Float32Array, first: number): Promise<void>;
}
