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
  /** Reads one tensor as float32 into an array of its own. @throws KvgenError for a dtype that is not a float */
  read(entry: TensorEntry): Promise<Float32Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** A tensor as an engine takes it over. */
export interface NamedTensor {
  /** The name that the architecture gives it. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer>;
}
