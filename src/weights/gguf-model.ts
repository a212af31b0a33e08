// A model that is in one GGUF file, or in one that was split: its config, and its files of weights. Knows nothing of what the
// metadata mean, or of the order of values in a tensor.

import { KvgenError } from '../errors.js';
import type { ModelFolder } from '../files/model-folder.js';
import { ggufHeader, openGguf } from '../gguf/folder-header.js';
import { type GgufHeader, readHeader } from '../gguf/header.js';
import { architectureOf, ggufConfig, headSizes } from './gguf-config.js';
import { GgufFile, readTensor } from './gguf-file.js';
import { nameTable, placementOf, ROPE_FACTORS } from './gguf-names.js';
import type { WeightFile } from './weight-file.js';

/** Rotary factors are one for each pair of numbers of a head. */
const MAX_FACTORS = 4096;

/** One file, or one of those that a file was split into. */
interface Part {
  readonly name: string;
  readonly header: GgufHeader;
}

/** What a config.json would say. @throws KvgenError */
export async function readGgufConfig(folder: ModelFolder): Promise<Record<string, unknown>> {
  const parts = await readParts(folder);
  return ggufConfig(joined(parts), await ropeFactors(folder, parts));
}

async function readParts(folder: ModelFolder): Promise<Part[]> {
  const first = await ggufHeader(folder);
  const [name = '', ...others] = partNames(folder.single as string, first);
  const parts = [{ name, header: first }];
  for (const other of others) {
    const file = await openGguf(folder, other);
    try {
      parts.push({ name: other, header: await readHeader(file) });
    } finally {
      await file.close();
    }
  }
  return parts;
}

/** The metadata of the first part, and the tensors of all. */
function joined(parts: readonly Part[]): GgufHeader {
  const [first] = parts as readonly [Part];
  return { ...first.header, tensors: new Map(parts.flatMap(({ header }) => [...header.tensors])) };
}

async function ropeFactors(folder: ModelFolder, parts: readonly Part[]): Promise<number[] | undefined> {
  const part = parts.find(({ header }) => header.tensors.has(ROPE_FACTORS));
  const tensor = part?.header.tensors.get(ROPE_FACTORS);
  if (part === undefined || tensor === undefined) {
    return undefined;
  }
  const [count = 0, ...others] = tensor.shape;
  if (others.length > 0 || count > MAX_FACTORS) {
    throw new KvgenError(`${part.header.path}: ${ROPE_FACTORS}: expected a list, found [${tensor.shape.join(', ')}]`);
  }
  const file = await openGguf(folder, part.name);
  try {
    const factors = new Float32Array(count);
    await readTensor(file, tensor, factors, 0);
    return Array.from(factors);
  } finally {
    await file.close();
  }
}

/** @returns the caller's to close @throws KvgenError where one is missing or damaged */
export async function openGgufFiles(folder: ModelFolder): Promise<WeightFile[]> {
  const parts = await readParts(folder);
  const header = joined(parts);
  const table = nameTable(architectureOf(header.metadata));
  const sizes = headSizes(header);
  const files: WeightFile[] = [];
  try {
    for (const part of parts) {
      const file = await openGguf(folder, part.name);
      try {
        files.push(new GgufFile(file, part.header, (tensor) => placementOf(table, tensor, sizes)));
      } catch (error) {
        await file.close();
        throw error;
      }
    }
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
  return files;
}

const PART = /-(\d{5})-of-(\d{5})\.gguf$/i;

/** The names of all parts of a file that was split; else its own. @throws KvgenError for a part that is not the first */
export function partNames(name: string, { metadata }: Pick<GgufHeader, 'metadata'>): string[] {
  const count = metadata.count('split.count') ?? 1;
  if (count <= 1) {
    return [name];
  }
  const [, number, of] = PART.exec(name) ?? [];
  if (Number(of) !== count) {
    const expected = `a name that ends in -00001-of-${digits(count)}.gguf, since it is a part of ${count}`;
    throw new KvgenError(`${metadata.path}: expected ${expected}; give all parts the names that they had`);
  }
  if (Number(number) !== 1) {
    throw new KvgenError(`${metadata.path}: part ${Number(number)} of ${count}; name the first: -00001-of-${of}.gguf`);
  }
  return Array.from({ length: count }, (_, i) => name.replace(PART, `-${digits(i + 1)}-of-${of}.gguf`));
}

function digits(number: number): string {
  return String(number).padStart(5, '0');
}
