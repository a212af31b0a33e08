// --jsonl and --logprobs: events as they come, and the numbers of Hugging Face.

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { goldenDir, readGolden, sureSteps } from '../../support/golden.js';
import { tempDirs } from '../../support/temp-dir.js';
import { BYTES } from '../folders.js';
import { kvgenHere as kvgen, kvgenJsonHere as kvgenJson } from '../here.js';

const tempDir = tempDirs();
const GOLDEN = 'untied';
const golden = readGolden(GOLDEN);
const prompt = ['-m', goldenDir(GOLDEN), '--prompt-ids', golden.prompt_ids.join()];
const steps = sureSteps(golden.greedy);
const greedy = [...prompt, '--temp', '0', '--ignore-eos', '-n', String(steps.length)];
const noise = ['-m', BYTES, '--backend', 'cpu', '--ignore-eos', '--seed', '3'];

// biome-ignore lint/suspicious/noExplicitAny: what is checked is what it is
type Json = any;

async function events(args: readonly string[]): Promise<{ tokens: Json[]; done: Json; stdout: string }> {
  const { code, stdout } = await kvgen(['--jsonl', ...args]);
  expect(code).toBe(0);
  const all = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { tokens: all.slice(0, -1), done: all.at(-1), stdout };
}

const near = (value: number) => expect.closeTo(value, 3);

describe('log-probabilities are those of Hugging Face', () => {
  const cases = [['node'], ['cpu'], ['node', '--no-cache'], ['node', '--engine', 'graph']];
  it.each(cases)('of greedy tokens and of the prompt: %s %s %s', async (backend, ...more) => {
    const args = [...greedy, '--backend', backend as string, ...more, '--echo', '--logprobs', '5'];
    const { json } = await kvgenJson(args);
    expect(json.tokens).toEqual(
      steps.map(({ id, logprob, top5 }) => {
        const top = top5.map(([rival, p]) => ({ id: rival, text: '', bytes: [], logprob: near(p) }));
        return { id, text: '', bytes: [], logprob: near(logprob), top };
      }),
    );
    const [first, ...rest] = json.prompt_tokens_detail;
    expect(first).toEqual({ id: golden.prompt_ids[0], text: '', bytes: [], logprob: null });
    expect(rest.map(({ logprob }: Json) => logprob)).toEqual(golden.prompt_logprobs.map(near));
    expect(rest.map(({ id, top }: Json) => [id, top.length])).toEqual(golden.prompt_ids.slice(1).map((id) => [id, 5]));
  });

  it('k = 0 names no rivals, and without --echo the prompt is left out', async () => {
    const { json } = await kvgenJson([...greedy, '--logprobs', '0']);
    expect(Object.keys(json.tokens[0])).toEqual(['id', 'text', 'bytes', 'logprob']);
    expect(json.prompt_tokens_detail).toBeUndefined();
  });

  it('are of the raw logits, whatever the sampler does to them', async () => {
    const { id, logprob } = steps[0] as (typeof steps)[0];
    const bias = ['--logit-bias', `${id}=5`, '--temp', '0.1', '--top-k', '1', '-n', '1'];
    const { json } = await kvgenJson([...prompt, ...bias, '--logprobs', '0']);
    expect(json.tokens).toEqual([{ id, text: '', bytes: [], logprob: near(logprob) }]);
  });

  it('of a long prompt in chunks are those of all at once', async () => {
    const ids = Array.from({ length: 500 }, (_, i) => (i * 7) % 4000).join();
    const args = ['--backend', 'simd', '--prompt-ids', ids, '-n', '0', '--echo', '--logprobs', '0'];
    const [cached, uncached] = await Promise.all([kvgenJson(args), kvgenJson(['--no-cache', ...args])]);
    const logprobs = (json: Json) => json.prompt_tokens_detail.slice(1).map((token: Json) => token.logprob);
    expect(logprobs(cached.json)).toHaveLength(499);
    expect(logprobs(cached.json)).toEqual(logprobs(uncached.json).map(near));
  });
});

