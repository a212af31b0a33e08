// Which models a name reaches: the package's, the user's, the Hugging Face cache's; without network.

import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { goldenDir } from '../support/golden.js';
import { tempDirs } from '../support/temp-dir.js';
import { BYTES } from './folders.js';
import { kvgenHere as kvgen, kvgenJsonHere as kvgenJson } from './here.js';
import { kvgen as kvgenProcess, visible } from './run.js';

const tempDir = tempDirs();

/** A model as huggingface_hub stores it; `main` points to the first revision. */
function writeHub(hub: string, repository: string, revisions: Record<string, string>): void {
  const root = join(hub, `models--${repository}`);
  for (const [revision, source] of Object.entries(revisions)) {
    cpSync(source, join(root, 'snapshots', revision), { recursive: true });
  }
  mkdirSync(join(root, 'refs'), { recursive: true });
  writeFileSync(join(root, 'refs', 'main'), Object.keys(revisions)[0] as string);
}

/** The model that was used, told by its prompt id and vocabulary. */
function use(model: string, env: Record<string, string>) {
  return kvgenJson(['-m', model, '--backend', 'cpu', '-n', '0', '--prompt-ids', '1'], { env });
}

let home: string;
beforeAll(() => {
  home = tempDir();
});

describe('the Hugging Face cache, by name', () => {
  it('finds models--gpt2 in HF_HUB_CACHE, at the revision of main', async () => {
    const hub = tempDir();
    writeHub(hub, 'gpt2', { aaa: BYTES, zzz: goldenDir('prefix') });
    const { code, json } = await use('gpt2', { HF_HUB_CACHE: hub, HOME: home });
    expect(code).toBe(0);
    expect(json).toMatchObject({ model: 'gpt2', prompt: '!' }); // only BYTES has a tokenizer
  });

  it('finds models--openai-community--gpt2 in HF_HOME/hub, by either name', async () => {
    const root = tempDir();
    writeHub(join(root, 'hub'), 'openai-community--gpt2', { aaa: BYTES });
    for (const name of ['gpt2', 'openai-community/gpt2']) {
      const { json } = await use(name, { HF_HOME: root, HF_HUB_CACHE: '', HOME: home });
      expect(json).toMatchObject({ model: name, prompt: '!' });
    }
  });

  it.each([
    ['XDG_CACHE_HOME', (root: string) => join(root, 'huggingface', 'hub')],
    ['HOME', (root: string) => join(root, '.cache', 'huggingface', 'hub')],
  ])('finds it below %s', async (variable, hubIn) => {
    const root = tempDir();
    writeHub(hubIn(root), 'gpt2', { aaa: BYTES });
    const env = { HF_HOME: '', HF_HUB_CACHE: '', XDG_CACHE_HOME: '', HOME: home, [variable]: root };
    const { json } = await use('gpt2', env);
    expect(json.prompt).toBe('!');
  });
});

describe("the user's models", () => {
  it('are in XDG_DATA_HOME/kvgen/models, and come before the Hugging Face cache', async () => {
    const root = tempDir();
    cpSync(BYTES, join(root, 'kvgen', 'models', 'gpt2'), { recursive: true });
    writeHub(join(root, 'hub'), 'gpt2', { aaa: goldenDir('prefix') });
    const { json } = await use('gpt2', { XDG_DATA_HOME: root, HF_HOME: root, HF_HUB_CACHE: '', HOME: home });
    expect(json).toMatchObject({ model: 'gpt2', prompt: '!' });
  });
});

describe('not found', () => {
  const env = () => ({ HOME: home, HF_HOME: '', HF_HUB_CACHE: '', XDG_CACHE_HOME: '', XDG_DATA_HOME: '' });

  it.each([
    ['gpt2', 'kvgen pull openai-community/gpt2'],
    ['gpt2-medium', 'kvgen pull openai-community/gpt2-medium'],
    ['mine', 'kvgen pull <owner>/mine'],
  ])('%s: one line with the command that fetches it, exit 1', async (name, command) => {
    const { code, stdout, stderr } = await kvgen(['-m', name, 'x'], { env: env() });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^kvgen: model '[\w-]+' not found in [^\n]*\n$/);
    expect(stderr).toContain(`\`${command}\``);
    expect(stderr).toContain(join(home, '.cache', 'huggingface', 'hub'));
  });

  it('what contains a separator is a path, what does not is a name', async () => {
    const cwd = tempDir();
    cpSync(BYTES, join(cwd, 'mine'), { recursive: true });
    const name = await kvgen(['-m', 'mine', 'x'], { env: env(), cwd });
    expect(name.code).toBe(1);
    expect(name.stderr).toContain('-m ./mine names a folder');
    const path = await kvgenJson(['-m', './mine', '--backend', 'cpu', '-n', '0', 'x'], { env: env(), cwd });
    expect(path.json.model).toBe('mine');
    const missing = await kvgen(['-m', './stories', 'x'], { env: env(), cwd });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/^kvgen: model folder \/.*\/stories: not found or not a folder; .*\n$/);
  });
});

