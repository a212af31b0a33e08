// Changes files of a folder: by what is in them, or by what lies in their place.

import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { joinSafetensors, splitSafetensors } from '../corpus.js';
import { mutateBytes, mutateJson, mutateJsonText, mutateText } from '../mutate.js';
import { JSON_TEXTS } from '../nasty.js';
import { mutateTorch } from '../torch.js';

/** What lies in a file's place. @type {Record<string, (path: string, base: string) => void>} */
const PLACES = {
  nothing: () => {},
  'an empty file': (path) => writeFileSync(path, ''),
  'a folder': (path) => mkdirSync(path),
  'a pipe': (path, base) => linkSync(join(base, 'fifo'), path),
  '/dev/zero': (path) => symlinkSync('/dev/zero', path),
  '/dev/null': (path) => symlinkSync('/dev/null', path),
  '/dev/full': (path) => symlinkSync('/dev/full', path),
  'a link to itself': (path) => symlinkSync(path, path),
  'a link to nothing': (path) => symlinkSync('nowhere', path),
};

/** Copies a small folder. @param {string} from @param {string} to */
export function copyFolder(from, to) {
  mkdirSync(to, { recursive: true, mode: 0o700 });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const copy = entry.isDirectory() ? copyFolder : copyFileSync;
    copy(join(from, entry.name), join(to, entry.name));
  }
}

/** Puts something else in a file's place. @param {readonly string[]} not what must not be put there @returns what */
export function replaceFile(random, path, base, not = []) {
  const what = random.pick(Object.keys(PLACES).filter((name) => !not.includes(name)));
  rmSync(path, { recursive: true, force: true });
  PLACES[what]?.(path, base);
  return what;
}

/** Changes a file of a model as fits what it is. @returns how */
export function mutateModelFile(random, path, base) {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isFile() !== true || random.chance(0.05)) {
    return replaceFile(random, path, base);
  }
  const bytes = readFileSync(path);
  const way = random.chance(0.1)
    ? asBytes
    : /\.json$/.test(path)
      ? asJson
      : /(pytorch_model\.bin|ckpt\.pt)$/.test(path)
        ? mutateTorch
        : /\.(safetensors|bin)$/.test(path)
          ? asWeights
          : asText;
  try {
    writeFileSync(path, way(random, bytes));
    return way.name;
  } catch {
    writeFileSync(path, mutateBytes(random, bytes)); // an earlier change has left no such file
    return 'asBytes';
  }
}

function asBytes(random, bytes) {
  return mutateBytes(random, bytes);
}

function asText(random, bytes) {
  return mutateText(random, bytes.toString());
}

function asJson(random, bytes) {
  const text = bytes.toString();
  return random.chance(0.2) ? mutateJsonText(random, text) : JSON.stringify(mutateJson(random, JSON.parse(text)));
}

function asWeights(random, bytes) {
  const { header, data } = splitSafetensors(bytes);
  return random.pick([
    () => joinSafetensors(mutateJson(random, JSON.parse(header)), [data]),
    () => joinSafetensors(mutateJson(random, JSON.parse(header)), [data]),
    () => joinSafetensors(mutateJsonText(random, header), [data]),
    () => joinSafetensors(random.pick(JSON_TEXTS), [data]),
    () => joinSafetensors(header, [mutateBytes(random, data)]),
    () => joinSafetensors(header, [notFinite(random, data)]),
    () => Buffer.concat([random.bytes(random.pick([2, 3, 8])), bytes.subarray(8)]), // another length of the header
  ])();
}

/** Numbers that are none, or so large that what is computed of them is none. */
function notFinite(random, data) {
  const copy = Buffer.from(data);
  const value = random.pick([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, -3e38, 1e-45]);
  for (let i = random.between(1, 20); i > 0; i--) {
    copy.writeFloatLE(value, 4 * random.below(Math.floor(copy.length / 4)));
  }
  return copy;
}
