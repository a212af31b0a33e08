// kvgen score: choices and perplexity, against what Hugging Face computes (test/fixtures/make-scores.py).

import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { goldenDir } from '../../support/golden.js';
import { tempDirs } from '../../support/temp-dir.js';
import { BYTES } from '../folders.js';
import { kvgenHere as kvgen } from '../here.js';

const tempDir = tempDirs();
const scores = JSON.parse(readFileSync('test/fixtures/scores.json', 'utf8'));
const score = (...args: string[]) => kvgen(['score', '-m', BYTES, ...args]);
const choices = scores.choices.map(({ text }: Choice) => text).join('|');

interface Choice {
  readonly text: string;
  readonly tokens: number;
  readonly logprob: number;
}

async function scoreJson(...args: string[]) {
  const { code, stdout, stderr } = await score('--json', ...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

function fileWith(content: string): string {
  const path = join(tempDir(), 'text.txt');
  writeFileSync(path, content);
  return path;
}

/** BYTES with a token more than the model has. */
function withAddedToken(dir: string): string {
  cpSync(BYTES, dir, { recursive: true });
  const path = join(dir, 'tokenizer.json');
  const tokenizer = JSON.parse(readFileSync(path, 'utf8'));
  tokenizer.added_tokens.push({ ...tokenizer.added_tokens[0], id: 999, content: '<extra>' });
  tokenizer.model.vocab['<extra>'] = 999;
  writeFileSync(path, JSON.stringify(tokenizer));
  return dir;
}

describe('choices', () => {
  const expected = () => {
    const total = scores.choices.reduce((sum: number, { logprob }: Choice) => sum + Math.exp(logprob), 0);
    const ranked = scores.choices.toSorted((a: Choice, b: Choice) => b.logprob - a.logprob);
    return ranked.map(({ text, tokens, logprob }: Choice) => ({
      text,
      tokens,
      logprob: expect.closeTo(logprob, 3),
      logprob_per_token: expect.closeTo(logprob / tokens, 3),
      logprob_per_byte: expect.closeTo(logprob / Buffer.byteLength(text), 3),
      probability: expect.closeTo(Math.exp(logprob) / total, 5),
    }));
  };

  it.each(['node', 'cpu'])('of unequal lengths, as one batch, are those of Hugging Face: %s', async (backend) => {
    const found = await scoreJson('--backend', backend, '--choices', choices, scores.prompt);
    expect(found).toEqual({ prompt_tokens: expect.any(Number), choices: expected() });
  });

  it('from a file, with the engine captured, and with the prompt from a file', async () => {
    const lines = fileWith(`${choices.replaceAll('|', '\n')}\n`);
    const found = await scoreJson('--engine', 'graph', '--choices-file', lines, '-f', fileWith(scores.prompt));
    expect(found.choices).toEqual(expected());
  });

  it('are the same with a prompt that was kept', async () => {
    const args = ['--verbose', '--prompt-cache', '--cache-dir', tempDir(), '--choices', choices, scores.prompt];
    const [first, second] = [await score(...args), await score(...args)];
    expect(second.stdout).toBe(first.stdout);
    expect(first.stderr).toMatch(
      /^prompt \d+ tokens \(0 reused\) · prefill \d+ ms\nprompt cache: nothing is stored yet\n$/,
    );
    expect(second.stderr).toMatch(/^prompt (\d+) tokens \(\1 reused\) · prefill \d+ ms\n$/);
  });

  it('as a table, best first', async () => {
    const { stdout } = await score('--choices', choices, scores.prompt);
    const [head, ...rows] = stdout.trimEnd().split('\n');
    expect(head).toMatch(/^CHOICE +TOKENS +LOGPROB +PER TOKEN +PER BYTE +PROBABILITY$/);
    expect(rows.map((row) => JSON.parse(/^".*?"/.exec(row)?.[0] ?? '""'))).toEqual(
      expected().map(({ text }: Choice) => text),
    );
  });

  it('many: more than one pass', async () => {
    const many = Array.from({ length: 120 }, (_, i) => ` number ${i}`);
    const [all, last] = await Promise.all([
      scoreJson('--choices', many.join('|'), 'x'),
      scoreJson('--choices', many.slice(-1).join(), 'x'),
    ]);
    expect(all.choices).toHaveLength(120);
    const found = all.choices.find(({ text }: Choice) => text === many.at(-1));
    expect(found.logprob).toBeCloseTo(last.choices[0].logprob, 3);
  });

  it('that do not fit are refused with the numbers', async () => {
    const { code, stderr } = await score('--choices', 'a|0123456789', 'x'.repeat(35));
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^kvgen: the choice "0123456789" has 10 tokens and the prompt 35: more than the context of 40; .*\n$/,
    );
    const nothing = await score('--choices-file', fileWith('\n'), 'x');
    expect(nothing.stderr).toMatch(/^kvgen: .*text\.txt: expected choices, one a line, found none\n$/);
    const empty = await score('--choices-file', fileWith('a\n\nb\n'), 'x');
    expect(empty.stderr).toMatch(/^kvgen: .*text\.txt: line 2: expected a choice, found nothing; .*\n$/);
  });
});

describe('--perplexity', () => {
  it.each(Object.keys(scores.strides))('with a stride of %s is the recipe of Hugging Face', async (stride) => {
    const found = await scoreJson('--perplexity', fileWith(scores.text), '--stride', stride);
    near(found, scores.strides[stride]);
    if (stride === '20') {
      near(await scoreJson('--perplexity', fileWith(scores.text), '--backend', 'cpu'), scores.strides[stride]); // the default
    }
  });

  it('per document, each between two end-of-text tokens', async () => {
    const text = scores.documents.map((document: string) => `${document}\n<|endoftext|>\n`).join('');
    near(await scoreJson('--perplexity', fileWith(text), '--per-document'), scores.per_document);
    const windows = text.replaceAll('\n', '\r\n').replace(/<\|endoftext\|>\s*$/, '\n \n');
    near(await scoreJson('--perplexity', fileWith(windows), '--per-document'), scores.per_document);
  });

  it('needs a context of two, and ids that the model has', async () => {
    const narrow = await score('--perplexity', fileWith(scores.text), '-c', '1');
    expect([narrow.code, narrow.stderr]).toEqual([
      1,
      'kvgen: --ctx-size 1: a loss needs two tokens or more in the context\n',
    ]);
    const dir = withAddedToken(tempDir());
    for (const args of [
      ['--perplexity', fileWith('x<extra>')],
      ['--choices', 'a|<extra>', 'x'],
      ['--choices', 'a', '<extra>'],
    ]) {
      const { code, stdout, stderr } = await kvgen(['score', '-m', dir, '--backend', 'cpu', ...args]);
      expect({ code, stdout, stderr }).toEqual({
        code: 1,
        stdout: '',
        stderr: 'kvgen: token id 999: expected a whole number from 0 to 287 (vocab_size − 1)\n',
      });
    }
  });

  it('in words', async () => {
    const { stdout } = await score('--perplexity', fileWith(scores.text));
    expect(stdout).toMatch(/^perplexity [\d.]+ · [\d.]+ nats per token · [\d.]+ bits per byte · \d+ tokens\n$/);
  });

  it('of a text of one token has no loss', async () => {
    const { code, stderr } = await score('--perplexity', fileWith('x'));
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/text\.txt: expected a text of two tokens or more, found fewer\n$/),
    ]);
    const wide = await score('--perplexity', fileWith('xyz'), '--stride', '41');
    expect([wide.code, wide.stderr]).toEqual([1, 'kvgen: --stride 41: the context has 40 tokens; give 40 or less\n']);
  });

  function near(found: Record<string, number>, golden: Record<string, number>): void {
    expect(Object.keys(found)).toEqual(['tokens', 'loss', 'perplexity', 'bits_per_byte']);
    expect(found.tokens).toBe(golden.tokens);
    for (const name of ['loss', 'perplexity', 'bits_per_byte']) {
      expect((found[name] as number) / (golden[name] as number)).toBeCloseTo(1, 4);
    }
  }
});

