// What lasts: saved prompts and answers as the command shows them, and `kvgen cache`.

import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tempDirs } from '../support/temp-dir.js';
import { BYTES, writeLongFolder } from './folders.js';
import { kvgenHere as kvgen, kvgenJsonHere as kvgenJson } from './here.js';
import { start } from './run.js';

const newDir = tempDirs();
const PROMPT = 'once upon a time there was a fox whom'; // 36 tokens, of 40 positions; a block is 33 letters
const noise = ['-m', BYTES, '--backend', 'cpu', '--ignore-eos', '-n', '3'];
const greedy = [...noise, '--temp', '0'];

describe('--prompt-cache', () => {
  it('the second run reuses the prompt and says so, and the text is the same', async () => {
    const args = ['--prompt-cache', '--cache-dir', newDir(), '--verbose', ...greedy];
    const [first, second] = [await kvgen([...args, PROMPT]), await kvgen([...args, PROMPT])];
    expect([first.code, second.code, second.stdout]).toEqual([0, 0, first.stdout]);
    expect(first.stderr).toMatch(/prompt 36 tokens \(0 reused\).*\nprompt cache: nothing is stored yet\n$/);
    expect(second.stderr).toMatch(/prompt 36 tokens \(36 reused\).*\n$/);
    const other = await kvgen([...args, `${PROMPT.slice(0, 34)}ash`]);
    expect(other.stderr).toMatch(
      /prompt 36 tokens \(33 reused\).*\nprompt cache: the first 33 tokens were stored; the nearest one differs at token 33: stored "h" \(\d+\), now "a" \(\d+\)\n$/,
    );
  });

  it('in --json: hit, partial, miss and off', async () => {
    const env = { KVGEN_PROMPT_CACHE: '1', KVGEN_CACHE_DIR: newDir() };
    const prompt = async (args: string[]) => (await kvgenJson([...greedy, ...args], { env })).json.cache.prompt;
    const none = { saved_ms: 0, first_difference: null };
    expect(await prompt([PROMPT])).toEqual({
      ...none,
      result: 'miss',
      reused_tokens: 0,
      computed_tokens: 36,
      written_tokens: 42, // the prompt, and behind its one block its last 4 ids with 2 of the answer
      miss_reason: 'nothing is stored yet',
    });
    const hit = { result: 'hit', reused_tokens: 36, computed_tokens: 0, miss_reason: null, first_difference: null };
    expect(await prompt([PROMPT])).toEqual({ ...hit, written_tokens: 0, saved_ms: expect.any(Number) });
    expect(await prompt(['once more'])).toMatchObject({
      result: 'partial',
      reused_tokens: 5,
      computed_tokens: 4,
      first_difference: { index: 5, stored: 'u', new: 'm' },
    });
    expect(await prompt(['x'])).toMatchObject({
      result: 'miss',
      miss_reason: expect.any(String),
      first_difference: { index: 0, stored: 'o', new: 'x' },
    });
    const nothing = { reused_tokens: 0, computed_tokens: 36, written_tokens: 0, saved_ms: null, miss_reason: null };
    const off = { ...none, result: 'off', ...nothing };
    expect(await prompt(['--no-prompt-cache', PROMPT])).toEqual(off);
    expect(await prompt(['--no-cache', PROMPT])).toEqual(off);
  });

  it('--no-write-cache writes nothing, and reads what is there', async () => {
    const dir = newDir();
    const args = ['--prompt-cache', '--cache-dir', dir, ...greedy, PROMPT];
    await kvgen(['--no-write-cache', ...args]);
    expect(readdirSync(dir)).toEqual([]);
    await kvgen(args);
    const before = readdirSync(join(dir, 'kvgen'), { recursive: true });
    const { json } = await kvgenJson(['--no-write-cache', ...args]);
    expect(json.cache.prompt.result).toBe('hit');
    expect(readdirSync(join(dir, 'kvgen'), { recursive: true })).toEqual(before);
  });

  it('a damaged file: the same text, and one line with --verbose', async () => {
    const dir = newDir();
    const args = ['--prompt-cache', '--cache-dir', dir, ...greedy, PROMPT];
    const { stdout } = await kvgen(args);
    const folder = join(dir, 'kvgen', 'prompts');
    const path = join(folder, readdirSync(folder).find((file) => file.startsWith('block')) as string);
    writeFileSync(path, readFileSync(path).subarray(0, 1000));
    const again = await kvgen(['--verbose', ...args]);
    expect(again.stdout).toBe(stdout);
    expect(again.stderr.match(/^kvgen: .*block-0000.*; removed$/gm)).toHaveLength(1);
  });

  it('a store that others can write to is refused; one that cannot be made is not', async () => {
    const dir = newDir();
    const args = ['--prompt-cache', '--cache-dir', dir, ...greedy, PROMPT];
    const { stdout } = await kvgen(args);
    chmodSync(join(dir, 'kvgen', 'prompts'), 0o777);
    const refused = await kvgen(args);
    expect([refused.code, refused.stdout]).toEqual([1, '']);
    expect(refused.stderr).toMatch(/^kvgen: .*prompts: can be read by others; chmod 700 it, .*\n$/);
    const file = join(dir, 'file');
    writeFileSync(file, '');
    const unmade = await kvgen(['--prompt-cache', '--cache-dir', file, ...greedy, PROMPT]);
    expect([unmade.code, unmade.stdout]).toEqual([0, stdout]);
    expect(unmade.stderr).toMatch(/^kvgen: .*cannot be made \(\w+\); nothing is kept\n$/);
  });

  it('keeps nothing unless it is asked for', async () => {
    const env = { KVGEN_CACHE_DIR: newDir() };
    await kvgen([...greedy, PROMPT], { env });
    expect(readdirSync(env.KVGEN_CACHE_DIR)).toEqual([]);
  });
});

