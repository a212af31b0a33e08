// Added and special tokens, what comes before a prompt and where a text ends, through the commands. The folders and the ids
// that are expected of them: Hugging Face transformers 4.57.6 in float32.

import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generate, loadModel } from '../../../src/index.js';
import { tempDirs } from '../../support/temp-dir.js';
import { kvgenHere, kvgenJsonHere } from '../here.js';

const ADDED = 'test/fixtures/token-folders/added-tokens';
const BOS = 'test/fixtures/token-folders/bos-template';
const FAST = ['--backend', 'simd', '--threads', '1', '--temp', '0'];
const tempDir = tempDirs();

/** A copy of a folder, with a file changed. */
function changed(from: string, name: string, change: (json: Record<string, unknown>) => object): string {
  const dir = tempDir();
  cpSync(from, dir, { recursive: true });
  const path = join(dir, name);
  writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')))));
  return dir;
}

async function run(...args: string[]) {
  const { json } = await kvgenJsonHere([...FAST, ...args]);
  const { prompt_ids, ids, text, finish_reason } = json;
  return { prompt_ids, ids, text, finish_reason };
}

const USER = '<|user|>Hi<|bot|>';
const IDS = [80, 87, 259, 64, 259, 23, 169, 169];
const SHOWN = 'PW<|bot|>@<|bot|>\u0017\ufffd\ufffd';
const HIDDEN = 'PW@\u0017\ufffd\ufffd';

describe('special tokens', () => {
  it('are ids of a prompt and of a text, and text with --special alone', async () => {
    const expected = { prompt_ids: [258, 72, 105, 259], ids: IDS, finish_reason: 'length' };
    expect(await run('-m', ADDED, '-n', '8', USER)).toEqual({ ...expected, text: HIDDEN });
    expect(await run('-m', ADDED, '-n', '8', '--special', USER)).toEqual({ ...expected, text: SHOWN });
  });

  it('are seen where they are ordinary added tokens', async () => {
    const dir = changed(ADDED, 'special_tokens_map.json', () => ({ bos_token: '<|endoftext|>' }));
    expect((await run('-m', dir, '-n', '8', USER)).text).toBe(SHOWN);
  });

  it('are events with the text that is in the whole', async () => {
    const { stdout } = await kvgenHere([...FAST, '-m', ADDED, '-n', '8', '--jsonl', USER]);
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const done = events.pop();
    expect(events.map(({ id }) => id)).toEqual(IDS);
    expect(events.map(({ text }) => text).join('')).toBe(HIDDEN);
    expect(done.text).toBe(HIDDEN);
  });

  it('have their own text among log-probabilities', async () => {
    const { json } = await kvgenJsonHere([...FAST, '-m', ADDED, '-n', '3', '--logprobs', '1', USER]);
    expect([json.text, json.tokens.map(({ text }: { text: string }) => text)]).toEqual(['PW', ['P', 'W', '<|bot|>']]);
  });

  it('stop a text whose stop string they are', async () => {
    const expected = { ids: [80, 87, 259], text: 'PW', finish_reason: 'stop' };
    expect(await run('-m', ADDED, '-n', '8', '--stop', '<|bot|>', USER)).toMatchObject(expected);
  });

  it('are a setting of a row of a batch, and of the library', async () => {
    const rows = [{ special: true }, {}].map((row) => JSON.stringify({ prompt: USER, max_tokens: 8, ...row }));
    const { stdout } = await kvgenHere(['batch', ...FAST, '-m', ADDED], { input: rows.join('\n') });
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).text),
    ).toEqual([SHOWN, HIDDEN]);
    const model = await loadModel(`./${ADDED}`, { backend: 'simd', threads: 1 });
    let text = '';
    for await (const token of generate(model, USER, { maxTokens: 8, temperature: 0, special: true })) {
      text += token.text;
    }
    model.dispose();
    expect(text).toBe(SHOWN);
  });

  it('beyond the model are refused', async () => {
    const dir = changed(ADDED, 'added_tokens.json', (json) => ({ ...json, '<far>': 260 }));
    const { code, stderr } = await kvgenHere([...FAST, '-m', dir, 'a<far>']);
    expect([code, stderr]).toEqual([
      1,
      'kvgen: token id 260: expected a whole number from 0 to 259 (vocab_size − 1)\n',
    ]);
  });
});