describe('--jsonl', () => {
  it('is an event for each token, and at the end the object of --json', async () => {
    const args = [...greedy, '--backend', 'node'];
    const [{ tokens, done }, { json }] = await Promise.all([events(args), kvgenJson(args)]);
    expect(tokens).toEqual(
      steps.map(({ id, logprob }, index) => ({ type: 'token', index, id, text: '', logprob: near(logprob) })),
    );
    const { type, ...fields } = done;
    expect(type).toBe('done');
    expect(Object.keys(fields)).toEqual(Object.keys(json));
    expect(fields).toMatchObject({ ids: json.ids, finish_reason: 'length', generation_tokens: steps.length });
  });

  it('names bytes and rivals with --logprobs', async () => {
    const args = ['--backend', 'simd', '--temp', '0', '-n', '1', '--logprobs', '2', 'Once upon a time'];
    const { tokens } = await events(args);
    expect(Object.keys(tokens[0])).toEqual(['type', 'index', 'id', 'text', 'bytes', 'logprob', 'top']);
    expect(tokens[0].top).toEqual([
      { id: 12, text: ',', bytes: [44], logprob: near(-0.18182) },
      { id: 417, text: ' there', bytes: [...Buffer.from(' there')], logprob: near(-2.28847) },
    ]);
  });

  it('with a stop string: its tokens are events with only the text before it', async () => {
    const args = ['--backend', 'simd', '--temp', '0', '--stop', 'was a', '-n', '20', 'Once upon a time'];
    const { tokens, done } = await events(args);
    expect(tokens.map(({ text }) => text)).toEqual([',', ' there', ' ', '']);
    expect(done).toMatchObject({ text: ', there ', finish_reason: 'stop', generation_tokens: 4 });
  });

  it.each(['你好,世界', 'مرحبا بالعالم', '👩‍👩‍👧 🎉', 'naïve – “x”'])(
    'its texts, joined, and a newline are the text mode’s stdout, byte for byte: %s',
    async (text) => {
      const bias = [...Buffer.from(text)].flatMap((byte) => ['--logit-bias', `${byte + 3}=9`]);
      for (const args of [
        [...noise, ...bias, '-n', '24', text],
        ['--backend', 'simd', '--seed', '2', '--temp', '3', '--top-k', '0', '--top-p', '1', '-n', '40', text],
      ]) {
        const [plain, { stdout }] = await Promise.all([kvgen(args), events(args)]);
        const jq = spawnSync('jq', ['-j', 'select(.type=="token").text'], { input: stdout });
        const joined = jq.error === undefined ? jq.stdout : Buffer.from(textOf(stdout));
        expect(Buffer.concat([joined, Buffer.from('\n')])).toEqual(plain.bytes);
      }
    },
  );

  it('an answer from the cache has the same events', async () => {
    const args = ['--answer-cache', '--cache-dir', tempDir(), ...noise, '--logprobs', '2', '--echo', '-n', '9', 'xyz'];
    const [first, second] = [await events(args), await events(args)];
    expect([first.done.answer_cached, second.done.answer_cached]).toEqual([false, true]);
    expect(second.tokens).toEqual(first.tokens);
    expect(second.done.tokens).toEqual(first.done.tokens);
    expect(second.done.prompt_tokens_detail).toEqual(first.done.prompt_tokens_detail);
    const other = await events([...args.slice(0, -1), '--logprobs', '1', 'xyz']);
    expect(other.done.answer_cached).toBe(false);
  });

  it('the saved prompt is not used where all of it must be run', async () => {
    const args = ['--prompt-cache', '--cache-dir', tempDir(), ...noise, '-n', '2', '--logprobs', '0', 'xyz'];
    await events(args);
    expect((await events(args)).done.cache.prompt.result).toBe('hit');
    const { code, stdout, stderr } = await kvgen(['--json', '--echo', ...args]);
    expect(code).toBe(0);
    expect(stderr).toBe("kvgen: --prompt-cache does not apply: the prompt's log-probabilities need all of it\n");
    expect(JSON.parse(stdout)).toMatchObject({ cache: { prompt: { result: 'off' } } });
    expect(JSON.parse(stdout).prompt_tokens_detail).toHaveLength(3);
  });
});

function textOf(stdout: string): string {
  const tokens = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  return tokens.flatMap(({ type, text }) => (type === 'token' ? [text] : [])).join('');
}
