// What every format of weights comes to: tensors by name, each read when it is asked for. Knows nothing of any format.

/** Where a tensor lies in its file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Absolute offset in the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface WeightFile {
  readonly path: string;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /** One tensor, widened to float32, in memory of its own. @throws KvgenError for a dtype that is not a float */
  read(entry: TensorEntry): Promise<Float32Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** A tensor as an engine takes it over. */
export interface NamedTensor {
  /** As the forward pass knows it. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer>;
}
