// Saved prompts and answers whose files were changed, cut, swapped, renamed, replaced: what is found must be what would be computed,
// to the bit, and all else is a miss.

import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { breaches, readObjects, short } from '../contract.js';
import { kvgen } from '../inside.js';
import { mutateBytes } from '../mutate.js';
import { copyFolder, replaceFile } from './files.js';
import { textOf } from './model.js';

const SHARED = ids(32, 200);
/** The prompts of each store. They are few, so that a file that was changed is likely to be asked for. */
const STORES = [
  [ids(5, 0), ids(31, 0), ids(64, 0), ids(70, 0)], // each begins with the one before
  [ids(64, 0), [...ids(48, 0), ...ids(16, 99)], ids(40, 99)], // two begin alike, and part within a block
  [60, 90, 120].map((first) => [...ids(32, first), ...SHARED]), // the same block behind different beginnings, and nothing behind it
  [60, 90].map((first) => [...ids(32, first), ...SHARED, 7, 8, 9]),
].map((prompts) => prompts.map((prompt) => prompt.join()));
const TEXT = ['--json', '--logprobs', '1', '-n', '3', '--seed', '4', '--threads', '1'];
const BOTH = ['--prompt-cache', '--answer-cache'];

/** @type {Map<string, string>} what each prompt gives without a cache */
const truth = new Map();

function ids(length, first) {
  return Array.from({ length }, (_, i) => 1 + ((first + 7 * i) % 250));
}

function command(prompt, base) {
  return ['-m', join(base, 'models', 'float32'), ...TEXT, '--prompt-ids', prompt];
}

/** Saves all prompts and answers, plain and sealed, and remembers what they give. @param {string} base */
export async function fillCache(base) {
  for (const name of ['key', 'other-key']) {
    writeFileSync(join(base, name), name.padEnd(32, '.'), { mode: 0o600 });
  }
  for (const [i, prompts] of STORES.entries()) {
    for (const prompt of prompts) {
      truth.set(prompt, textOf(await kvgen(command(prompt, base))));
      await save(prompt, base, `plain-${i}`, undefined);
      await save(prompt, base, `sealed-${i}`, 'key');
    }
  }
}

async function save(prompt, base, folder, key) {
  const saved = await kvgen([...command(prompt, base), ...BOTH, '--cache-dir', join(base, folder)], keyFile(base, key));
  if (saved.code !== 0 || textOf(saved) !== truth.get(prompt)) {
    throw new Error(`the caches cannot be filled: ${saved.stderr}`);
  }
}

function keyFile(base, name) {
  return name === undefined ? {} : { KVGEN_CACHE_KEY_FILE: join(base, name) };
}

/** @type {import('./index.js').Kind} */
export const cacheKind = {
  name: 'cache',
  weight: 11,
  async run(random, { base }, tell) {
    const store = random.below(STORES.length);
    const isSealed = random.chance(0.3);
    const [own, other] = isSealed ? ['sealed', 'plain'] : ['plain', 'sealed'];
    copyFolder(join(base, `${own}-${store}`), './cache');
    if (random.chance(0.05)) {
      copyFolder(join(base, `${other}-${store}`), './cache'); // both in one folder
    }
    for (let i = random.between(1, 4); i > 0; i--) {
      tell(spoil(random, join('cache', 'kvgen', random.pick(['prompts', 'prompts', 'answers'])), base));
    }
    const key = random.chance(0.1) ? random.pick([undefined, 'key', 'other-key']) : isSealed ? 'key' : undefined;
    const wrong = random.chance(0.3) ? await manage(random, keyFile(base, key), tell) : [];
    const more = random.pick([
      [],
      [],
      ['--no-write-cache'],
      ['--verify-cache'],
      ['--verbose'],
      ['--cache-dtype', 'float32'],
    ]);
    // A saved answer makes the saved prompt unneeded, so each is also asked alone.
    const caches = [
      ...random.pick([BOTH, ['--prompt-cache'], ['--prompt-cache'], ['--answer-cache']]),
      '--cache-dir',
      './cache',
    ];
    for (const prompt of random.some(STORES[store] ?? [], 4)) {
      const ended = await kvgen([...command(prompt, base), ...caches, ...more], keyFile(base, key));
      tell(`${prompt} ${caches} ${more} ${key ?? 'no key'} → ${ended.code} ${ended.stderr}`);
      wrong.push(...breaches(ended, [0]));
      if (ended.code === 0 && textOf(ended) !== truth.get(prompt)) {
        wrong.push(`a wrong hit: ${short(textOf(ended))}, computed ${short(String(truth.get(prompt)))}`);
      }
    }
    return { wrong };
  },
};

/** Does something to files of a folder. @returns what */
function spoil(random, folder, base) {
  const all = readdirSync(folder);
  const large = all.filter((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size > 200); // not counts and marks
  const files = random.chance(0.8) && large.length > 0 ? large : all;
  if (files.length === 0) {
    return 'empty';
  }
  const [one, other] = [random.pick(files), random.pick(files)];
  const [a, b] = [join(folder, one), join(folder, other)];
  const bytes = (path) => (statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path) : Buffer.alloc(9));
  const put = (path, content) => {
    rmSync(path, { recursive: true, force: true });
    writeFileSync(path, content, { mode: 0o600 });
  };
  const ways = {
    changed: () => put(a, mutateBytes(random, bytes(a))),
    'changed thrice': () => put(a, mutateBytes(random, mutateBytes(random, mutateBytes(random, bytes(a))))),
    swapped: () => {
      const [first, second] = [bytes(a), bytes(b)];
      put(a, second);
      put(b, first);
    },
    'copied over': () => put(b, bytes(a)),
    renamed: () => one !== other && !statSync(b, { throwIfNoEntry: false })?.isDirectory() && renameSync(a, b),
    'renamed to one like it': () => renameSync(a, join(folder, one.replace(/[0-9a-f](?=[0-9a-f]*\.)/, '0'))),
    'joined of two': () =>
      put(a, Buffer.concat([bytes(a).subarray(0, random.below(2000)), bytes(b).subarray(random.below(2000))])),
    replaced: () => replaceFile(random, a, base),
    'another beside it': () =>
      put(join(folder, random.pick(['x', '.tmp-1-0123456789abcdef', `${one}~`, 'a'.repeat(200)])), bytes(a)),
  };
  const way = random.pick([...Object.keys(ways), 'changed', 'changed', 'changed', 'swapped']);
  try {
    ways[way]?.();
  } catch (error) {
    return `${way} ${one}: ${error.code}`; // such as the rename of a file onto an earlier change
  }
  return `${way}: ${one}, ${other}`;
}

/** `kvgen cache`, which looks at all files. */
async function manage(random, env, tell) {
  const action = random.pick([
    ['ls'],
    ['ls', '--json'],
    ['prune'],
    ['show', 'a'],
    ['rm', '0'],
    ['clear'],
    ['stats'],
    ['stats', '--json'],
  ]);
  const ended = await kvgen(['cache', ...action, '--cache-dir', './cache'], env);
  tell(`cache ${action.join(' ')} → ${ended.code} ${ended.stderr}`);
  return [
    ...breaches(ended),
    ...(ended.code === 0 && action.includes('--json') ? readObjects(ended.stdout).wrong : []),
  ];
}
