// Is a native engine in place, which one, and where? Answers from a few small files, without loading
// TensorFlow, so that doctor, the choice of backend and a repeated `npm install` can ask at any time.

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { npmFolder, packageRoot, privateFolder } from './locations.js';
import { NAPI_VERSION, TFJS_NODE } from './pins.js';
import { readRecord, type Source } from './record.js';

export interface NativeStatus {
  readonly engine: 'native';
  /** The tfjs-node folder to load: an absolute path for `require`. */
  readonly folder: string;
  /** TensorFlow's version; undefined for an engine that kvgen did not install and has not loaded yet. */
  readonly tensorflow: string | undefined;
  readonly source: Source;
  /** Has kvgen loaded it once and multiplied two matrices? */
  readonly checked: boolean;
}

export type Status = NativeStatus | { readonly engine: 'none' };

export const BINDING = `lib/napi-v${NAPI_VERSION}/tfjs_binding.node`;

export function status(root = packageRoot()): Status {
  const folders = [npmFolder(root), privateFolder(root)].filter((folder) => folder !== undefined);
  return (
    folders.map(recorded).find((found) => found !== undefined) ??
    folders.map(unrecorded).find((found) => found !== undefined) ?? { engine: 'none' }
  );
}

function recorded(folder: string): NativeStatus | undefined {
  const record = readRecord(folder);
  if (record?.tfjsNode !== TFJS_NODE.version) {
    return undefined;
  }
  return { engine: 'native', folder, tensorflow: record.tensorflow, source: record.source, checked: true };
}

/** An engine that tfjs-node's own install script, or a person, put there. */
function unrecorded(folder: string): NativeStatus | undefined {
  if (!existsSync(join(folder, BINDING)) || nativeFiles(folder).length < 2) {
    return undefined;
  }
  return { engine: 'native', folder, tensorflow: undefined, source: 'found', checked: false };
}

/** The binding and the shared libraries it loads, relative to a tfjs-node folder. */
export function nativeFiles(folder: string): string[] {
  const libraries = ['deps/lib', `lib/napi-v${NAPI_VERSION}`].flatMap((sub) =>
    list(join(folder, sub))
      .filter((name) => LOADED.test(name))
      .map((name) => `${sub}/${name}`),
  );
  return [...libraries, BINDING];
}

// The names that the binding asks for: libtensorflow.so.2 and libtensorflow_framework.so.2 from tfjs-node's
// download, libtensorflow_cc.so.2 in the first one's place from a wheel.
const LOADED = /^(libtensorflow(_cc|_framework)?\.(so\.2|2\.dylib)|tensorflow\.dll)$/;

function list(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