describe('--keep', () => {
  const noted = (args: string[]) => kvgenJson([...greedy, ...args]);
  const reused = async (args: string[]) => (await noted(args)).json.cache.prompt;

  it('all, the default: a prompt that contains the answer starts behind it, and its text is the same', async () => {
    const at = ['--prompt-cache', '--cache-dir', newDir()];
    const { prompt_ids, ids } = (await noted([...at, 'once'])).json;
    const next = ['--prompt-ids', [...prompt_ids, ...ids, 5].join()]; // the answer is no text that could be a prompt
    const { json } = await noted([...at, ...next]);
    expect(json.cache.prompt).toMatchObject({ result: 'partial', reused_tokens: 6, computed_tokens: 2 });
    expect(json.ids).toEqual((await noted(next)).json.ids);
    const again = await kvgen(['--verbose', ...at, ...greedy, ...next]);
    expect(again.stderr).toMatch(/prompt 8 tokens \(8 reused\) · cache 10 positions, .* · seed \d+\n$/);
    const longer = await kvgen(['--verbose', ...at, ...greedy, `${next[0]}=${next[1]},5`]);
    expect(longer.stderr).toMatch(/prompt 9 tokens \(8 reused\) .* · seed \d+ · kept 20 tokens\n/);
  });

  it('all: of each sample, and of each row of a batch', async () => {
    const at = ['--prompt-cache', '--cache-dir', newDir()];
    const { stdout } = await kvgen([...at, ...noise, '--samples', '3', '--seed', '1', '--json', 'once upon']);
    const input = ['x', 'yz'].map((prompt) => `${JSON.stringify({ prompt })}\n`).join('');
    const batch = await kvgen(['batch', ...at, ...noise, '--temp', '1'], { input });
    const runs = `${stdout}${batch.stdout}`
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(runs.map(({ cache }) => cache.prompt.written_tokens)).toEqual([9 + 11, 11, 11, 1 + 3, 2 + 4]);
    for (const { prompt_ids, ids } of runs) {
      const next = [...prompt_ids, ...ids, 5];
      const { reused_tokens, first_difference } = await reused([...at, '--prompt-ids', next.join()]);
      expect([reused_tokens, first_difference]).toEqual([next.length - 2, null]);
    }
  });

  it('prompt: nothing else', async () => {
    const at = ['--prompt-cache', '--cache-dir', newDir(), '--keep', 'prompt'];
    const { json } = await noted([...at, 'once']);
    expect(json.cache.prompt.written_tokens).toBe(4);
    expect((await reused([...at, `once${json.text}`])).reused_tokens).toBe(4);
  });

  it('an interrupted answer is kept, so that it can go on', async () => {
    const at = ['--prompt-cache', '--cache-dir', newDir()];
    const args = ['-m', writeLongFolder(newDir()), '--backend', 'cpu', '--ignore-eos', '-n', '-1', '--temp', '0'];
    const running = start([...at, ...args, '--jsonl', 'x']);
    running.child.stdout.once('data', () => running.child.kill('SIGINT'));
    const { code, stdout } = await running.end();
    const { finish_reason, ids, prompt_ids } = JSON.parse(stdout.trimEnd().split('\n').at(-1) as string);
    expect([code, finish_reason]).toEqual([130, 'abort']);
    const next = [...prompt_ids, ...ids, 5];
    const { json } = await kvgenJson([...at, ...args, '-n', '1', '--prompt-ids', next.join()]);
    expect(json.cache.prompt.reused_tokens).toBeGreaterThanOrEqual(ids.length);
  });

  it.each([[[]], [['--no-prompt-cache']], [['--no-cache']]])('with %j: exit 2', async (args) => {
    for (const command of ['generate', 'batch']) {
      const { code, stderr } = await kvgen([command, '--keep', 'all', ...args], { input: '' });
      expect([code, stderr]).toEqual([2, 'kvgen: --keep needs --prompt-cache, or KVGEN_PROMPT_CACHE=1\n']);
    }
  });
});

