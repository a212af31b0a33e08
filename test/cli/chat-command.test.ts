// `kvgen chat` without a terminal: every line is a turn. Sessions: what is saved, how it goes on, what is refused.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeChatModel } from '../support/chat-folder.js';
import { tempDirs } from '../support/temp-dir.js';
import { kvgenHere } from './here.js';

const tempDir = tempDirs();
let dir: string;
beforeAll(() => {
  dir = writeChatModel(tempDir(), { positions: 512 });
});
const ON = ['--backend', 'simd', '--threads', '1', '--temp', '0', '-n', '4', '--ignore-eos'];
/** Every token is a z. */
const Z = ['--logit-bias', '122=1000'];

function chat(state: string, input: string, args: readonly string[], env: Record<string, string> = {}) {
  return kvgenHere(['chat', ...ON, ...args], { input, env: { XDG_STATE_HOME: state, KVGEN_CACHE_DIR: state, ...env } });
}

const sessionOf = (state: string, name: string) =>
  JSON.parse(readFileSync(join(state, 'kvgen', 'chats', `${name}.json`), 'utf8'));

/** Prompt and reused tokens of each turn, as its line says. */
const counts = (stderr: string) =>
  [...stderr.matchAll(/prompt (\d+) tokens? \((\d+) reused\)/g)].map(([, prompt, reused]) => [
    Number(prompt),
    Number(reused),
  ]);

describe('lines', () => {
  it('are turns, whatever is in them; an answer ends with one newline', async () => {
    const state = tempDir();
    const ended = await chat(state, 'a\n\n/help\r\n"""b', ['-m', dir, ...Z, '--verbose', 's']);
    expect(ended).toMatchObject({ code: 0, stdout: 'zzzz\nzzzz\nzzzz\n' });
    expect(sessionOf(state, 's').turns.map(({ user }: { user: string }) => user)).toEqual(['a', '/help', '"""b']);
    const [first, second, third] = counts(ended.stderr) as [number[], number[], number[]];
    expect([first[1], second[1], third[1]]).toEqual([0, (first[0] as number) + 3, (second[0] as number) + 3]);
  });

  it('of a model without a template go on with its text, apart from it where words would run together', async () => {
    const state = tempDir();
    const plain = writeChatModel(tempDir(), { template: null });
    const ended = await chat(state, 'a\nb\n, c\n', ['-m', plain, ...Z, '--verbose', 's']);
    expect(ended).toMatchObject({ code: 0, stdout: 'zzzz\nzzzz\nzzzz\n' });
    expect(sessionOf(state, 's').text).toBe('azzzz bzzzz, czzzz');
  });

  it('control characters of an answer are escaped', async () => {
    const ended = await chat(tempDir(), 'a\n', ['-m', dir, '--logit-bias', '27=1000']);
    expect(ended.stdout).toBe('\\u001b\\u001b\\u001b\\u001b\n');
  });

  it('what cannot be said ends the run', async () => {
    const refusing = writeChatModel(tempDir(), {
      template: "{% if messages|length > 1 %}{{ raise_exception('once') }}{% endif %}<|im_start|>",
    });
    const ended = await chat(tempDir(), 'a\nb\n', ['-m', refusing, ...Z]);
    expect(ended).toMatchObject({ code: 1, stdout: 'zzzz\n' });
    expect(ended.stderr).toMatch(/: the chat template: turn 2 \(assistant\): once\n$/);
    expect(await chat(tempDir(), 'a\n', ['-m', dir, '--no-bos'])).toMatchObject({
      code: 1,
      stderr: 'kvgen: --no-bos cannot go with a chat template, which alone says what comes first\n',
    });
    const full = await chat(tempDir(), `${'a'.repeat(600)}\n`, ['-m', dir]);
    expect(full).toMatchObject({
      code: 1,
      stdout: '',
      stderr:
        'kvgen: the prompt has 619 tokens and the context 512: no room for one more; /undo takes back a turn, --on-full reprefill drops the oldest\n',
    });
  });
});

