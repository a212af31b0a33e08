// Only the text of generate is raw. Every other output of every command has no character that controls a terminal, whatever
// stands in prompts and tokens; and its JSON gives these back.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { tempDirs } from '../support/temp-dir.js';
import { BYTES } from './folders.js';
import { kvgenHere as kvgen } from './here.js';
import type { Ended } from './run.js';

const tempDir = tempDirs();
const NASTY = 'a\u007f\u0085\u009b2J\u202e\u2028\u0007';
const MODEL = ['-m', BYTES, '--backend', 'simd', '--threads', '1'];
const TEXT = ['-n', '2', '--seed', '1', NASTY];
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e]/;

let cache: string[];
beforeAll(async () => {
  cache = ['--cache-dir', tempDir()];
  for (const prompt of [NASTY, `${NASTY}b`]) {
    const args = ['--prompt-cache', ...cache, '--verbose', '--echo', ...MODEL, '-n', '1', '--seed', '1', prompt];
    const { stdout, stderr, code } = await kvgen(args);
    expect({ code, echoed: stdout.startsWith(prompt) }).toEqual({ code: 0, echoed: true }); // as it is
    expect(stderr).not.toMatch(CONTROLS);
  }
});

const id = async () => JSON.parse((await kvgen(['cache', 'ls', '--json', ...cache])).stdout).entries[0].id;
const row = JSON.stringify({ id: NASTY, prompt: NASTY, max_tokens: 2, seed: 1, logprobs: 2, echo: true });

describe('no control character leaves', () => {
  it.each<[string, () => Promise<string[]> | string[], string?]>([
    ['generate --json', () => ['--json', ...MODEL, ...TEXT]],
    ['generate --jsonl', () => ['--jsonl', '--echo', '--logprobs', '2', ...MODEL, ...TEXT]],
    ['score', () => ['score', '--choices', `${NASTY}|b`, ...MODEL, NASTY]],
    ['score --json', () => ['score', '--json', '--choices', `${NASTY}|b`, ...MODEL, NASTY]],
    ['batch', () => ['batch', ...MODEL], `${row}\n`],
    ['tokenize', () => ['tokenize', '-m', BYTES, NASTY]],
    ['cache ls', () => ['cache', 'ls', ...cache]],
    ['cache ls --json', () => ['cache', 'ls', '--json', ...cache]],
    ['cache show', async () => ['cache', 'show', ...cache, await id()]],
    ['cache show --json', async () => ['cache', 'show', '--json', ...cache, await id()]],
    ['cache path', () => ['cache', 'path', '--cache-dir', `./${NASTY}`]],
    ['pull', () => ['pull', NASTY]],
    ['an error', () => ['-m', `./${NASTY}`, 'x']],
    ['a wrong option', () => [`--${NASTY}`, 'x']],
  ])('by kvgen %s', async (name, args, input = '') => {
    const { stdout, stderr }: Ended = await kvgen(await args(), { input });
    expect(stdout + stderr).not.toMatch(CONTROLS);
    for (const line of /json|batch/.test(name) ? stdout.trimEnd().split('\n') : []) {
      expect(JSON.parse(line)).toBeTypeOf('object');
    }
    if (['generate --json', 'score --json', 'batch'].includes(name)) {
      expect(JSON.stringify(JSON.parse(stdout))).toContain(JSON.stringify(NASTY));
    }
  });
});

it('JSON is made in one place', () => {
  const root = fileURLToPath(new URL('../../src/cli', import.meta.url));
  const makers = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && readFileSync(`${root}/${file}`, 'utf8').includes('JSON.stringify'))
    .map((file) => file.replaceAll('\\', '/'));
  expect(makers.sort()).toEqual(['generate/answer-cache.ts', 'shell/escape.ts']); // the first asks a question
});