describe('--answer-cache', () => {
  it('gives the same text and events again, without a model', async () => {
    const args = ['--answer-cache', '--cache-dir', newDir(), '--seed', '5', ...noise, PROMPT];
    const [first, second] = [await kvgenJson(args), await kvgenJson(args)];
    expect([first.json.answer_cached, second.json.answer_cached]).toEqual([false, true]);
    for (const field of [
      'text',
      'ids',
      'finish_reason',
      'seed',
      'prompt',
      'prompt_ids',
      'generation_tokens',
      'engine',
    ]) {
      expect(second.json[field], field).toEqual(first.json[field]);
    }
    expect(second.json).toMatchObject({
      prompt_ms: null,
      first_token_ms: null,
      decode_ms: null,
      prompt_tps: null,
      generation_tps: null,
      num_tensors: null,
    });
    expect((await kvgen(args)).stdout).toBe(`${first.json.text}\n`);
  });

  it('is asked anew when anything that decides the answer is another', async () => {
    const common = ['--answer-cache', '--cache-dir', newDir(), ...noise, '--seed', '5'];
    await kvgen([...common, PROMPT]);
    const others = [
      ['--seed', '6', PROMPT],
      ['-n', '2', PROMPT],
      ['--top-k', '3', PROMPT],
      ['--stop', 'q', PROMPT],
      ['--no-cache', PROMPT],
      ['--logit-bias', '3=1', PROMPT],
      ['--backend', 'node', PROMPT],
      [PROMPT.slice(1)],
    ];
    const again = await Promise.all(others.map((other) => kvgenJson([...common, ...other])));
    expect(again.map(({ json }) => json.answer_cached)).toEqual(others.map(() => false));
    expect((await kvgenJson(['--verbose', '--no-stream', ...common, PROMPT])).json.answer_cached).toBe(true);
  });

  it('is asked anew when a file of the model comes that was not there before', async () => {
    const model = join(newDir(), 'model');
    cpSync(BYTES, model, { recursive: true });
    const args = ['--answer-cache', '--cache-dir', newDir(), '-m', model, '--backend', 'cpu', '--temp', '0', '-n', '3'];
    const first = await kvgenJson([...args, PROMPT]);
    const [end] = first.json.ids;
    writeFileSync(join(model, 'generation_config.json'), JSON.stringify({ eos_token_id: end }));
    const second = await kvgenJson([...args, PROMPT]);
    expect(second.json).toMatchObject({ answer_cached: false, ids: [], finish_reason: 'stop' });
    rmSync(join(model, 'generation_config.json'));
    expect((await kvgenJson([...args, PROMPT])).json).toMatchObject({ answer_cached: true, ids: first.json.ids });
  });

  it('does not apply without a fixed seed, and says so in one line', async () => {
    const dir = newDir();
    const { code, stderr, json } = await kvgenJson(['--answer-cache', '--cache-dir', dir, ...noise, PROMPT]);
    expect([code, json.answer_cached]).toEqual([0, false]);
    expect(stderr).toMatch(/^kvgen: --answer-cache does not apply: .*--seed.*\n$/);
    expect(readdirSync(join(dir, 'kvgen', 'answers'))).not.toContainEqual(expect.stringMatching(/json$/));
  });
});