describe('a session', () => {
  it('goes on without prefill, with its model and settings', async () => {
    const state = tempDir();
    await chat(state, 'a\nb\n', ['-m', dir, ...Z, '--system', 'S', '--seed', '7', 's']);
    const { text, ids, ...saved } = sessionOf(state, 's');
    expect(saved).toMatchObject({
      system: 'S',
      seed: 7,
      answers: 2,
      settings: { model: dir, logitBias: { 122: 1000 } },
    });
    const env = { XDG_STATE_HOME: state, KVGEN_CACHE_DIR: state };
    const ended = await kvgenHere(['chat', '--verbose', 's'], { input: 'c\n', env });
    expect(ended).toMatchObject({ code: 0, stdout: 'zzzz\n' });
    expect(counts(ended.stderr)[0]?.[1]).toBe(ids.length - 1);
    expect(ended.stderr).toContain('seed 9');
    expect(sessionOf(state, 's').text.startsWith(text)).toBe(true);
    const reset = await chat(state, 'd\n', ['--verbose', '--no-prompt-cache', 's']);
    expect(counts(reset.stderr)[0]?.[1]).toBe(0);
  });

  it('that was changed, or is of another model, is read anew or refused', async () => {
    const state = tempDir();
    await chat(state, 'a\n', ['-m', dir, ...Z, 's']);
    const file = join(state, 'kvgen', 'chats', 's.json');
    const session = sessionOf(state, 's');
    writeFileSync(file, JSON.stringify({ ...session, ids: [1, 2, 3] }));
    const ended = await chat(state, 'b\n', ['--verbose', 's']);
    const [[prompt = 0]] = counts(ended.stderr) as [number[]];
    expect(sessionOf(state, 's').ids.length).toBe(prompt + 4);
    for (const text of ['{', JSON.stringify({ ...session, turns: [7] }), JSON.stringify({ ...session, format: 9 })]) {
      writeFileSync(file, text);
      const { code, stderr } = await chat(state, 'b\n', ['s']);
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/^kvgen: .*s\.json: no session of kvgen chat \(.+\); remove it, or take another name\n$/),
      ]);
      expect(readFileSync(file, 'utf8')).toBe(text);
    }
  });

  it('is sealed where what is saved is', async () => {
    const state = tempDir();
    const key = join(tempDir(), 'key');
    writeFileSync(key, 'a passphrase that is longer than thirty-two bytes', { mode: 0o600 });
    const env = { KVGEN_CACHE_KEY_FILE: key };
    await chat(state, 'secret\n', ['-m', dir, ...Z, 's'], env);
    const [file = ''] = readdirSync(join(state, 'kvgen', 'chats'));
    expect(file).toMatch(/^sealed-/);
    expect(readFileSync(join(state, 'kvgen', 'chats', file), 'latin1')).not.toContain('secret');
    const ended = await chat(state, 'b\n', ['--verbose', 's'], env);
    expect(counts(ended.stderr)[0]?.[1]).toBeGreaterThan(0);
  });

  it('has a name that is no path; options that cannot go together are named', async () => {
    for (const [args, message] of [
      [['../s'], 'session "../s": expected at most 64 of A-Z a-z 0-9 _ . - and no . or - first'],
      [['--no-cache', '--prompt-cache'], '--no-cache cannot go with --prompt-cache'],
      [['--draft-model', 'stories'], '--draft-model needs --draft'],
      [['--json'], "unknown option '--json'; `kvgen chat --help` lists what there is"],
    ] as const) {
      expect(await chat(tempDir(), '', args)).toMatchObject({ code: 2, stderr: `kvgen: ${message}\n` });
    }
  });
});

it('completion lists the sessions', async () => {
  const state = tempDir();
  await chat(state, 'a\n', ['-m', dir, 'b']);
  await chat(state, 'a\n', ['-m', dir, 'a.1']);
  const env = { XDG_STATE_HOME: state };
  expect((await kvgenHere(['completion', 'sessions'], { env })).stdout).toBe('a.1\nb\n');
  expect((await kvgenHere(['completion', 'bash'], { env })).stdout).toContain('_kvgen_sessions; return');
});
