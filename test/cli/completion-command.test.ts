// The completion scripts, driven as the shell does.

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.js';
import { GENERATE, optionsOf } from '../../src/settings.js';
import { tempDirs } from '../support/temp-dir.js';
import { kvgen } from './run.js';

const tempDir = tempDirs();
const has = (shell: string) => spawnSync(shell, ['-c', 'exit 0']).status === 0;

/** `--max-tokens`, without short forms and values. */
const longFlags = optionsOf(GENERATE).flatMap(({ forms }) => forms.filter((form) => form.startsWith('--')));

describe.skipIf(!has('bash'))('bash', () => {
  let script: string;
  let cwd: string;
  beforeAll(async () => {
    cwd = tempDir();
    mkdirSync(join(cwd, 'models'));
    writeFileSync(join(cwd, 'prompt.txt'), '');
    script = (await kvgen(['completion', 'bash'])).stdout;
  });

  /** What the shell offers for the last word. */
  function complete(...words: string[]): string[] {
    const drive = `${script}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kvgen kvgen "\${!#}"; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', drive, 'bash', 'kvgen', ...words], {
      cwd,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    return stdout.split('\n').filter((word) => word !== '');
  }

  it('is sound, and registers itself', () => {
    expect(spawnSync('bash', ['-n'], { input: script })).toMatchObject({ status: 0 });
    const { stdout } = spawnSync('bash', ['--norc', '-c', `${script}\ncomplete -p kvgen`], { encoding: 'utf8' });
    expect(stdout).toContain('-F _kvgen kvgen');
  });

  it('offers every command and every option of generate as the first word', () => {
    const offered = complete('');
    expect(offered).toEqual(expect.arrayContaining(COMMANDS.map(({ name }) => name)));
    expect(offered).toEqual(expect.arrayContaining([...longFlags, '-m', '-n', '--help', '--version']));
  });

  it('offers what fits', () => {
    expect(complete('tok')).toEqual(['tokenize']);
    expect(complete('--temp').sort()).toEqual(['--temp', '--temperature']);
    expect(complete('-n', '5', '--ec')).toEqual(['--echo']);
    expect(complete('generate', '--no-').sort()).toEqual([
      '--no-cache',
      '--no-prompt-cache',
      '--no-stream',
      '--no-write-cache',
    ]);
  });

  it("offers a command's own words", () => {
    expect(complete('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh']));
    expect(complete('cache', 'p')).toEqual(['prune', 'path', 'plan']);
    expect(complete('models', '--c')).toEqual(['--color']);
    expect(complete('tokenize', '--e')).toEqual([]);
  });

  it('offers the values of an option', () => {
    expect(complete('--backend', '')).toEqual(['auto', 'node', 'simd', 'cpu']);
    expect(complete('--weights', '')).toEqual(['float32', 'int8']);
    expect(complete('-n', '3', '--color', 'a')).toEqual(['auto', 'always']);
    expect(complete('--truncate-prompt', '')).toEqual(['head', 'tail']);
    expect(complete('-f', 'pro')).toEqual(['prompt.txt']);
    expect(complete('score', '--perplexity', 'pro')).toEqual(['prompt.txt']);
    expect(complete('batch', 'pro')).toEqual(['prompt.txt']);
    expect(complete('batch', '--conc')).toEqual(['--concurrency']);
    expect(complete('quantize', 'mod')).toEqual(['models']);
    expect(complete('quantize', 'models', '-o', 'mod')).toEqual(['models']);
    expect(complete('score', 'pro')).toEqual([]);
    expect(complete('-m', '').sort()).toEqual(['models', 'stories']);
  });
});

describe('zsh', () => {
  let script: string;
  beforeAll(async () => {
    script = (await kvgen(['completion', 'zsh'])).stdout;
  });

  it.skipIf(!has('zsh'))('is sound', () => {
    expect(spawnSync('zsh', ['-n'], { input: script })).toMatchObject({ status: 0 });
  });

  it('works in a file of fpath and sourced', () => {
    expect(script).toMatch(/^#compdef kvgen\n/);
    expect(script).toContain('compdef _kvgen kvgen');
  });

  it('names every command and every option', () => {
    for (const { name } of COMMANDS) {
      expect(script).toContain(`\n    '${name}:`);
      expect(script).toContain(`\n    ${name}) _arguments `);
    }
    for (const flag of longFlags) {
      expect(script).toContain(`'*${flag}[`);
    }
    expect(script).toContain(':value:(auto node simd cpu)');
    expect(script).toContain(':(bash zsh)');
  });

  it('has its quotes in pairs and its brackets escaped', () => {
    const bare = script.replace(/'\\''/g, '').replace(/"[^"]*"/g, '');
    expect((bare.match(/'/g) ?? []).length % 2).toBe(0);
    for (const [, description] of script.matchAll(/'\*--?[\w-]+\[((?:\\.|[^\]])*)\]/g)) {
      expect(description).not.toMatch(/(?<!\\)[[\]:]/);
    }
  });
});
