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
// biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal is told
const COLOR = /\u001b\[\d+m/g;
/** They load TensorFlow. */
const SLOW = ['node', 'cpu', 'auto', 'eager', 'graph'];
/** An address that no machine has: what would listen there ends, and does not run for ever. */
const NOWHERE = '192.0.2.1';
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
  weight: 40,
  patience: 3, // uncached, several samples
  async run(random, { base }, tell) {
    writeFileSync('prompt.txt', 'Once upon a time\n');
    writeFileSync('lines.jsonl', '{"id":1,"prompt":"a","max_tokens":2}\n');
    writeFileSync('empty', '');
    mkdirSync('folder');
    const argv = commandLine(random, base);
    const env = { KVGEN_API_KEY: 'key', ...(random.chance(0.2) ? environment(random) : {}) };
    tell(JSON.stringify({ argv, env }));
    const ended = await kvgen(argv, env);
    tell(`→ ${ended.code} ${ended.stderr}`);
    const isSaidInLine = argv[0] === 'batch' && ended.code === 1 && ended.stdout.includes('"error":');
    const isColored = argv.join('=').includes('--color=always');
    const stderr = isColored ? ended.stderr.replaceAll(COLOR, '') : ended.stderr;
    const wrong = breaches({ ...ended, stderr, code: isSaidInLine ? 0 : ended.code });
    const isJson = argv.includes('--json') && ended.code === 0 && !argv.includes('--help') && !argv.includes('-h');
    return { wrong: [...wrong, ...(isJson ? readObjects(ended.stdout).wrong : [])], refused: ended.code !== 0 };
  },
};

function commandLine(random, base) {
  const row = random.pick(rows);
  const isSound = random.chance(0.5); // or hardly any would run
  const has = (form) => row.options.some(({ forms }) => forms.includes(form));
  const choice = row.options.filter(({ name }) => !isSound || name !== 'model');
  const most = choice.length === 0 ? 0 : 6; // `completion` has none
  const parts = [
    row.name === 'generate' ? [] : [row.name],
    has('-m') && (isSound || random.chance(0.8))
      ? ['-m', join(base, 'models', random.pick(['float32', 'int8', 'files']))]
      : [],
    has('--threads') ? ['--threads', '1'] : [],
    ...Array.from({ length: random.below(most) }, () => option(random, random.pick(choice), isSound)),
    wordsFor(random, row, isSound),
  ];
  const argv = parts.flat();
  const stray = random.pick([...TEXTS, '--', '-', '-x']);
  const given = isSound || random.chance(0.8) ? argv : argv.toSpliced(random.below(argv.length + 1), 1, stray);
  return row.name === 'serve' ? [...given, '--host', NOWHERE] : given;
}

function wordsFor(random, { name, maxWords }, isSound) {
  if (name === 'cache') {
    return [random.pick(cacheActions), ...random.some(['a', '0', ''], 2).slice(1)];
  }
  if (maxWords === 0) {
    return [];
  }
  const sound = [
    ['./lines.jsonl'],
    ...(name === 'batch' ? [] : [['Once'], [random.pick(TEXTS)], ['--', random.pick(TEXTS)]]),
  ];
  return random.pick(isSound ? sound : [...sound, [], ['Once'], ['a', 'b']]);
}

/** An option with a value that may be one of its kind. */
function option(random, { forms, setting: { kind, fallback } }, isSound) {
  const form = random.pick(forms);
  if (kind.fromText === undefined && kind.choices === undefined) {
    return isSound || random.chance(0.95) ? [form] : [`${form}=${random.pick(TEXTS)}`];
  }
  const value = isSound
    ? soundValue(random, forms.at(-1), kind, fallback)
    : someValue(random, forms.at(-1), kind, fallback);
  const ways = [[form, value], [form, value], [`${form}=${value}`]];
  return random.pick(isSound ? ways : [...ways, [form], [mutateText(random, form), value]]);
}

/** One that its kind accepts, if there is one among a few. */
function soundValue(random, long, kind, fallback) {
  for (let i = 0; i < 10; i++) {
    const value = someValue(random, long, kind, fallback);
    try {
      kind.fromText?.(value, long);
      return value;
    } catch {
      // the next one may be
    }
  }
  return '1';
}

function someValue(random, long, { choices, completes }, fallback) {
  const limit = LIMITED[long];
  if (limit !== undefined) {
    return random.pick([String(random.below(limit)), '1', 'x', '', '-3', '1e99', String(2 ** 53)]);
  }
  if (completes === 'files' || long === '--output') {
    return random.pick(PATHS);
  }
  if (choices !== undefined && random.chance(0.9)) {
    return random.pick(choices.filter((choice) => !SLOW.includes(choice))) ?? 'auto';
  }
  return random.pick([
    () => random.pick(NUMBERS),
    () => random.pick(NUMBERS),
    () => random.pick(TEXTS),
    () => (typeof fallback === 'object' ? '7=-1' : String(fallback)),
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