describe('what a tokenizer puts before a text', () => {
  it('comes before a prompt, unless --no-bos', async () => {
    const six = Array.from({ length: 8 }, () => 54);
    expect(await run('-m', BOS, '-n', '8', 'Hi')).toMatchObject({ prompt_ids: [256, 72, 105], ids: six });
    const without = { prompt_ids: [72, 105], ids: [60, 60, ...six.slice(2)] };
    expect(await run('-m', BOS, '-n', '8', '--no-bos', 'Hi')).toMatchObject(without);
    expect(await run('-m', BOS, '-n', '8', '--prompt-ids', '72,105')).toMatchObject(without);
    expect((await run('-m', BOS, '-n', '1', '')).prompt_ids).toEqual([256]);
  });

  it('comes before the prompts of a batch, row by row', async () => {
    const rows = ['{"prompt":"Hi"}', '{"prompt":"Hi","no_bos":true}'];
    const { stdout } = await kvgenHere(['batch', ...FAST, '-n', '1', '-m', BOS], { input: rows.join('\n') });
    const ids = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).prompt_ids);
    expect(ids).toEqual([
      [256, 72, 105],
      [72, 105],
    ]);
  });

  it('comes before the prompt of a score, and before no choice', async () => {
    const score = async (...args: string[]) => {
      const words = ['score', '-m', BOS, '--backend', 'simd', '--choices', 'a|b', '--json', ...args, 'Hi'];
      return JSON.parse((await kvgenHere(words)).stdout);
    };
    const scored = await score();
    expect(scored.prompt_tokens).toBe(3);
    expect(scored.choices.map(({ tokens }: { tokens: number }) => tokens)).toEqual([1, 1]);
    expect((await score('--no-bos')).prompt_tokens).toBe(2);
  });

  it('is scored with the first token of a text', async () => {
    const file = join(tempDir(), 'text.txt');
    writeFileSync(file, 'Hi');
    const perplexity = async (...args: string[]) =>
      JSON.parse(
        (await kvgenHere(['score', '-m', BOS, '--backend', 'simd', '--perplexity', file, '--json', ...args])).stdout,
      );
    expect((await perplexity()).tokens).toBe(2);
    expect((await perplexity('--no-bos')).tokens).toBe(1);
  });

  it('is there twice where the prompt has it, which --verbose tells', async () => {
    const twice = ['-m', BOS, '-n', '1', '<|endoftext|>Hi'];
    expect((await run(...twice)).prompt_ids).toEqual([256, 256, 72, 105]);
    expect((await kvgenHere([...FAST, '--verbose', ...twice])).stderr).toContain('--no-bos leaves the second out');
    expect((await kvgenHere([...FAST, ...twice])).stderr).toBe('');
  });

  it('is printed by tokenize, with what comes behind where that is asked for', async () => {
    const template = { type: 'BertProcessing', cls: ['<a>', 5], sep: ['<b>', 6] };
    const dir = changed(BOS, 'tokenizer.json', (json) => ({ ...json, post_processor: template }));
    const idsOf = async (...args: string[]) => (await kvgenHere(['tokenize', '-m', dir, ...args, 'Hi'])).stdout;
    expect(await idsOf()).toBe('[5,72,105]\n');
    expect(await idsOf('--all-special')).toBe('[5,72,105,6]\n');
    expect(await idsOf('--no-bos')).toBe('[72,105]\n');
    for (const args of [
      ['--no-bos', '--all-special'],
      ['--decode', '--no-bos'],
      ['--decode', '--all-special'],
    ]) {
      expect((await kvgenHere(['tokenize', '-m', dir, ...args, '1'])).code).toBe(2);
    }
  });
});

it('a text ends at the eos_token of the tokenizer where no config names an id', async () => {
  const dir = changed(ADDED, 'tokenizer_config.json', (json) => ({ ...json, eos_token: '<|bot|>' }));
  const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'));
  rmSync(join(dir, 'generation_config.json'));
  rmSync(join(dir, 'special_tokens_map.json'));
  const write = (eos_token_id: unknown) =>
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, eos_token_id }));
  for (const none of [undefined, null]) {
    write(none);
    expect(await run('-m', dir, '-n', '8', USER)).toMatchObject({ ids: [80, 87], text: 'PW', finish_reason: 'stop' });
    expect((await run('-m', dir, '-n', '8', '--ignore-eos', USER)).ids).toEqual(IDS);
  }
  write(87);
  expect((await run('-m', dir, '-n', '8', USER)).ids).toEqual([80]);
});
