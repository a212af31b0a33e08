// What can be decided from the arguments and the environment alone: exit 2, one line that names the option, the
// value and the range. And what --help and --version say, without loading TensorFlow.

import { spawnSync } from 'node:child_process';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.js';
import { GENERATE, optionsOf } from '../../src/settings.js';
import { tempDirs } from '../support/temp-dir.js';
import { BYTES } from './folders.js';
import { kvgenHere as kvgen } from './here.js';
import { BIN, type Ended, hasProc, kvgen as kvgenProcess, type SpawnOptions, visible } from './run.js';

const tempDir = tempDirs();

type Row = [args: readonly string[], message: string];

const RANGES: Row[] = [
  [['-n', '-2', 'x'], '--max-tokens must be a whole number in -1 … 2^53−1, got -2'],
  [['-n', '1.5', 'x'], '--max-tokens must be a whole number in -1 … 2^53−1, got 1.5'],
  [['--max-tokens=1e2', 'x'], '--max-tokens must be a whole number in -1 … 2^53−1, got 1e2'],
  [['-n', '', 'x'], '--max-tokens must be a whole number in -1 … 2^53−1, got ""'],
  [['-c', '0', 'x'], '--ctx-size must be a whole number in 1 … 2^53−1, got 0'],
  [['--temp', '-0.1', 'x'], '--temperature must be in [0, ∞), got -0.1'],
  [['--temperature', 'nan', 'x'], '--temperature must be in [0, ∞), got nan'],
  [['--top-k', '-1', 'x'], '--top-k must be a whole number in 0 … 2^53−1, got -1'],
  [['--top-p', '0', 'x'], '--top-p must be in (0, 1], got 0'],
  [['--top-p', '1.5', 'x'], '--top-p must be in (0, 1], got 1.5'],
  [['--min-p', '-1', 'x'], '--min-p must be in [0, 1], got -1'],
  [['--repeat-penalty', '0', 'x'], '--repeat-penalty must be in (0, ∞), got 0'],
  [['--frequency-penalty', 'inf', 'x'], '--frequency-penalty must be in (−∞, ∞), got inf'],
  [['--presence-penalty', '0x1', 'x'], '--presence-penalty must be in (−∞, ∞), got 0x1'],
  [['--repeat-last-n', '-2', 'x'], '--repeat-last-n must be a whole number in -1 … 2^53−1, got -2'],
  [['--seed', '-1', 'x'], '--seed must be a whole number in 0 … 2^53−1, got -1'],
  [['--seed', '9007199254740992', 'x'], '--seed must be a whole number in 0 … 2^53−1, got 9007199254740992'],
  [['--samples', '0', 'x'], '--samples must be a whole number in 1 … 1024, got 0'],
  [['--logprobs', '-1', 'x'], '--logprobs must be a whole number in 0 … 1000, got -1'],
  [['--threads', '0', 'x'], '--threads must be a whole number in 1 … 1024, got 0'],
  [['--logit-bias', '5', 'x'], `--logit-bias must be a token id, '=' and a number or -inf, got 5`],
  [['--logit-bias', '5=inf', 'x'], `--logit-bias must be a token id, '=' and a number or -inf, got "5=inf"`],
  [['--prompt-ids', '1,,2'], '--prompt-ids must be token ids with commas between them, got "1,,2"'],
  [['--prompt-ids', ''], '--prompt-ids must be token ids with commas between them, got ""'],
  [['--draft', '65', 'x'], '--draft must be a whole number in 0 … 64, got 65'],
  [['--stop', '', 'x'], '--stop must not be empty'],
  [['-m', '', 'x'], '--model must not be empty'],
  [
    ['--backend', 'gpu', 'x'],
    "'--backend <name>' argument 'gpu' is invalid. Allowed choices are auto, node, simd, cpu",
  ],
  [['--weights', 'int4', 'x'], "'--weights <name>' argument 'int4' is invalid. Allowed choices are float32, int8"],
  [['--on-full', 'wrap', 'x'], "argument 'wrap' is invalid. Allowed choices are stop, reprefill"],
  [['--truncate-prompt', 'middle', 'x'], "argument 'middle' is invalid. Allowed choices are head, tail"],
  [['--color', 'maybe', 'x'], "argument 'maybe' is invalid. Allowed choices are auto, always, never"],
];

