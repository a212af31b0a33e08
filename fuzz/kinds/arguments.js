// Command lines of all commands: any option with any value, twice, without one, in any order.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { COMMANDS } from '../../dist/cli/commands.js';
import { optionsOf } from '../../dist/settings.js';
import { breaches, readObjects } from '../contract.js';
import { kvgen } from '../inside.js';
import { mutateText } from '../mutate.js';
import { NUMBERS, TEXTS } from '../nasty.js';

/** They reach beyond the folder of a case, or measure for as long as they are told to. */
const LEFT_OUT = ['setup', 'doctor', 'bench'];
/** What a large value only makes long, as it should. */
const LIMITED = { '--samples': 4, '--max-tokens': 200, '--concurrency': 300, '--threads': 3 };
const PATHS = [
  './prompt.txt',
  './lines.jsonl',
  './nothing',
  '.',
  './empty',
  './prompt.txt/x',
  './folder',
  'x'.repeat(300),
];
const rows = COMMANDS.filter(({ name }) => !LEFT_OUT.includes(name)).map((row) => ({
  ...row,
  options: optionsOf(row.settings),
}));
const cacheActions = ['ls', 'show', 'rm', 'clear', 'prune', 'path', 'stats', 'plan', 'x'];

/** @type {import('./index.js').Kind} */
export const argumentsKind = {
  name: 'arguments',
  weight: 25,
  async run(random, { base }, tell) {
    writeFileSync('prompt.txt', 'Once upon a time\n');
    writeFileSync('lines.jsonl', '{"id":1,"prompt":"a","max_tokens":2}\n');
    writeFileSync('empty', '');
    mkdirSync('folder');
    const argv = commandLine(random, base);
    const env = random.chance(0.2) ? environment(random) : {};
    tell(JSON.stringify({ argv, env }));
    const ended = await kvgen(argv, env);
    tell(`→ ${ended.code} ${ended.stderr}`);
    const wrong = breaches(ended);
    const isJson = argv.includes('--json') && ended.code === 0 && !argv.includes('--help') && !argv.includes('-h');
    return { wrong: [...wrong, ...(isJson ? readObjects(ended.stdout).wrong : [])], refused: ended.code !== 0 };
  },
};

function commandLine(random, base) {
  const row = random.pick(rows);
  const model = row.name === 'quantize' ? [] : ['-m', join(base, 'models', random.pick(['float32', 'int8', 'files']))];
  const most = row.options.length === 0 ? 0 : 6; // `completion` has none
  const options = Array.from({ length: random.below(most) }, () => option(random, random.pick(row.options)));
  const words =
    row.name === 'cache'
      ? [random.pick(cacheActions), ...random.some(['a', '0', ''], 2).slice(1)]
      : prompt(random, row);
  const given = random.chance(0.9) && row.options.some(({ forms }) => forms.includes('-m')) ? model : [];
  const own = row.options.some(({ forms }) => forms.includes('--threads')) ? ['--threads', '1'] : [];
  const parts = [given, own, ...options, words];
  const argv = [...(row.name === 'generate' ? [] : [row.name]), ...parts.flat()];
  return random.chance(0.1)
    ? argv.toSpliced(random.below(argv.length + 1), 1, random.pick([...TEXTS, '--', '-', '-x']))
    : argv;
}

function prompt(random, row) {
  return row.maxWords === 0
    ? []
    : random.pick([[], ['Once'], [random.pick(TEXTS)], ['--', random.pick(TEXTS)], ['./lines.jsonl'], ['a', 'b']]);
}

/** An option with a value that may be one of its kind. */
function option(random, { forms, setting: { kind, fallback } }) {
  const form = random.chance(0.03) ? mutateText(random, random.pick(forms)) : random.pick(forms);
  if (kind.fromText === undefined && kind.choices === undefined) {
    return random.chance(0.95) ? [form] : [`${form}=${random.pick(TEXTS)}`];
  }
  const value = someValue(random, forms.at(-1), kind, fallback);
  return random.pick([[form, value], [form, value], [form, value], [`${form}=${value}`], [form]]);
}

function someValue(random, long, { choices, completes }, fallback) {
  const limit = LIMITED[long];
  if (limit !== undefined) {
    return random.pick([String(random.below(limit)), '1', 'x', '', '-3', '1e99', String(2 ** 53)]);
  }
  if (completes === 'files' || long === '--output') {
    return random.pick(PATHS);
  }
  if (choices !== undefined && random.chance(0.8)) {
    return random.pick(choices.filter((choice) => !['node', 'cpu', 'auto'].includes(choice)).concat('x'));
  }
  return random.pick([
    () => random.pick(NUMBERS),
    () => random.pick(NUMBERS),
    () => random.pick(TEXTS),
    () => String(fallback),
  ])();
}

function environment(random) {
  const names = [
    'KVGEN_MODEL',
    'KVGEN_WEIGHTS',
    'KVGEN_PROMPT_CACHE',
    'KVGEN_CACHE_DIR',
    'KVGEN_CACHE_MAX_BYTES',
    'KVGEN_CACHE_MAX_AGE_DAYS',
  ];
  return Object.fromEntries(
    random.some(names, 2).map((name) => [name, random.pick(['', '1', '0', ...NUMBERS, ...PATHS.slice(0, 7), 'int8'])]),
  );
}
