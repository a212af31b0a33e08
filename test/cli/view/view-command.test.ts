import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AttentionRow, RunRecord } from '../../../src/view/run-record.js';
import { familyDir } from '../../support/families.js';
import { tempDirs } from '../../support/temp-dir.js';
import { kvgenHere, kvgenJsonHere } from '../here.js';

const tempDir = tempDirs();
const SIMD = ['--backend', 'simd', '--threads', '1'];

/** Runs `kvgen view`, and reads what --record wrote. */
async function viewed(args: readonly string[], dir = tempDir(), env: NodeJS.ProcessEnv = {}) {
  const ended = await kvgenHere(['view', ...SIMD, '--record', 'run.json', ...args], { cwd: dir, env });
  expect([ended.stderr, ended.code]).toEqual([expect.stringContaining('run.json: '), 0]);
  const record = JSON.parse(readFileSync(join(dir, 'run.json'), 'utf8')) as RunRecord;
  return { ...ended, record };
}

/** What is measured or random in a report differs from run to run. */
function settled({ report }: RunRecord): object {
  return { ...report, ...unmeasured };
}

const unmeasured = {
  load_ms: 0,
  prompt_ms: 0,
  first_token_ms: 0,
  decode_ms: 0,
  prompt_tps: 0,
  generation_tps: 0,
  peak_rss_bytes: 0,
};

function sumOf(row: AttentionRow): number {
  const [weights, rest] = 'top' in row ? [row.top.map(([, weight]) => weight), row.rest] : [row, 0];
  return weights.reduce((sum, weight) => sum + weight, rest);
}

