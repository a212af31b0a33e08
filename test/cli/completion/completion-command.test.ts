// The completion scripts, driven as the shell does.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../../src/cli/commands.js';
import { GENERATE, optionsOf } from '../../../src/settings.js';
import { tempDirs } from '../../support/temp-dir.js';
import { kvgenHere as kvgen } from '../here.js';
import { BIN } from '../run.js';

const tempDir = tempDirs();
/** A folder with `kvgen` in it, which the scripts call. */
const bin = mkdtempSync(join(tmpdir(), 'kvgen-bin-'));
symlinkSync(BIN, join(bin, 'kvgen'));
afterAll(() => rmSync(bin, { recursive: true }));

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
    writeFileSync(join(cwd, 'small.gguf'), '');
    script = (await kvgen(['completion', 'bash'])).stdout;
  });

  /** What the shell offers for the last word. */
  function complete(...words: string[]): string[] {
    const drive = `${script}
PATH=${bin}:$PATH; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kvgen kvgen "\${!#}"; printf '%s\\n' "\${COMPREPLY[@]}"`;
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
      '--no-bos',
      '--no-cache',
      '--no-prompt-cache',
      '--no-stream',
      '--no-write-cache',
    ]);
  });

  it("offers a command's own words", () => {
    expect(complete('completion', '')).toEqual([
      '-h',
      '--help',
      '-V',
      '--version',
      'bash',
      'zsh',
      'fish',
      'powershell',
      'models',
      'sessions',
    ]);
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
    expect(complete('quantize', 'models', '-o', 'mod')).toEqual(['models']);
    expect(complete('score', 'pro')).toEqual([]);
  });

  it('offers the names of models, folders and GGUF files', () => {
    expect(complete('-m', '').sort()).toEqual(['models', 'small.gguf', 'stories']);
    expect(complete('-m', 'sm')).toEqual(['small.gguf']);
    expect(complete('--draft-model', 'st')).toEqual(['stories']);
    expect(complete('quantize', 's').sort()).toEqual(['small.gguf', 'stories']);
    expect(complete('quantize', 'mod')).toEqual(['models']);
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
    expect(script).toContain(':(bash zsh fish powershell models sessions)');
    expect(script).toContain(':value:_kvgen_models');
  });

  it('has its quotes in pairs and its brackets escaped', () => {
    const bare = script.replace(/'\\''/g, '').replace(/"[^"]*"/g, '');
    expect((bare.match(/'/g) ?? []).length % 2).toBe(0);
    for (const [, description] of script.matchAll(/'\*--?[\w-]+\[((?:\\.|[^\]])*)\]/g)) {
      expect(description).not.toMatch(/(?<!\\)[[\]:]/);
    }
  });
});

describe('fish', () => {
  let script: string;
  let cwd: string;
  beforeAll(async () => {
    script = (await kvgen(['completion', 'fish'])).stdout;
    cwd = tempDir();
    writeFileSync(join(cwd, 'prompt.txt'), '');
    writeFileSync(join(cwd, 'small.gguf'), '');
  });

  it('names every command and every option of generate', () => {
    for (const { name } of COMMANDS) {
      expect(script).toContain(`-n __kvgen_is_first -a ${name} -d '`);
    }
    for (const flag of longFlags) {
      expect(script).toContain(` -l ${flag.slice(2)}`);
    }
  });

  it.skipIf(!has('fish'))('offers what fits', () => {
    const complete = (line: string) => {
      const drive = `set -x PATH ${bin} $PATH; source (printf '%s' "$KVGEN_SCRIPT" | psub); complete -C ${JSON.stringify(line)}`;
      const env = { ...process.env, KVGEN_SCRIPT: script, HOME: cwd };
      const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', drive], { cwd, encoding: 'utf8', env });
      expect(stderr).toBe('');
      return stdout.split('\n').flatMap((offered) => offered.split('\t')[0] || []);
    };
    expect(complete('kvgen tok')).toEqual(['tokenize']);
    expect(complete('kvgen --backend ').sort()).toEqual(['auto', 'cpu', 'node', 'simd']);
    expect(complete('kvgen -m st')).toEqual(['stories']);
    expect(complete('kvgen -m sm')).toEqual(['small.gguf']);
    expect(complete('kvgen quantize st')).toEqual(['stories']);
    expect(complete('kvgen cache p').sort()).toEqual(['path', 'plan', 'prune']);
    expect(complete('kvgen batch pro')).toEqual(['prompt.txt']);
  });
});

describe('powershell', () => {
  it('names every command and option, the choices and the models, its quotes in pairs', async () => {
    const { stdout } = await kvgen(['completion', 'powershell']);
    for (const name of [...COMMANDS.map((row) => row.name), ...longFlags]) {
      expect(stdout).toContain(`'${name}'`);
    }
    expect(stdout).toContain("'--backend' = @('auto', 'node', 'simd', 'cpu')");
    expect(stdout).toContain("@('-m', '--model', '--draft-model') -ccontains $previous");
    for (const line of stdout.split('\n')) {
      expect((line.match(/'/g) ?? []).length % 2).toBe(0);
    }
    for (const [open, close] of ['()', '{}', '[]'] as const) {
      expect(stdout.split(open as string).length).toBe(stdout.split(close as string).length);
    }
  });
});

describe('the names of models', () => {
  it('are those that no shell would evaluate', async () => {
    const home = tempDir();
    for (const name of ['mine', '$(touch pwned)', 'a b', '-rf', '`x`']) {
      mkdirSync(join(home, 'kvgen', 'models', name), { recursive: true });
      writeFileSync(join(home, 'kvgen', 'models', name, 'config.json'), '{}');
    }
    const { stdout } = await kvgen(['completion', 'models'], { env: { XDG_DATA_HOME: home, HF_HOME: home } });
    expect(stdout).toBe('stories\nmine\n');
  });
});