describe('--verify-cache', () => {
  it.each([
    ['cpu', 'float16'],
    ['auto', 'float16'],
    ['simd', 'float32'],
  ])('shows that cached is uncached, from memory and from disk (%s: %s)', async (backend, dtype) => {
    const args = ['--verify-cache', '--prompt-cache', '--cache-dir', newDir(), ...greedy, '--backend', backend, PROMPT];
    for (const result of ['miss', 'hit']) {
      const { code, stderr, json } = await kvgenJson(args);
      expect([code, json.cache.prompt.result]).toEqual([0, result]);
      const restored = result === 'hit' ? dtype : null;
      expect(json.verify).toMatchObject({ steps: 3, first_difference: null });
      expect(json.verify.cache_dtype ?? null).toBe(restored);
      expect(json.verify.max_abs_diff > 1e-5).toBe(restored === 'float16'); // the logits are around 1
      const words = restored === null ? '' : `, keys and values read as ${restored}`;
      expect(stderr).toMatch(/^kvgen: cached against uncached, 3 steps: largest difference .*same at every step$/m);
      expect(stderr).toMatch(new RegExp(` of logits up to [\\d.]+${words}; the likeliest`));
    }
  });
});

describe('a key', () => {
  const KEY = '0123456789abcdef'.repeat(4);
  const keyed = (KVGEN_CACHE_KEY_COMMAND: string) => ({ env: { KVGEN_CACHE_KEY_COMMAND } });
  const mine = keyed(`echo ${KEY}`);
  const theirs = keyed(`echo ${KEY.replace('0', '1')}`);

  it('seals prompts, answers, uses and fingerprints: a hit with it, a miss with another or none', async () => {
    const dir = newDir();
    const at = ['--cache-dir', dir];
    const args = ['--prompt-cache', '--answer-cache', ...at, ...greedy, PROMPT];
    const ask = async (options: object) => (await kvgenJson(args, options)).json;
    const answerless = async (options: object) =>
      (await kvgenJson(['--prompt-cache', ...at, ...greedy, PROMPT], options)).json.cache.prompt;
    const first = await ask(mine);
    expect([first.answer_cached, first.cache.prompt.result]).toEqual([false, 'miss']);
    expect(await ask(mine)).toMatchObject({ answer_cached: true, text: first.text });
    expect(await answerless(mine)).toMatchObject({ result: 'hit', reused_tokens: 36 });
    const files = readdirSync(join(dir, 'kvgen'), { recursive: true, encoding: 'utf8' });
    expect(files.filter((file) => !/^(prompts|answers)(\/sealed-[\w-]{235})?$/.test(file))).toEqual([]);
    expect(await answerless(theirs)).toMatchObject({
      result: 'miss',
      miss_reason: 'nothing is stored yet',
    });
    expect(await ask({})).toMatchObject({ answer_cached: false, cache: { prompt: { result: 'miss' } } });
    expect(await answerless(mine)).toMatchObject({ result: 'hit' });

    const list = async (options: object) => JSON.parse((await kvgen(['cache', 'ls', '--json', ...at], options)).stdout);
    const kinds = ({ entries }: { entries: { kind: string; sealed: boolean }[] }) =>
      entries.map(({ kind, sealed }) => (sealed ? `sealed ${kind}` : kind)).sort();
    const plain = kinds(await list({}));
    expect(plain).toContain('prompt');
    expect(kinds(await list(mine))).toEqual([...plain, ...plain.map((kind) => `sealed ${kind}`)].sort());
    const table = await kvgen(['cache', 'ls', ...at]);
    expect(table.stderr).toMatch(
      /^kvgen: \d+ files are sealed: KVGEN_CACHE_KEY_FILE or KVGEN_CACHE_KEY_COMMAND names the key\n/,
    );
    const [sealed] = (await list(mine)).entries.filter((entry: { sealed: boolean }) => entry.sealed);
    const show = await kvgen(['cache', 'show', sealed.id, ...at], mine);
    expect(show.stdout).toMatch(/^file: .*\/sealed-[\w-]+$/m);
    const unknown = await kvgen(['cache', 'show', sealed.id, ...at]);
    expect(unknown.stderr).toMatch(/^kvgen: cache: s\w+: no such entry \(\d+ files are sealed: .*\n$/);
    expect((await kvgen(['cache', 'rm', sealed.id, ...at], mine)).stdout).toMatch(/^removed [1-9]/);
    await kvgen(['cache', 'clear', ...at]);
    expect(readdirSync(join(dir, 'kvgen'), { recursive: true }).sort()).toEqual(['answers', 'prompts']);
  });

  it('that cannot be had ends the run in one line, before the model is loaded', async () => {
    const args = ['--prompt-cache', '--cache-dir', newDir(), ...greedy, PROMPT];
    const { code, stdout, stderr } = await kvgen(args, keyed('exit 1'));
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^kvgen: KVGEN_CACHE_KEY_COMMAND: the command failed \(exit 1\); .*\n$/);
  });
});