describe('kvgen view --record', () => {
  it('holds the object of --json --echo --logprobs, prefill and times, and what each head looks at', async () => {
    const text = ['-n', '12', '--seed', '7', 'Once upon a time'];
    const { record, stdout } = await viewed(text);
    const { json } = await kvgenJsonHere(['generate', ...SIMD, '--echo', '--logprobs', '10', ...text]);
    expect(stdout).toBe('');
    expect(settled(record)).toEqual({ ...json, ...unmeasured });
    expect(record.report.tokens[0]?.top?.length).toBe(10);
    expect(record.model).toEqual({
      modelType: 'gpt2',
      nLayer: 6,
      nHead: 6,
      nKvHead: 6,
      headDim: 32,
      nCtx: 512,
      bytesPerPosition: 9216,
    });
    expect(record.prefill).toEqual([{ from: 0, to: 4, source: 'computed', ms: expect.any(Number) }]);
    expect(record.steps.length).toBe(12);
    for (const { cachedMs, uncachedMs } of record.steps) {
      expect([cachedMs, uncachedMs].every((ms) => typeof ms === 'number' && ms > 0)).toBe(true);
    }
    const layers = record.attention?.layers ?? [];
    expect([layers.length, ...layers.map((heads) => heads.length)]).toEqual([6, 6, 6, 6, 6, 6, 6]);
    for (const rows of layers.flat()) {
      expect(rows.map((row) => ('top' in row ? 0 : row.length))).toEqual(Array.from({ length: 15 }, (_, t) => t + 1));
      expect(Math.max(...rows.map((row) => Math.abs(sumOf(row) - 1)))).toBeLessThan(1e-5);
    }
  });

  it('with --prompt-cache, what is reused stays reused, and its attention and log-probabilities are there', async () => {
    const dir = tempDir();
    const text = ['--prompt-cache', '--cache-dir', dir, '-n', '6', '--temp', '0', '-m', familyDir('llama-tied')];
    const ids = ['--prompt-ids', '5,9,1,7,7,30,2,8'];
    const { record: first } = await viewed([...text, ...ids], dir);
    const { record: again } = await viewed([...text, ...ids], dir);
    expect(first.prefill.map(({ source }) => source)).toEqual(['computed']);
    expect(again.prefill).toEqual([{ from: 0, to: 8, source: 'disk', ms: expect.any(Number) }]);
    expect(again.report.ids).toEqual(first.report.ids);
    expect(again.attention).toEqual(first.attention);
    expect(again.attention?.layers[0]?.[0]?.length).toBe(13);
    const { json } = await kvgenJsonHere([...SIMD, '--echo', '--logprobs', '10', ...text.slice(3), ...ids]);
    expect(again.report.prompt_tokens_detail).toEqual(json.prompt_tokens_detail);
    expect(again.report.tokens).toEqual(json.tokens);
  });

  it('--no-cache: no time with the cache; --draft: the same text, and a time for each token', async () => {
    const { record } = await viewed(['--no-cache', '-n', '3', 'Once upon a time']);
    expect(record.prefill.map(({ from, to }) => [from, to])).toEqual([[0, 4]]);
    expect(record.steps.map(({ cachedMs }) => cachedMs)).toEqual([null, null, null]);
    expect(record.report.cache.enabled).toBe(false);
    const text = ['--temp', '0', '-n', '20', 'the cat sat. the cat sat. the cat sat. the cat'];
    const [plain, drafted] = [await viewed(text), await viewed(['--draft', '4', ...text])];
    expect(drafted.record.report.ids).toEqual(plain.record.report.ids);
    expect(drafted.record.attention).toEqual(plain.record.attention);
    expect(drafted.record.steps.length).toBe(20);
  });

  it('-n 0: the prompt alone', async () => {
    const { record } = await viewed(['-n', '0', 'Once upon a time']);
    expect([record.steps, record.report.tokens]).toEqual([[], []]);
    expect(record.attention?.layers[5]?.[5]?.length).toBe(4);
  });

  it('refuses where it cannot write before it loads a model', async () => {
    const dir = tempDir();
    const { code, stderr } = await kvgenHere(['view', '-m', './none', '--record', dir, 'x']);
    expect([code, stderr]).toEqual([
      1,
      `kvgen: ${dir}: expected a file or nothing, found a folder; name another file\n`,
    ]);
    const missing = join(dir, 'none', 'x.json');
    const gone = await kvgenHere(['view', '-m', './none', '--record', missing, 'x']);
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining(`kvgen: ${missing}: there is no folder `)]);
    expect(existsSync(join(dir, 'none'))).toBe(false);
  });

  it('--record - is stdout; a byte order mark before a record is nothing', async () => {
    const dir = tempDir();
    const { stdout, stderr } = await kvgenHere(['view', ...SIMD, '-n', '1', '--record', '-', 'hi'], { cwd: dir });
    expect(JSON.parse(stdout).format).toBe('kvgen-run');
    expect(stderr).toMatch(/^kvgen: kvgen-view\.html: 1 token, \d\.\d MB\n$/);
    writeFileSync(join(dir, 'marked.json'), `\ufeff${stdout}`);
    const again = await kvgenHere(['view', '-o', '-', 'marked.json'], { cwd: dir });
    expect(again.stdout).toBe(readFileSync(join(dir, 'kvgen-view.html'), 'utf8'));
  });

  it.each([
    [['-o', 'x.json', 'x.json'], '--output cannot name the record that is drawn'],
    [['-f', 'x.json', '-o', './x.json'], '--output cannot name the file of --file'],
    [['-f', 'x.json', '--record', 'x.json'], '--record cannot name the file of --file'],
    [['-o', '-', '--record', '-', 'hi'], '--record cannot name the file of --output'],
  ])('%j would write over what it reads or writes', async (args, message) => {
    const dir = tempDir();
    writeFileSync(join(dir, 'x.json'), '{}');
    const { code, stderr } = await kvgenHere(['view', ...args], { cwd: dir });
    expect([code, stderr]).toEqual([2, `kvgen: ${message}\n`]);
    expect(readFileSync(join(dir, 'x.json'), 'utf8')).toBe('{}');
  });

  it('one file cannot be both', async () => {
    const { code, stderr } = await kvgenHere(['view', '-o', './run.json', '--record', 'run.json', 'x']);
    expect([code, stderr]).toEqual([2, 'kvgen: --record cannot name the file of --output\n']);
  });

  it('knows no option that makes no sense for one page', async () => {
    for (const option of [
      '--json',
      '--jsonl',
      '--samples=2',
      '--answer-cache',
      '--verify-cache',
      '--no-stream',
      '--server=x',
    ]) {
      const { code, stderr } = await kvgenHere(['view', option, 'x']);
      expect([code, stderr]).toEqual([2, expect.stringContaining('unknown option')]);
    }
  });
});

