// Which GGUF file of a folder is the model, if one is. Weights of other formats beside a config.json come before it. Looks at
// names alone. Knows nothing of what is in the files.

import { join } from 'node:path';
import { KvgenError, shown } from '../errors.js';
import { look, namesIn } from '../files/look.js';
import { WEIGHTS_NAMES } from './what-is-here.js';

export const GGUF_NAME = /\.gguf$/i;
/** Of a file that was split; the first part stands for all. */
const PART = /-(\d{5})-of-\d{5}\.gguf$/i;
/** Another model, which makes tokens of pictures. */
const PROJECTOR = /^mmproj|mmproj[^/]*\.gguf$/i;

/** The names of all GGUF files that may be the model; none where the folder has weights of another format. */
export function ggufNames(dir: string): string[] {
  const names = namesIn(dir, () => {});
  const hasOthers =
    names.includes('ckpt.pt') ||
    names.includes('adapter_config.json') ||
    (names.includes('config.json') && WEIGHTS_NAMES.some((name) => names.includes(name)));
  return hasOthers ? [] : names.filter(isGgufModel);
}

/** Is it the name of a model, or of the first part of one? */
export function isGgufModel(name: string): boolean {
  return GGUF_NAME.test(name) && !PROJECTOR.test(name) && (PART.exec(name)?.[1] ?? '00001') === '00001';
}

/** undefined: the folder has none. @throws KvgenError for several */
export function onlyGguf(dir: string): string | undefined {
  const names = ggufNames(dir);
  const [first, second] = names;
  if (first !== undefined && second !== undefined) {
    const others = names.length > 2 ? ` and ${names.length - 2} more` : '';
    const found = `${shown(first)}, ${shown(second)}${others}`;
    throw new KvgenError(`${dir}: several GGUF files: ${found}; name one of them: -m ${join(dir, first)}`);
  }
  return first;
}

/** The bytes of a file, or of all parts that it was split into. */
export function ggufBytes(dir: string, name: string): number {
  const parts = PART.test(name) ? namesIn(dir, () => {}).filter((other) => sameSplit(name, other)) : [name];
  return parts.reduce((sum, part) => sum + (look(join(dir, part), () => {})?.size ?? 0), 0);
}

function sameSplit(name: string, other: string): boolean {
  return PART.test(other) && other.length === name.length && withoutNumber(other) === withoutNumber(name);
}

function withoutNumber(name: string): string {
  return name.replace(PART, (part) => part.slice(6));
}