describe('what is wrong from the start', () => {
  it.each([
    [['--cache-dir', ''], '--cache-dir must not be empty'],
    [['cache'], 'cache: expected one of ls, show, rm, clear, prune, path, stats, plan, got nothing'],
    [['cache', 'list'], 'got list'],
    [['cache', 'ls', 'x'], 'cache ls: expected nothing more'],
    [['cache', 'rm'], 'cache rm: expected an id'],
    [['cache', 'plan'], 'cache plan: expected a file of rows, or -'],
    [['cache', 'ls', '--backend', 'simd'], '--backend is for cache plan, got cache ls'],
    [['cache', '--no-cache'], '--no-cache is for cache plan, got cache alone'],
    [['cache', 'plan', '--prompt-cache', '--no-cache', 'x'], '--no-cache cannot go with --prompt-cache'],
  ])('%j: exit 2', async (args, message) => {
    const { code, stdout, stderr } = await kvgen(args[0] === 'cache' ? args : [...args, 'x']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^kvgen: .*\n$/);
    expect(stderr).toContain(message);
  });

  it('two keys: exit 2', async () => {
    const env = { KVGEN_CACHE_KEY_FILE: 'a', KVGEN_CACHE_KEY_COMMAND: 'b' };
    for (const args of [['x'], ['cache', 'clear']]) {
      const { code, stderr } = await kvgen(args, { env });
      expect([code, stderr]).toEqual([2, 'kvgen: KVGEN_CACHE_KEY_FILE cannot go with KVGEN_CACHE_KEY_COMMAND\n']);
    }
  });

  it.each([{ KVGEN_PROMPT_CACHE: 'yes' }, { KVGEN_CACHE_MAX_BYTES: '2G' }, { KVGEN_CACHE_MAX_AGE_DAYS: '-1' }])(
    '%j: exit 2',
    async (env) => {
      const { code, stderr } = await kvgen(['x'], { env });
      expect([code, stderr]).toEqual([2, expect.stringContaining(`kvgen: ${Object.keys(env)[0]} must be `)]);
    },
  );
});

