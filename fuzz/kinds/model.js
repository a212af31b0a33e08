// Model folders: configs, weights, indexes and what else lies in one, changed; by every command that opens a model. And what was
// saved before a change must not be found after it.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { breaches, numberBreaches, readObjects, short } from '../contract.js';
import { FOLDERS } from '../corpus.js';
import { kvgen } from '../inside.js';
import { copyFolder, mutateModelFile } from './files.js';

const ONE_THREAD = ['--threads', '1'];
const CACHES = ['--prompt-cache', '--answer-cache', '--cache-dir', './cache'];

const withLogprobs = (m, prompt) => [
  '-m',
  m,
  '--json',
  '--logprobs',
  '1',
  '-n',
  '3',
  '--temp',
  '0',
  ...ONE_THREAD,
  ...prompt,
];

/** The command lines that are tried, by a model and a prompt. */
const COMMANDS = [
  withLogprobs,
  (m, prompt) => ['-m', m, '--json', '--echo', '--logprobs', '0', '-n', '2', '--seed', '1', ...ONE_THREAD, ...prompt],
  (m, prompt) => ['-m', m, '--json', '--weights', 'int8', '-n', '3', '--temp', '0', ...ONE_THREAD, ...prompt],
  (m, prompt) => ['score', '-m', m, '--json', '--choices', ' fox|x', ...ONE_THREAD, ...prompt],
  (m) => ['quantize', m, '-o', './out', ...ONE_THREAD],
  (m) => ['tokenize', '-m', m, 'Once upon'],
  () => ['models'],
];
const PROMPTS = [['Once upon'], ['--prompt-ids', '1,2,3']];

/** @type {import('./index.js').Kind} */
export const modelKind = {
  name: 'model',
  weight: 35,
  async run(random, { base }, tell) {
    const name = random.pick(FOLDERS);
    copyFolder(join(base, 'models', name), './m');
    const files = readdirSync('./m');
    const asksCaches = random.chance(0.2);
    const cached = [...withLogprobs('./m', PROMPTS[0]), ...CACHES];
    if (asksCaches) {
      await kvgen(cached);
    }
    for (const file of random.some(files, 3)) {
      tell(`${name}/${file}: ${mutateModelFile(random, join('m', file), base)}`);
    }
    return asksCaches ? compareCached(cached, tell) : runSome(random, './m', tell);
  },
};

/** One of the commands that open a model. @param {string} m a folder or a file */
export function runSome(random, m, tell) {
  return runOne(random.pick(COMMANDS)(m, random.pick(PROMPTS)), tell);
}

async function runOne(argv, tell) {
  const ended = await kvgen(argv);
  tell(`${argv.join(' ')} → ${ended.code} ${ended.stderr}`);
  const wrong = breaches(ended, [0, 1]);
  if (ended.code === 0 && argv.includes('--json')) {
    const { objects, wrong: unread } = readObjects(ended.stdout);
    wrong.push(...unread, ...objects.flatMap(argv[0] === 'score' ? scoreBreaches : numberBreaches));
  }
  return { wrong, refused: ended.code !== 0 };
}

function scoreBreaches({ choices }) {
  const numbers = choices.map(({ logprob }) => logprob);
  return numbers.every((x) => typeof x === 'number' && x <= 1e-6) ? [] : [`score: logprobs ${numbers}`];
}

/** With what was saved and without it: the same. */
async function compareCached(cached, tell) {
  const [found, computed] = [await kvgen(cached), await kvgen(cached.filter((word) => !CACHES.includes(word)))];
  tell(`${cached.join(' ')} → ${found.code} ${found.stderr}; without caches ${computed.code} ${computed.stderr}`);
  const wrong = [...breaches(found, [0, 1]), ...breaches(computed, [0, 1])];
  if (found.code !== computed.code) {
    wrong.push(`exit code ${found.code} with caches, ${computed.code} without`);
  } else if (found.code === 0 && textOf(found) !== textOf(computed)) {
    wrong.push(`a wrong hit: ${short(textOf(found))}, computed ${short(textOf(computed))}`);
  }
  return { wrong, refused: computed.code !== 0 };
}

/** What decides a text, of --json. */
export function textOf({ stdout }) {
  const objects = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  return JSON.stringify(
    objects.map(({ text, ids, prompt_ids, finish_reason, tokens }) => ({
      text,
      ids,
      prompt_ids,
      finish_reason,
      tokens,
    })),
  );
}
