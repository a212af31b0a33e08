// The same question in several ways: with and without caches, with more threads, as a line of a batch. On simd all give the same bits.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { breaches, short } from '../contract.js';
import { TEXTS } from '../corpus.js';
import { kvgen } from '../inside.js';
import { textOf } from './model.js';

/** Settings that decide a text, as options of a command line and as keys of a line. */
const SETTINGS = [
  (random) => ['temperature', random.pick([0, 0.3, 0.8, 2, 50])],
  (random) => ['top_k', random.pick([0, 1, 5, 1000])],
  (random) => ['top_p', random.pick([0.01, 0.5, 0.95, 1])],
  (random) => ['min_p', random.pick([0, 0.1, 1])],
  (random) => ['repeat_penalty', random.pick([0.5, 1, 1.3])],
  (random) => ['frequency_penalty', random.pick([-1, 0, 2])],
  (random) => ['presence_penalty', random.pick([-1, 0, 2])],
  (random) => ['repeat_last_n', random.pick([-1, 0, 3, 64])],
  (random) => ['stop', random.pick(['a', ' ', 'on', '\n'])],
  (random) => ['ctx_size', random.pick([40, 159])],
  () => ['on_full', 'reprefill'],
  () => ['ignore_eos', true],
  (random) => ['max_tokens', random.pick([0, 1, 20, 60, 300])], // -1 has no end with `reprefill`
];

/** Ways to compute that must not show. @param {string} other another model with the same tokens */
const waysWith = (other) => [
  ['--no-cache'],
  ['--threads', '2'],
  ['--prompt-cache', '--cache-dir', './a'],
  ['--answer-cache', '--cache-dir', './a'],
  ['--prompt-cache', '--answer-cache', '--cache-dir', './a'],
  ['--draft', '4'],
  ['--draft', '5', '--draft-model', other],
  ['--draft', '8', '--prompt-cache', '--cache-dir', './a'],
  ['--prompt-cache', '--keep', 'prompt', '--cache-dir', './b'],
  ['--prompt-cache', '--keep', 'all', '--cache-dir', './b'],
];

/** @type {import('./index.js').Kind} */
export const sameKind = {
  name: 'same',
  weight: 3,
  patience: 5, // up to six runs
  async run(random, { base }, tell) {
    const model = join(base, 'models', random.pick(['float32', 'half', 'int8']));
    const prompt = random.pick([...TEXTS, TEXTS.join(''), TEXTS.join('').slice(0, random.between(1, 140))]);
    const settings = Object.fromEntries([
      ['max_tokens', 20],
      ['seed', random.below(100)],
      ...random.some(SETTINGS, 4).map((make) => make(random)),
    ]);
    const options = Object.entries(settings).flatMap(([key, value]) => {
      const name = `--${key.replaceAll('_', '-')}`;
      return value === true ? [name] : [name, String(value)];
    });
    const run = (way) => {
      const argv = ['-m', model, '--json', '--logprobs', '2', '--threads', '1', ...options, ...way, '--', prompt];
      tell(JSON.stringify(argv));
      return kvgen(argv);
    };
    const expected = await run([]);
    tell(`→ ${expected.code} ${expected.stderr} ${expected.stdout}`);
    const wrong = breaches(expected, [0, 1]);
    const compare = (name, ended, codes) => {
      wrong.push(...breaches(ended, codes).map((what) => `${name}: ${what}`));
      if (ended.code === 0 && expected.code === 0 && textOf(ended) !== textOf(expected)) {
        wrong.push(`${name}: ${short(textOf(ended))}, expected ${short(textOf(expected))}`);
      }
    };
    for (const way of random.some(waysWith(join(base, 'models', 'int8')), 2)) {
      compare(way.join(' '), await run(way), [expected.code, 2]); // 2: what cannot go together
      compare(`${way.join(' ')} again`, await run(way), [expected.code, 2]);
    }
    const line = { prompt, logprobs: 2, ...settings };
    writeFileSync('lines', [line, { ...line, prompt: 'a' }, line].map((one) => `${JSON.stringify(one)}\n`).join(''));
    const batch = await kvgen(['batch', '-m', model, '--threads', '1', 'lines']);
    wrong.push(...breaches({ ...batch, code: 0 }).map((what) => `batch: ${what}`)); // an error is said in its line
    if (expected.code === 0) {
      const [first = '', , third = ''] = batch.stdout.split('\n');
      compare('batch, line 1', { ...batch, code: 0, stdout: first }, [0]);
      compare('batch, line 3', { ...batch, code: 0, stdout: third }, [0]);
    }
    return { wrong, refused: expected.code !== 0 };
  },
};