describe('kvgen view FILE', () => {
  it('draws the same page again, without a model', async () => {
    const dir = tempDir();
    const first = await viewed(['-n', '3', '--seed', '1', '-o', 'page.html', 'Once upon'], dir);
    const page = readFileSync(join(dir, 'page.html'), 'utf8');
    expect(first.stderr).toMatch(/^kvgen: run\.json: 3 tokens, \d\.\d MB\nkvgen: page\.html: 3 tokens, \d\.\d MB\n$/);
    expect(page.startsWith('<!doctype html>')).toBe(true);
    const again = await kvgenHere(['view', '-o', '-', 'run.json'], { cwd: dir, env: { KVGEN_MODEL: 'none' } });
    expect([again.code, again.stderr, again.stdout]).toEqual([0, '', page]);
    const named = await kvgenHere(['view', 'run.json'], { cwd: dir });
    expect([named.code, named.stdout]).toEqual([0, '']);
    expect(readFileSync(join(dir, 'kvgen-view.html'), 'utf8')).toBe(page);
    expect(readdirSync(dir).sort()).toEqual(['kvgen-view.html', 'page.html', 'run.json']);
  });

  it('a record by another name is one; a prompt that is the name of another file, or a long one, is a prompt', async () => {
    const dir = tempDir();
    await viewed(['-n', '1', 'hi'], dir);
    renameSync(join(dir, 'run.json'), join(dir, 'run'));
    const page = readFileSync(join(dir, 'kvgen-view.html'), 'utf8');
    expect((await kvgenHere(['view', '-o', '-', 'run'], { cwd: dir })).stdout).toBe(page);
    writeFileSync(join(dir, 'cat'), 'a cat');
    const { record } = await viewed(['-n', '1', 'cat'], dir);
    expect(record.report.prompt).toBe('cat');
    const long = `${'very '.repeat(60)}long.json`;
    const { record: other, stderr } = await viewed(['-n', '1', long], dir);
    expect([other.report.prompt, stderr.split('\n').length]).toEqual([long, 3]);
    const longest = `${'x'.repeat(300)}.json`;
    expect((await viewed(['-n', '1', longest], dir)).record.report.prompt).toBe(longest);
  });

  it('a file that is no record is no page, nor is a name without a file; what stands after -- is the prompt', async () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'text.json'), '{"format": "text"}');
    const bad = await kvgenHere(['view', 'text.json'], { cwd: dir });
    const message = 'text.json: format: expected "kvgen-run", found "text"; record the run again';
    expect([bad.code, bad.stderr]).toEqual([1, `kvgen: ${message}\n`]);
    expect(readdirSync(dir)).toEqual(['text.json']);
    const { record } = await viewed(['-n', '1', '--', 'text.json'], dir);
    expect(record.report.prompt).toBe('text.json');
    const missing = await kvgenHere(['view', '-o', 'other.html', 'other.json'], { cwd: dir });
    const hint = 'other.json: no file has this name; as a prompt: kvgen view -- other.json';
    expect([missing.code, missing.stdout, missing.stderr]).toEqual([1, '', `kvgen: ${hint}\n`]);
    expect(readdirSync(dir)).not.toContain('other.html');
  });

  it.each([
    ['-n', '3'],
    ['--no-cache'],
    ['--prompt-cache'],
    ['--logit-bias', '5=1'],
    ['--record', 'x.json'],
    ['-m', 'other'],
  ])('refuses %s beside it: no run is made', async (...option) => {
    const dir = tempDir();
    writeFileSync(join(dir, 'run.json'), '{}');
    const { code, stderr } = await kvgenHere(['view', ...option, 'run.json'], { cwd: dir });
    expect([code, stderr]).toEqual([2, expect.stringContaining(' cannot go with run.json, a run that was recorded;')]);
  });
});
