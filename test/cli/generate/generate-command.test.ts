// What generate writes: the text on stdout to the byte, statistics on stderr, the options that change the text.

import { describe, expect, it } from 'vitest';
import { BYTES } from '../folders.js';
import { kvgenHere as kvgen, kvgenJsonHere as kvgenJson } from '../here.js';
import { hasPython, kvgenOnTerminal, visible } from '../run.js';

const PROMPT = 'Once upon a time';
const GREEDY = ['--temp', '0', '-n', '40', PROMPT];
const SIMD = ['--backend', 'simd', '--threads', '1'];
const GOLDEN =
  ', there was a little girl named Lily. She loved to play with her toys and eat yummy food. One day, ' +
  "Lily's mom told her that they were going to have a party. Lily was";
const noise = ['-m', BYTES, '--backend', 'cpu', '--ignore-eos'];

describe('stdout is the text and one newline', () => {
  it('in a pipe; stderr is empty', async () => {
    expect(await kvgen(GREEDY)).toMatchObject({ code: 0, signal: null, stdout: `${GOLDEN}\n`, stderr: '' });
  });

  it.each([
    ['--no-cache', ['--no-cache']],
    ['--backend cpu', ['--backend', 'cpu']],
    ['--no-stream', ['--no-stream', '--quiet']],
    ['--color always', ['--color', 'always']],
  ])('the same with %s', async (_, more) => {
    expect(await kvgen([...SIMD, ...more, ...GREEDY])).toMatchObject({ code: 0, stdout: `${GOLDEN}\n`, stderr: '' });
  });

  it('the same with --echo after the prompt, and with nothing in the environment but PATH', async () => {
    const onlyEnv = { PATH: process.env.PATH as string };
    const { code, stdout, stderr } = await kvgen(['--echo', ...SIMD, ...GREEDY], { onlyEnv, cwd: '/' });
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `${PROMPT}${GOLDEN}\n`, stderr: '' });
  });

  it.skipIf(!hasPython)('--echo on a terminal: the prompt stays where prefill has a spinner', async () => {
    for (const samples of [[], ['--samples', '2', '--seed', '1']]) {
      const args = ['--echo', ...SIMD, '-n', '3', '--temp', '0', ...samples, PROMPT];
      const { code, terminal } = await kvgenOnTerminal(args, { terminal: ['stdout', 'stderr'] });
      expect(code).toBe(0);
      expect(terminal).toContain(`${PROMPT}, there was`);
    }
  });

  it.skipIf(!hasPython)('the same on a terminal', async () => {
    const { code, terminal, stderr } = await kvgenOnTerminal([...SIMD, ...GREEDY], { terminal: ['stdin', 'stdout'] });
    expect({ code, terminal, stderr }).toEqual({ code: 0, terminal: `${GOLDEN}\n`, stderr: '' });
  });

  it('whatever is in it: control characters are raw', async () => {
    const run = ['--seed', '3', '-n', '30', 'x'];
    const { json } = await kvgenJson([...noise, ...run]);
    expect(json.text).toMatch(/\p{Cc}/u);
    expect(json.text).toContain('\ufffd');
    const { bytes, stderr } = await kvgen([...noise, ...run]);
    expect(bytes.equals(Buffer.from(`${json.text}\n`))).toBe(true);
    expect(stderr).toBe('');
  });
});