describe('kvgen models', () => {
  it('lists name, size, context and place; escapes control characters; a broken one does not hide the others', async () => {
    const root = tempDir();
    cpSync(BYTES, join(root, 'kvgen', 'models', 'no\u001b[31mise'), { recursive: true });
    cpSync(BYTES, join(root, 'kvgen', 'models', 'broken'), { recursive: true });
    writeFileSync(join(root, 'kvgen', 'models', 'broken', 'config.json'), '{');
    writeHub(join(root, 'hub'), 'openai-community--gpt2', { aaa: goldenDir('prefix') });
    const env = { XDG_DATA_HOME: root, HF_HOME: root, HF_HUB_CACHE: '', HOME: home };
    const { code, stdout, stderr } = await kvgen(['models'], { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [header, ...rows] = stdout.trimEnd().split('\n');
    expect(header).toMatch(/^NAME +SIZE +CONTEXT +FROM$/);
    expect(rows).toHaveLength(4);
    expect(rows[0]).toMatch(/^stories +7\.1 MB +512 +package: \/.*\/models\/stories$/);
    expect(stdout).toMatch(/^no\\u001b\[31mise +0\.0 MB +40 +user: /m);
    expect(stdout).toMatch(/^broken +0\.0 MB +- +user: \/.*\/broken: not usable: config\.json: not JSON/m);
    expect(stdout).toMatch(
      /^openai-community\/gpt2 +0\.0 MB +\d+ +hugging face cache: .*snapshots\/aaa \(no tokenizer/m,
    );
    expect(visible(stdout)).not.toContain('␛');
    const colored = await kvgen(['models', '--color', 'always'], { env });
    expect(visible(colored.stdout)).toMatch(/^␛\[1mNAME .*␛\[22m\n/);
  });
});

describe('kvgen models, what would load and what would not', () => {
  const ADAPTERS = join(import.meta.dirname, '..', 'fixtures', 'adapters');
  const root = () => {
    const dir = tempDir();
    for (const name of ['base', 'plain', 'patterns']) {
      cpSync(join(ADAPTERS, name), join(dir, 'kvgen', 'models', name), { recursive: true });
    }
    for (const [name, file] of [
      ['onnx', 'model.onnx'],
      ['torn', 'config.json'],
      ['lost', 'adapter_config.json'],
    ] as const) {
      mkdirSync(join(dir, 'kvgen', 'models', name));
      writeFileSync(join(dir, 'kvgen', 'models', name, file), '{"model_type": "gpt2", "peft_type": "IA3"}');
    }
    mkdirSync(join(dir, 'hub', 'models--someone--quantized', 'snapshots', 'abc'), { recursive: true });
    writeFileSync(join(dir, 'hub', 'models--someone--quantized', 'snapshots', 'abc', 'model.gguf'), 'GGUF');
    return { XDG_DATA_HOME: dir, HF_HOME: dir, HF_HUB_CACHE: '', HOME: home };
  };

  it('in one JSON object', async () => {
    const env = root();
    const { code, stdout } = await kvgen(['models', '--json'], { env });
    expect(code).toBe(0);
    const { models, passed_over }: { models: Record<string, unknown>[]; passed_over: string[] } = JSON.parse(stdout);
    expect(passed_over).toEqual([]);
    const loading = models.filter(({ loads }) => loads);
    expect(loading.map(({ name }) => name)).toEqual(['stories', 'base', 'patterns', 'plain']);
    const dir = join(env.XDG_DATA_HOME, 'kvgen', 'models', 'plain');
    expect(loading[3]).toEqual({
      ...{ name: 'plain', source: 'user', dir, bytes: 35072, context: 32, parameters: 8128 },
      ...{ tokenizer: false, loads: true, reason: null },
    });
    const rest = Object.fromEntries(models.filter(({ loads }) => !loads).map(({ name, reason }) => [name, reason]));
    expect(rest).toEqual({
      torn: expect.stringContaining('torn: neither model.safetensors nor pytorch_model.bin: found "config.json"'),
      lost: expect.stringContaining('peft_type: expected "LORA"'),
      onnx: expect.stringContaining('onnx: no config.json: found "model.onnx": ONNX; `kvgen pull'),
      'someone/quantized': expect.stringContaining('model.gguf: truncated: expected 8 bytes'),
    });
  });

  it('as a table; a name of what would not load says the same', async () => {
    const env = root();
    const { code, stdout, stderr } = await kvgen(['models'], { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^plain +0\.0 MB +32 +user: \/.*\/plain \(no tokenizer: takes --prompt-ids alone\)$/m);
    expect(stdout).toMatch(
      /^onnx +0\.0 MB +- +user: \/.*\/onnx: not usable: no config\.json: found "model\.onnx": ONNX; /m,
    );
    for (const name of ['onnx', 'someone/quantized', 'quantized']) {
      const used = await kvgen(['-m', name, '--backend', 'simd', 'x'], { env });
      expect(used).toMatchObject({ code: 1, stdout: '' });
      expect(used.stderr).toMatch(
        /^kvgen: \/.*(: no config\.json: found "model\.onnx"|\/model\.gguf: truncated): [^\n]*\n$/,
      );
    }
  });
});

describe('kvgen tokenize', () => {
  it.each([
    ['an argument', ['Once upon a time'], undefined, '[481,480,259,423]\n'],
    ['stdin', [], 'Once upon a time\n', '[481,480,259,423]\n'],
    ['stdin by name', ['-'], 'Once upon a time\n', '[481,480,259,423]\n'],
    ['nothing', [''], undefined, '[]\n'],
  ])('%s', async (_, args, input, ids) => {
    const ended = await kvgen(['tokenize', ...args], input === undefined ? {} : { input });
    expect(ended).toMatchObject({ code: 0, stdout: ids, stderr: '' });
  });

  it("needs only the tokenizer's files, and loads no TensorFlow", async () => {
    const folder = goldenDir('gpt2-tokenizer');
    const { code, stdout, stderr } = await kvgenProcess(['tokenize', '-m', folder, 'Hello world'], {
      env: { NODE_DEBUG: 'esm' },
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: '[15496,995]\n' });
    expect(stderr).toContain('dist/cli/tokenize/tokenize-command.js');
    expect(stderr).not.toContain('tensorflow');
  });

  it('takes a file, and refuses what is not UTF-8', async () => {
    const path = join(tempDir(), 'text');
    writeFileSync(path, 'Once upon a time\n');
    expect((await kvgen(['tokenize', '-f', path])).stdout).toBe('[481,480,259,423]\n');
    const broken = await kvgen(['tokenize'], { input: Uint8Array.of(0x61, 0xff) });
    expect(broken).toMatchObject({ code: 1, stdout: '' });
    expect(broken.stderr).toMatch(/^kvgen: stdin: not UTF-8 at byte 1; .*\n$/);
  });
});

describe('kvgen doctor', () => {
  it('says what runs here and tests it; exit 1 when something does not work', async () => {
    const { code, stdout, stderr } = await kvgen(['doctor']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const name of ['node', 'engine', 'backend', 'tensorflow', 'models', 'cache key', 'self-test']) {
      expect(stdout).toMatch(new RegExp(`^ok {4}${name}: .+$`, 'm'));
    }
    expect(stdout).toContain('cached equals uncached');
    const plain = await kvgen(['doctor', '--backend', 'cpu']);
    expect(plain.stdout).toContain('ok    backend: cpu, 1 thread\nok    tensorflow: not used by this backend\n');
    const failing = await kvgen(['doctor', '-m', 'no-such-model'], { env: { HOME: home } });
    expect(failing.code).toBe(1);
    expect(failing.stdout).toMatch(/^FAIL {2}self-test: model 'no-such-model' not found in .*$/m);
  });
});
