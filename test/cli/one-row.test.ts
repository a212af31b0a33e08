// A setting is one row: a copy of the sources with one more in the table, and where it then is.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { tempDirs } from '../support/temp-dir.js';
import { BYTES } from './folders.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ROW =
  "  warmth: { kind: number({ min: 0, max: 3 }), words: 'how warm', alias: 'heat', fallback: 1, for: TEXT },\n";

const tempDir = tempDirs();
let root: string;

beforeAll(() => {
  root = tempDir();
  for (const name of ['src', 'bin']) {
    cpSync(join(ROOT, name), join(root, name), { recursive: true });
  }
  for (const name of ['node_modules', 'package.json', 'tsconfig.json', 'models']) {
    symlinkSync(join(ROOT, name), join(root, name));
  }
  const settings = readFileSync(join(ROOT, 'src/settings.ts'), 'utf8');
  const changed = settings.replace(/^export const GENERATE = \{\n/m, (line) => `${line}${ROW}`);
  expect(changed.length).toBe(settings.length + ROW.length);
  writeFileSync(join(root, 'src/settings.ts'), changed);
  expect(compile('tsconfig.json')).toEqual({ code: 0, lines: '' });
});

function node(args: readonly string[], input = '') {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, input, encoding: 'utf8' });
  return { code: status, stdout, stderr };
}

function compile(project: string) {
  const { code, stdout, stderr } = node([join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', project]);
  return { code, lines: stdout + stderr };
}

const kvgen = (args: readonly string[], input?: string) => node([join(root, 'bin/kvgen.js'), ...args], input);

describe('one more row is', () => {
  it('in --help of generate and batch, with its default', () => {
    for (const command of ['generate', 'batch']) {
      expect(kvgen([command, '--help']).stdout).toMatch(/^ {2}--heat, --warmth <x> +how warm \(default: 1\)$/m);
    }
  });

  it('an option with its range', () => {
    const stderr = 'kvgen: --warmth must be in [0, 3], got 4\n';
    expect(kvgen(['--heat', '4', 'x'])).toEqual({ code: 2, stdout: '', stderr });
  });

  it('in both completions', () => {
    expect(kvgen(['completion', 'bash']).stdout).toMatch(/^ {4}generate\) words=".* --warmth /m);
    expect(kvgen(['completion', 'zsh']).stdout).toContain("'*--warmth[how warm]:value: '");
  });

  it('a key of a line of a batch, with its range', () => {
    const lines = [4, 2].map((warmth) => `${JSON.stringify({ id: warmth, prompt: 'x', warmth })}\n`).join('');
    const { code, stdout } = kvgen(['batch', '-m', BYTES, '--backend', 'cpu', '-n', '0'], lines);
    const results = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
    expect({ code, results }).toEqual({
      code: 1,
      results: [
        { id: 4, error: 'warmth must be in [0, 3], got 4' },
        expect.objectContaining({ id: 2, finish_reason: 'length' }),
      ],
    });
  });

  it('an option of the library, with its range', () => {
    const program = `import { generate } from './dist/index.js';
      for (const warmth of [4, '2', 2]) {
        await generate({}, 'x', { warmth }).next().catch(({ message }) => console.log(message));
      }`;
    expect(node(['--input-type=module', '-e', program])).toEqual({
      code: 0,
      stdout:
        "warmth must be in [0, 3], got 4\nwarmth must be a number, got '2'\n" +
        'generate: expected a model that loadModel gave\n', // the option is right
      stderr: '',
    });
  });

  it("in the library's types", () => {
    mkdirSync(join(root, 'user'));
    const options = { extends: '../tsconfig.json', compilerOptions: { noEmit: true, rootDir: '..' }, include: ['.'] };
    writeFileSync(join(root, 'user/tsconfig.json'), JSON.stringify(options));
    const write = (value: string) =>
      writeFileSync(
        join(root, 'user/user.ts'),
        `import type { GenerateOptions } from '../dist/index.js';\nexport const o: GenerateOptions = { warmth: ${value} };\n`,
      );
    write('2');
    expect(compile('user/tsconfig.json')).toEqual({ code: 0, lines: '' });
    write("'2'");
    expect(compile('user/tsconfig.json').lines).toContain("Type 'string' is not assignable to type 'number'");
  });
});