describe('statistics', () => {
  const LINE =
    /^6 tokens · \d+ tok\/s · first token \d+ ms · prompt 4 tokens \(0 reused\) · cache 9 positions, 0\.1 MB · seed 7\n$/;
  const args = [...SIMD, '-n', '6', '--seed', '7', '--ignore-eos', PROMPT];

  it('one line on stderr with --verbose', async () => {
    const { code, stderr } = await kvgen(['--verbose', ...args]);
    expect(code).toBe(0);
    expect(stderr.split('\n').slice(-2).join('\n')).toMatch(LINE);
  });

  it('say "cache off" with --no-cache', async () => {
    const { stderr } = await kvgen(['--verbose', '--no-cache', ...args]);
    expect(stderr).toMatch(/ · prompt 4 tokens \(0 reused\) · cache off · seed 7\n$/);
  });

  it('count one token as one, and leave out what was not measured', async () => {
    const one = await kvgen([...noise, '--verbose', '--seed', '7', '-n', '1', 'x']);
    expect(one.stderr).toMatch(/^1 token · first token \d+ ms · prompt 1 token \(0 reused\) · cache 1 position, /m);
    const none = await kvgen([...noise, '--verbose', '--seed', '7', '-n', '0', 'x']);
    expect(none.stderr).toMatch(/^0 tokens · prompt 1 token \(0 reused\) · cache 1 position, 0.0 MB · seed 7$/m);
  });

  it('are coloured with --color always, as nothing else is', async () => {
    const { stdout, stderr } = await kvgen(['--verbose', '--color', 'always', ...noise, '-n', '0', 'x']);
    expect(visible(stderr)).toMatch(/^␛\[2m0 tokens .*␛\[22m$/m);
    expect(stdout).toBe('\n');
  });
});

describe.skipIf(!hasPython)('on a terminal', () => {
  const args = ['--temp', '0', '-n', '3', PROMPT];
  const text = ', there was';
  const stderr = ['stdin', 'stderr'] as const;

  it('the spinner shows prefill and is gone before the first token; then the statistics', async () => {
    const { code, terminal } = await kvgenOnTerminal(args, { terminal: ['stdin', 'stdout', 'stderr'] });
    expect(code).toBe(0);
    const [before, after] = terminal.split(`${text.slice(0, 1)} there`) as [string, string];
    expect(before).toContain('loading TensorFlow');
    expect(before).toContain('loading stories 0/');
    expect(before).toContain('prefill 4/4');
    // The last that the spinner does: erase its line, show the cursor.
    expect(before).toMatch(/␛\[0K␛\[\?25h$|␛\[0K(?:␛\[\?2026[hl])*␛\[\?25h$/);
    expect(after).toMatch(/^ was\n␛\[2m3 tokens .*␛\[22m\n(␛\[\?25h)?$/);
  });

  it('stdout in a pipe stays the text alone', async () => {
    const { stdout, terminal } = await kvgenOnTerminal([...SIMD, ...args], { terminal: stderr });
    expect(stdout).toBe(`${text}\n`);
    expect(terminal).toMatch(/␛\[2m3 tokens .*␛\[22m\n(␛\[\?25h)?$/);
  });

  it.each([
    ['NO_COLOR=1', { NO_COLOR: '1' }, []],
    ['TERM=dumb', { TERM: 'dumb' }, []],
    ['--color never', {}, ['--color', 'never']],
  ])('%s: statistics without colour', async (_, env, more) => {
    const { terminal } = await kvgenOnTerminal([...more, ...noise, '-n', '0', 'x'], { terminal: stderr, env });
    expect(terminal).toMatch(/(^|[^m])0 tokens · .* seed \d+\n(␛\[\?25h)?$/);
    expect(terminal).not.toMatch(/␛\[\d+m/);
  });

  it('an empty NO_COLOR is none', async () => {
    const env = { NO_COLOR: '' };
    const { terminal } = await kvgenOnTerminal([...noise, '-n', '0', 'x'], { terminal: stderr, env });
    expect(terminal).toMatch(/␛\[2m0 tokens/);
  });

  it.each([
    ['TERM=dumb', { TERM: 'dumb' }, 80],
    ['a terminal without a width', {}, 0],
  ])('%s: no spinner, only the statistics', async (_, env, columns) => {
    const { code, terminal } = await kvgenOnTerminal([...noise, '-n', '0', 'x'], { terminal: stderr, env, columns });
    expect(code).toBe(0);
    expect(terminal).toMatch(/^(␛\[2m)?0 tokens [^\n]*\n$/);
  });

  it('--quiet: nothing at all', async () => {
    const { code, terminal, stdout } = await kvgenOnTerminal(['-q', ...SIMD, ...args], { terminal: stderr });
    expect({ code, terminal, stdout }).toEqual({ code: 0, terminal: '', stdout: `${text}\n` });
  });
});

it('--quiet silences notes, not errors', async () => {
  const long = 'x'.repeat(60);
  const note = await kvgen([...noise, '-q', '-n', '1', '--truncate-prompt', 'head', long]);
  expect(note).toMatchObject({ code: 0, stderr: '' });
  const error = await kvgen([...noise, '-q', '-n', '1', long]);
  expect(error.code).toBe(1);
  expect(error.stderr).toMatch(/^kvgen: .*60 tokens.*\n$/);
});

describe('options that change the text', () => {
  it('--stop: the text before it, over token boundaries; the first one counts', async () => {
    const stops = ['never in it', 'ved to pl', 'toys'].flatMap((text) => ['--stop', text]);
    const { json } = await kvgenJson([...SIMD, ...stops, ...GREEDY]);
    expect(json).toMatchObject({ text: ', there was a little girl named Lily. She lo', finish_reason: 'stop' });
    const { stdout } = await kvgen([...SIMD, '--stop', ',', ...GREEDY]);
    expect(stdout).toBe('\n');
  });

  it('--echo: a character that the prompt leaves unfinished is written once it is whole', async () => {
    const idsOf = async (text: string) => JSON.parse((await kvgen(['tokenize', '-m', BYTES, text])).stdout) as number[];
    const ids = await idsOf('Hi🌶');
    const last = ids.pop();
    const args = ['-m', BYTES, '--backend', 'simd', '--temp', '0', '--prompt-ids', ids.join()];
    const echoed = async (...more: string[]) => (await kvgen([...args, ...more])).stdout;
    const bias = ['--logit-bias', `${last}=1000`];
    expect(await echoed('--echo', ...bias, '-n', '1')).toBe('Hi🌶\n');
    expect(await echoed('--echo', ...bias, '-n', '1', '--no-stream')).toBe('Hi🌶\n');
    expect(await echoed('--echo', ...bias, '-n', '2', '--samples', '2')).toBe('Hi🌶\ufffd\n---\nHi🌶\ufffd\n');
    expect(await echoed('--echo', '-n', '0')).toBe('Hi\ufffd\n');
    expect(await echoed('--echo', '--logit-bias', `${await idsOf('A')}=1000`, '-n', '1')).toBe('Hi\ufffdA\n');
    expect(await echoed(...bias, '-n', '1')).toBe('\ufffd\n');
  });

  it('--escape: in the prompt argument and in --stop; without it a stop that looks so is noted', async () => {
    const args = [...noise, '--backend', 'simd', '--temp', '0', '-n', '3', '--json'];
    const { json } = await kvgenJson(['--escape', '--stop', '\\x74oy', ...args, 'a\\nb']);
    expect(json).toMatchObject({ prompt: 'a\nb' });
    const plain = await kvgen(['--stop', '\\n', ...args, 'a\\nb']);
    expect(JSON.parse(plain.stdout)).toMatchObject({ prompt: 'a\\nb' });
    expect(plain.stderr).toBe(
      'kvgen: --stop \\n: a backslash is a character like others here; with --escape \\n is a newline\n',
    );
  });

  it('--seed: the same text again, another with another, and 0 is one', async () => {
    const run = (seed: string) => kvgen([...noise, '--seed', seed, '-n', '20', 'x']);
    const [zero, again, one] = await Promise.all([run('0'), run('0'), run('1')]);
    expect(zero.stdout).toBe(again.stdout);
    expect(zero.stdout).not.toBe(one.stdout);
    const reported = await kvgenJson([...noise, '-n', '20', 'x']);
    const repeated = await run(String(reported.json.seed));
    expect(repeated.stdout).toBe(`${reported.json.text}\n`);
  });

  it('the end-of-text token stops, uncounted; --ignore-eos makes it a token; -inf bans it', async () => {
    const biased = [...SIMD, '--logit-bias', '0=100', '--temp', '0', '-n', '3', 'Hi'];
    const stopped = await kvgenJson(biased);
    expect(stopped.json).toMatchObject({ ids: [], text: '', generation_tokens: 0, finish_reason: 'stop' });
    const ignored = await kvgenJson(['--ignore-eos', ...biased]);
    expect(ignored.json).toMatchObject({ ids: [0, 0, 0], generation_tokens: 3, finish_reason: 'length' });
    const banned = await kvgenJson([...SIMD, '--logit-bias', '12=-inf', '--temp', '0', '-n', '1', PROMPT]);
    expect(banned.json.ids).toHaveLength(1);
    expect(banned.json.ids).not.toEqual([12]); // what GOLDEN begins with
  });

  it('--logit-bias beyond the vocabulary: exit 1', async () => {
    const { code, stdout, stderr } = await kvgen([...noise, '--logit-bias', '288=1', 'x']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^kvgen: --logit-bias 288: .*287\n$/);
  });

  it('--on-full reprefill goes on beyond the context, with and without the cache alike', async () => {
    const run = [...noise, '--on-full', 'reprefill', '-n', '60', '--temp', '0', 'xyz'];
    const [cached, uncached] = await Promise.all([kvgenJson(run), kvgenJson(['--no-cache', ...run])]);
    expect(cached.json).toMatchObject({ generation_tokens: 60, finish_reason: 'length' });
    expect(cached.json.cache.positions).toBeLessThanOrEqual(40);
    expect(uncached.json.ids).toEqual(cached.json.ids);
  });
});