describe('kvgen cache', () => {
  const filled = async () => {
    const dir = newDir();
    const at = ['--cache-dir', dir];
    for (const prompt of [PROMPT, PROMPT, `${PROMPT.slice(0, 33)}!`]) {
      await kvgen(['--prompt-cache', '--keep', 'prompt', ...at, ...greedy, prompt]);
    }
    await kvgen(['--answer-cache', ...at, ...greedy, 'a\u001bb']);
    return { at, folder: join(dir, 'kvgen', 'prompts'), root: join(dir, 'kvgen') };
  };
  const json = async (args: string[]) => JSON.parse((await kvgen(['cache', ...args, '--json'])).stdout);

  it('lists, shows, removes and clears', async () => {
    const { at, folder, root } = await filled();
    const { entries, bytes, path } = await json(['ls', ...at]);
    expect(path).toBe(root);
    expect(entries).toMatchObject([
      { kind: 'prompt', model: 'padded-vocab', tokens: 33, words: `${PROMPT.slice(0, 33)}!`, hits: 1 },
      { kind: 'prompt', sealed: false, dtype: 'float16', tokens: 36, words: PROMPT, hits: 2 },
      { kind: 'answer', model: 'padded-vocab', tokens: 6, words: 'a\\u001bb', hits: 0 },
    ]);
    const [short, long, answer] = entries;
    expect(long.shared_bytes).toBe(short.shared_bytes);
    expect(long.shared_bytes).toBeGreaterThan(0);
    const table = (await kvgen(['cache', 'ls', ...at])).stdout.split('\n');
    expect(table[0]).toMatch(/^ID +KIND +WHEN +MODEL +TOKENS +DTYPE +BYTES +HITS +SAVED +FIRST WORDS$/);
    expect(table[2]).toMatch(new RegExp(`^${long.id} +prompt .* 36 .*${PROMPT}$`));

    const shown = await json(['show', long.id.slice(0, 8), ...at]);
    expect(shown.files).toHaveLength(2);
    expect((await kvgen(['cache', 'show', answer.id, ...at])).stdout).toMatch(/^words: a\\u001bb$/m);

    const removed = await json(['rm', long.id, ...at]);
    expect(removed.removed_files).toBe(1); // the block is the other prompt's too
    expect(removed.removed_bytes).toBeGreaterThanOrEqual(long.bytes - long.shared_bytes);
    expect((await json(['ls', ...at])).entries.map(({ id }: { id: string }) => id)).toEqual([short.id, answer.id]);

    writeFileSync(join(folder, 'mine.txt'), 'mine');
    const cleared = await kvgen(['cache', 'clear', ...at]);
    expect(cleared.stdout).toBe(
      `removed ${/\d+/.exec(cleared.stdout)?.[0]} files, ${bytes - removed.removed_bytes} bytes\n`,
    );
    expect(readdirSync(root, { recursive: true }).sort()).toEqual(['answers', 'prompts', 'prompts/mine.txt']);
    const empty = await kvgen(['cache', 'ls', ...at]);
    expect([empty.stdout, empty.stderr]).toEqual(['', `kvgen: nothing is saved in ${root}\n`]);
  });

  it('lists what was generated as a text, and removes it alone', async () => {
    const at = ['--cache-dir', newDir()];
    await kvgen(['--prompt-cache', ...at, ...greedy, PROMPT]);
    const { entries } = await json(['ls', ...at]);
    expect(entries.map(({ kind, tokens, words }: Record<string, unknown>) => [kind, tokens, words])).toEqual([
      ['text', 38, PROMPT],
      ['prompt', 36, PROMPT],
    ]);
    expect(await json(['rm', entries[0].id, ...at])).toMatchObject({ removed_files: 1 });
    expect((await json(['ls', ...at])).entries).toMatchObject([{ kind: 'prompt', id: entries[1].id }]);
  });

  it('prunes to the bound, and to the age', async () => {
    const { at, root } = await filled();
    const prune = (env: Record<string, string>) => kvgen(['cache', 'prune', ...at], { env });
    expect((await prune({})).stdout).toBe('removed 0 files, 0 bytes\n');
    expect((await prune({ KVGEN_CACHE_MAX_BYTES: '0' })).stdout).toMatch(/^removed 4 files, \d+ bytes\n$/);
    expect((await json(['ls', ...at])).entries).toEqual([]);
    expect(statSync(root).mode & 0o777).toBe(0o700);
  });

  it('stats: by day and in all, what was read, written and removed, and why nothing was found', async () => {
    const at = ['--cache-dir', newDir()];
    const all = [...at, ...greedy];
    expect((await kvgen(['cache', 'stats', ...at])).stderr).toMatch(/^kvgen: nothing is counted in .*\n$/);
    const { ids } = (await kvgenJson(['--prompt-cache', ...all, PROMPT])).json; // 36 tokens and 3
    await kvgen(['--prompt-cache', ...all, PROMPT]);
    await kvgen(['--prompt-cache', '--keep', 'prompt', ...all, '--prompt-ids', ids.join()]); // begins like nothing
    await kvgen(['--prompt-cache', '--no-write-cache', ...all, PROMPT]);
    for (let run = 0; run < 2; run++) {
      await kvgen(['--answer-cache', ...all, 'once upon']);
    }
    const prompts = {
      lookups: 3,
      hits: 1,
      partial: 0,
      misses: 2,
      hit_rate: 1 / 3,
      tokens_read: 36,
      tokens_computed: 39,
    };
    const answers = { lookups: 2, hits: 1, partial: 0, misses: 1, hit_rate: 0.5, tokens_read: 12, tokens_written: 12 };
    const found = await json(['stats', ...at]);
    expect(found).toMatchObject({ lookups: 5, hits: 2, misses: 3, hit_rate: 0.4, tokens_read: 48, tokens_evicted: 0 });
    expect(found.prompts).toMatchObject({ ...prompts, tokens_written: 42 + 3 });
    expect(found.prompts.miss_reasons).toEqual({
      'nothing is stored yet': 1,
      'no stored prompt begins like this one': 1,
    });
    expect(found.answers).toMatchObject({ ...answers, miss_reasons: { 'no stored answer to this question': 1 } });
    const { days, path, bytes, ...sums } = found;
    expect(days).toEqual([{ day: expect.stringMatching(/^\d{4}-\d\d-\d\d$/), ...sums }]);
    const counted = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.counts'));
    expect(counted.sort()).toEqual([`answers/${days[0].day}.counts`, `prompts/${days[0].day}.counts`]);
    expect(counted.map((file) => readFileSync(join(path, file), 'utf8')).join()).not.toMatch(/once|upon|fox/);

    await kvgen(['cache', 'prune', ...at], { env: { KVGEN_CACHE_MAX_BYTES: '0' } });
    const { stdout } = await kvgen(['cache', 'stats', ...at]);
    expect(stdout.split('\n').map((line) => line.replace(/ +/g, ' '))).toEqual([
      'DAY KIND LOOKUPS HITS PARTIAL MISSES HIT RATE READ COMPUTED WRITTEN EVICTED SAVED',
      expect.stringMatching(/^\d{4}-\d\d-\d\d prompts 3 1 0 2 33 % 36 39 45 45 -?\d+\.\d s$/),
      expect.stringMatching(/^\d{4}-\d\d-\d\d answers 2 1 0 1 50 % 12 0 12 0 \d+\.\d s$/),
      expect.stringMatching(/^all prompts 3 1 0 2 33 % 36 39 45 45 -?\d+\.\d s$/),
      expect.stringMatching(/^all answers 2 1 0 1 50 % 12 0 12 0 \d+\.\d s$/),
      '',
      'MISSES KIND REASON',
      '1 prompts nothing is stored yet',
      '1 prompts no stored prompt begins like this one',
      '1 answers no stored answer to this question',
      '',
    ]);
  });

  it('path: where it is, whether it exists or not', async () => {
    const dir = join(newDir(), 'new');
    expect((await kvgen(['cache', 'path', '--cache-dir', dir])).stdout).toBe(`${join(dir, 'kvgen')}\n`);
    expect(existsSync(dir)).toBe(false);
  });

  it('an id that is none: exit 1', async () => {
    const { code, stderr } = await kvgen(['cache', 'rm', 'abc', '--cache-dir', newDir()]);
    expect([code, stderr]).toEqual([1, 'kvgen: cache: abc: no such entry; `kvgen cache ls` lists them\n']);
  });
});