it.each([
  [['x'], 'expected one of --choices, --choices-file and --perplexity'],
  [['--choices', 'a', '--perplexity', 'f', 'x'], 'expected one of --choices, --choices-file and --perplexity'],
  [['--choices', 'a||b', 'x'], '--choices must be texts with | between them, none of them empty, got "a||b"'],
  [['--perplexity', 'f', 'x'], '--perplexity cannot go with a prompt'],
  [['--perplexity', 'f', '--prompt-cache'], '--prompt-cache is for choices: a text is not kept'],
  [['--choices', 'a', '--stride', '5', 'x'], '--stride needs --perplexity'],
  [['--choices', 'a', '--per-document', 'x'], '--per-document needs --perplexity'],
  [['--perplexity', 'f', '--stride', '0'], '--stride must be a whole number in 1 … 2^53−1, got 0'],
  [['--choices', 'a', '--prompt-ids', '1', 'x'], '--prompt-ids cannot go with a prompt'],
])('kvgen score %j: exit 2', async (args, message) => {
  const { code, stdout, stderr } = await kvgen(['score', ...args]);
  expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: `kvgen: ${message}\n` });
});

it('choices need a tokenizer, also behind a prompt of ids', async () => {
  const { code, stderr } = await kvgen(['score', '-m', goldenDir('untied'), '--prompt-ids', '1', '--choices', 'a']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^kvgen: .*untied: no tokenizer: .*\n$/);
});
