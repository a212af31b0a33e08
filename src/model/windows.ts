// Sliding windows of the Llama family: how many positions a token sees in each layer. Which keys say so, and what they mean
// where they are absent, differs between the architectures. Reference: their configuration_*.py in transformers.

import type { ConfigReader } from './config.js';

interface WindowsOf {
  readonly modelType: string;
  readonly nLayer: number;
  readonly nPositions: number;
  /** By layer: are its queries and keys turned by their positions? */
  readonly rotates: readonly boolean[];
}

/**
 * @returns by layer: the positions that a token sees, itself included; 0: all
 * @throws KvgenError for a window in an architecture that has none, and for layers of another kind
 */
export function readWindows(read: ConfigReader, model: WindowsOf): readonly number[] {
  const { nLayer, nPositions } = model;
  const size = windowSize(read, model);
  const kinds = layerTypes(read, nLayer);
  const isNarrow = size !== undefined && size < nPositions; // a wider one hides nothing
  return Array.from({ length: nLayer }, (_, layer) =>
    isNarrow && slides(read, model, kinds, layer) ? (size as number) : 0,
  );
}

/** undefined: there is none. Where the config says that there is none, nobody looks at its size. */
function windowSize(read: ConfigReader, { modelType, nPositions }: WindowsOf): number | undefined {
  const value = read.value('sliding_window');
  const isUsed = modelType === 'mistral' || read.flag('use_sliding_window', false);
  if (modelType !== 'llama') {
    const isNone = value === null || (modelType === 'smollm3' && value === undefined);
    return isUsed && !isNone ? read.count('sliding_window', 4096) : undefined;
  }
  if ((value ?? undefined) !== undefined && read.count('sliding_window', 1) < nPositions) {
    throw read.wrong('sliding_window', `nothing, or ${nPositions} or more (a ${modelType} has no window)`, value);
  }
  return undefined;
}

type LayerType = 'full_attention' | 'sliding_attention';

function layerTypes(read: ConfigReader, nLayer: number): readonly LayerType[] | undefined {
  const value = read.value('layer_types') ?? undefined;
  if (value === undefined) {
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== nLayer || !value.every(isLayerType)) {
    throw read.wrong(
      'layer_types',
      `${nLayer} times "full_attention" or "sliding_attention" (others are not computed)`,
      value,
    );
  }
  return value;
}

function isLayerType(value: unknown): value is LayerType {
  return value === 'full_attention' || value === 'sliding_attention';
}

function slides(
  read: ConfigReader,
  { modelType, rotates }: WindowsOf,
  kinds: readonly LayerType[] | undefined,
  layer: number,
): boolean {
  if (modelType === 'mistral') {
    return true;
  }
  if (kinds !== undefined) {
    return kinds[layer] === 'sliding_attention';
  }
  return modelType === 'smollm3' ? rotates[layer] === false : layer >= maxWindowLayers(read);
}

/** Layers before this one see everything; it may be 0. */
function maxWindowLayers(read: ConfigReader): number {
  return read.value('max_window_layers') === 0 ? 0 : read.count('max_window_layers', 28);
}