const CONFLICTS: Row[] = [
  [['--samples', '2', '--verify-cache', 'x'], '--samples cannot go with --verify-cache'],
  [['--samples', '2', '--seed', '9007199254740991', 'x'], '--seed: seed + samples − 1 must be at most 2^53−1'],
  [['--json', '--jsonl', 'x'], '--json cannot go with --jsonl'],
  [['--logprobs', '2', 'x'], '--logprobs needs --json or --jsonl'],
  [['-q', '--verbose', 'x'], '--quiet cannot go with --verbose'],
  [['-f', 'file', 'x'], '--file cannot go with a prompt'],
  [['-f', 'file', '-'], '--file cannot go with a prompt'],
  [['--prompt-ids', '1', 'x'], '--prompt-ids cannot go with a prompt'],
  [['--prompt-ids', '1', '-f', 'file'], '--prompt-ids cannot go with --file'],
  [['--no-cache', '--prompt-cache', 'x'], '--no-cache cannot go with --prompt-cache'],
  [['--no-cache', '--verify-cache', 'x'], '--no-cache cannot go with --verify-cache'],
  [['--draft-model', 'stories', 'x'], '--draft-model needs --draft'],
  [['batch', '--draft-model', 'stories'], '--draft-model needs --draft'],
  [['--no-cache', '--draft', '4', 'x'], '--no-cache cannot go with --draft'],
  [['tokenize', '-f', 'file', 'x'], '--file cannot go with a text'],
  [['--backend', 'simd', '--engine', 'graph', 'x'], '--engine graph cannot go with --backend simd'],
  [['score', '--backend', 'node', '--weights', 'int8', '--choices', 'a', 'x'], '--weights int8 cannot go with'],
  [['batch', '--weights', 'int8', '--engine', 'eager', 'x'], '--engine eager cannot go with --weights int8'],
  [['doctor', '--backend', 'cpu', '--threads', '2'], '--threads 2 cannot go with --backend cpu'],
];

const UNKNOWN: Row[] = [
  ...['-t', '-s', '-p', '-v', '--sead', '--no-nothing', '--json=1'].map(
    (option): Row => [[option, '1'], `unknown option '${option}'; \`kvgen --help\``],
  ),
  [['tokenize', '--json', 'x'], "unknown option '--json'; `kvgen tokenize --help`"],
  [['-n'], "option '-n, --max-tokens <n>' argument missing"],
  [['completion', 'tcsh'], 'expected bash, zsh, fish, powershell, models or sessions, got tcsh'],
  [['completion'], 'expected bash, zsh, fish, powershell, models or sessions, got nothing'],
];

describe.each([
  ['out of range', RANGES],
  ['what cannot go together', CONFLICTS],
  ['what does not exist', UNKNOWN],
])('%s: exit 2', (_, rows) => {
  it.concurrent.each(rows)('%j', async (args, message) => {
    const { code, stdout, stderr } = await kvgen(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^kvgen: [^\n]*\n$/);
    expect(stderr).toContain(message);
  });
});

describe('errors', () => {
  it('have a stack only with KVGEN_DEBUG=1', async () => {
    const plain = await kvgen(['-n', 'x', 'x'], { env: { KVGEN_DEBUG: '0' } });
    expect(plain.stderr).toMatch(/^kvgen: [^\n]*\n$/);
    const debug = await kvgen(['-n', 'x', 'x'], { env: { KVGEN_DEBUG: '1' } });
    expect(debug.code).toBe(2);
    expect(debug.stderr).toMatch(/^UsageError: --max-tokens must .*\n( {4}at .*\n)+$/);
  });

  it.each([
    ['an option', ['--no\u001b[31mx\n', 'y'], "unknown option '--no\\u001b[31mx"],
    ['a value', ['-n', '\u001b]0;title\u0007', 'y'], '\\u001b]0;title\\u0007'],
    ['a file', ['-f', 'no\u001b[31m\u009bx'], 'no\\u001b[31m\\u009bx: the prompt cannot be read'],
    ['a model', ['-m', './no\u001b[31m\u007fx', 'y'], 'no\\u001b[31m\\u007fx'],
  ])('escape control characters of %s', async (_, args, shown) => {
    for (const KVGEN_DEBUG of ['0', '1']) {
      const { code, stderr } = await kvgen(args, { env: { KVGEN_DEBUG } });
      expect(code).toBeGreaterThan(0);
      expect(stderr).toContain(shown);
      expect(visible(stderr)).not.toContain('␛');
      expect(stderr.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    }
  });

  it.skipIf(!hasProc)('of stdout other than a closed pipe: one line, exit 1', () => {
    const full = openSync('/dev/full', 'w');
    for (const args of [['--version'], ['tokenize', 'x'], ['-m', BYTES, '--backend', 'cpu', '-n', '3', 'x']]) {
      const { status, stderr } = spawnSync(process.execPath, [BIN, ...args], {
        stdio: ['ignore', full, 'pipe'],
        encoding: 'utf8',
      });
      expect({ args, status, stderr }).toEqual({
        args,
        status: 1,
        stderr: 'kvgen: stdout: ENOSPC: no space left on device, write\n',
      });
    }
  });
});

describe('the environment', () => {
  const args = ['--backend', 'cpu', '-n', '0', '--echo', 'hi'];

  it('KVGEN_MODEL stands in for --model; the option wins; empty is unset', async () => {
    expect((await kvgen(args, { env: { KVGEN_MODEL: BYTES } })).stdout).toBe('hi\n');
    const missing = await kvgen(args, { env: { KVGEN_MODEL: 'no-such-model' } });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain("model 'no-such-model' not found");
    const both = await kvgen(['-m', BYTES, ...args], { env: { KVGEN_MODEL: 'no-such-model' } });
    expect(both).toMatchObject({ code: 0, stdout: 'hi\n' });
    expect(await kvgen(['tokenize', 'hi'], { env: { KVGEN_MODEL: '' } })).toMatchObject({ code: 0, stderr: '' });
  });

  it('KVGEN_BACKEND and KVGEN_WEIGHTS alike; what they say gives way to an option', async () => {
    const run = (env: Record<string, string>, ...more: string[]) => kvgen([...more, '-n', '0', 'hi'], { env });
    const [backend, weights] = [{ KVGEN_BACKEND: 'gpu' }, { KVGEN_WEIGHTS: 'int4' }];
    expect(await run(backend)).toMatchObject({ code: 2, stderr: expect.stringContaining("from env 'KVGEN_BACKEND'") });
    expect(await run(weights)).toMatchObject({ code: 2, stderr: expect.stringContaining("from env 'KVGEN_WEIGHTS'") });
    const both = await run({ KVGEN_WEIGHTS: 'int8', KVGEN_BACKEND: 'cpu' });
    expect(both).toMatchObject({ code: 2, stderr: 'kvgen: KVGEN_WEIGHTS=int8 cannot go with KVGEN_BACKEND=cpu\n' });
    const json = async (env: Record<string, string>, ...more: string[]) =>
      JSON.parse((await run(env, '-m', BYTES, '--json', ...more)).stdout);
    expect(await json({ KVGEN_BACKEND: 'cpu' })).toMatchObject({ backend: 'cpu', threads: 1, weights: 'float32' });
    expect(await json({ KVGEN_WEIGHTS: 'int8' }, '--backend', 'cpu')).toMatchObject({ weights: 'float32' });
    expect(await json({ KVGEN_BACKEND: 'simd' }, '--engine', 'eager')).toMatchObject({ backend: 'node' });
  });

  it.each<[string, SpawnOptions]>([
    ['no HOME', { env: { HOME: undefined } }],
    ['an empty HOME', { env: { HOME: '' } }],
    ['a HOME that does not exist', { env: { HOME: '/nonexistent' } }],
    ['nothing but PATH, in a folder of the system', { onlyEnv: { PATH: process.env.PATH as string }, cwd: '/proc' }],
  ])('with %s it works', async (_, options) => {
    expect(await kvgenProcess(['-m', BYTES, ...args], options)).toMatchObject({ code: 0, stdout: 'hi\n', stderr: '' });
  });

  it('an empty HOME is not the current folder', async () => {
    const cwd = tempDir();
    const { stderr } = await kvgenProcess(['-m', 'no-such-model', 'x'], { env: { HOME: '' }, cwd });
    expect(stderr).toMatch(/not found in \/[^,]*, \/[^,]*, \/[^;]*;/);
  });
});

describe('an old Node', () => {
  it.each(['18.20.8', '8.0.0'])('%s is refused in one line before anything is loaded', async (found) => {
    const disguise = join(tempDir(), 'disguise.cjs');
    const versions = `{ value: { ...process.versions, node: '${found}' } }`;
    writeFileSync(disguise, `Object.defineProperty(process, 'versions', ${versions});`);
    for (const args of [['--version'], ['doctor'], ['hi']]) {
      const env = { NODE_OPTIONS: `--require "${disguise}"` };
      expect(await kvgenProcess(args, { env })).toMatchObject({
        code: 1,
        stdout: '',
        stderr: `kvgen: Node 20 or newer is needed, found ${found}; install it from https://nodejs.org or with your version manager\n`,
      });
    }
  });
});

describe('--version and --help', () => {
  let version: Ended;
  let help: Ended;
  beforeAll(async () => {
    const env = { NODE_DEBUG: 'esm' }; // names each module on stderr as it is loaded
    [version, help] = await Promise.all([kvgenProcess(['--version'], { env }), kvgenProcess(['--help'], { env })]);
  });

  it('--version is one line, also as -V', async () => {
    const { version: expected } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(version).toMatchObject({ code: 0, stdout: `${expected}\n` });
    expect(await kvgen(['-V'])).toMatchObject({ code: 0, stdout: `${expected}\n`, stderr: '' });
  });

  const expectNoCode = (modules: string) => {
    expect(modules).toContain('node_modules/commander');
    expect(modules).not.toContain('tensorflow');
    expect(modules).not.toMatch(/dist\/cli\/(generate|batch|score|bench)\/|-command\.js/);
  };

  it('neither loads TensorFlow, nor the code of a command', () => {
    for (const { stderr } of [version, help]) {
      expectNoCode(stderr);
    }
  });

  it('--help begins with examples, names every option and gives its default', () => {
    expect(help.code).toBe(0);
    expect(help.stdout).toMatch(/^ {2}\$ kvgen "Once upon a time"\n/);
    const lines = help.stdout.replace(/\n {10,}/g, ' ').split('\n');
    for (const { flags } of optionsOf(GENERATE)) {
      const line = lines.find((line) => line.startsWith(`  ${flags} `));
      expect(line, flags).toMatch(/\(.*default: .+\)$/);
    }
    expect(lines.find((line) => line.includes('--temperature'))).toContain('(default: 0.8)');
    expect(lines.find((line) => line.includes('--max-tokens'))).toContain('(default: 128)');
    expect(lines.find((line) => line.includes('--model'))).toContain('stories, env: KVGEN_MODEL');
    expect(help.stdout).toContain("children's stories");
  });

  it.each(COMMANDS.map(({ name }) => name))('%s has its own, without its code', async (name) => {
    const { code, stdout, stderr } = await kvgen([name, '-h']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`Usage: kvgen ${name === 'generate' ? '[options]' : name}`);
    expect(stdout).toMatch(/^ {2}\$ kvgen/);
    expectNoCode((await kvgenProcess([name, '-h'], { env: { NODE_DEBUG: 'esm' } })).stderr);
  });
});
