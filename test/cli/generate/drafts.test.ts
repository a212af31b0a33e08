// --draft on the command line: the text is the same, and what was drafted is shown where it was asked for.

import { expect, it } from 'vitest';
import { kvgenHere as kvgen, kvgenJsonHere as kvgenJson } from '../here.js';

const PROMPT = 'The dog ran to the park. The dog ran to the park. The dog ran to the park.';
const SIMD = ['--backend', 'simd', '--threads', '1', '--temp', '0', '-n', '40', '--ignore-eos'];

it('--json has the same text and log-probabilities, and says what was drafted where that was asked for', async () => {
  const args = [...SIMD, '--logprobs', '2', '--stop', 'friend', PROMPT];
  const [plain, drafted] = await Promise.all([kvgenJson(args), kvgenJson([...args, '--draft', '8'])]);
  const { draft, tokens, text, finish_reason, ids, cache } = drafted.json;
  expect({ tokens, text, finish_reason, ids, cache }).toEqual({
    tokens: plain.json.tokens,
    text: plain.json.text,
    finish_reason: plain.json.finish_reason,
    ids: plain.json.ids,
    cache: plain.json.cache,
  });
  expect(Object.keys(plain.json)).not.toContain('draft');
  expect(draft.drafted).toBeGreaterThanOrEqual(draft.accepted);
  expect(draft.accepted).toBeGreaterThanOrEqual(0); // how many depends on the clock
  const steps = ids.length - 1; // without drafts, a pass for each
  expect(Math.abs(draft.tokens_per_pass - steps / (steps - draft.accepted))).toBeLessThan(0.2);
});

it('--jsonl has an event for each token of a draft, and the statistics say it in words', async () => {
  const run = (more: string[]) => kvgen([...SIMD, '--jsonl', '--verbose', ...more, PROMPT]);
  const [plain, drafted] = await Promise.all([run([]), run(['--draft', '8'])]);
  const events = ({ stdout }: { stdout: string }) => stdout.trimEnd().split('\n').slice(0, -1);
  expect(events(drafted)).toEqual(events(plain));
  expect(JSON.parse(drafted.stdout.trimEnd().split('\n').at(-1) as string)).toHaveProperty('draft.accepted');
  expect(drafted.stderr).toMatch(/ · \d+ of \d+ drafted tokens accepted, \d\.\d\d tokens a pass · seed \d+\n$/);
  expect(plain.stderr).not.toContain('draft');
});

it('--verify-cache shows no difference on simd', async () => {
  const { json, code } = await kvgenJson([...SIMD, '--draft', '8', '--verify-cache', PROMPT]);
  expect(code).toBe(0);
  expect(json.verify).toMatchObject({ max_abs_diff: 0, mean_abs_diff: 0, steps: 40, first_difference: null });
});

it('the samples of one prompt and the rows of a batch, some with drafts, are what they are without', async () => {
  const rows = [8, 0, 3, undefined].map((draft, id) => ({ id, prompt: PROMPT, draft, seed: id, samples: 2 }));
  const run = async (input: object[], more: string[] = []) => {
    const args = ['batch', '--backend', 'simd', '-n', '25', '--verbose', ...more];
    const { code, stdout, stderr } = await kvgen(args, { input: input.map((row) => JSON.stringify(row)).join('\n') });
    return {
      code,
      stderr,
      found: stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    };
  };
  const [drafted, plain] = await Promise.all([
    run(rows, ['--draft', '5']),
    run(rows.map((row) => ({ ...row, draft: 0 }))),
  ]);
  const texts = ({ found }: { found: { text: string }[] }) => found.map(({ text }) => text);
  expect([drafted.code, texts(drafted)]).toEqual([0, texts(plain)]);
  expect(drafted.found.map((row) => 'draft' in row)).toEqual([true, true, false, false, true, true, true, true]);
  expect(drafted.stderr).toMatch(/ drafted tokens accepted, \d\.\d\d tokens a pass · \d+\.\d s\n$/);
  const refused = await run([{ prompt: 'x', draft: 2, no_cache: true }]);
  expect([refused.code, refused.found[0].error]).toEqual([1, 'no_cache cannot go with draft']);
});

it('--draft-model: another model guesses, the text is the same, in a batch too', async () => {
  const args = [...SIMD, '--draft', '4', '--draft-model', 'stories', PROMPT];
  const [plain, drafted, rows] = await Promise.all([
    kvgenJson([...SIMD, PROMPT]),
    kvgenJson(args),
    kvgen(['batch', ...args.slice(0, -1)], { input: JSON.stringify({ prompt: PROMPT }) }),
  ]);
  expect([drafted.code, drafted.json.text]).toEqual([0, plain.json.text]);
  const { drafted: guessed, accepted } = drafted.json.draft;
  expect([guessed > 0, accepted]).toEqual([true, guessed]); // it is the same model, and the likeliest token is taken
  expect(JSON.parse(rows.stdout)).toMatchObject({ text: plain.json.text, draft: { drafted: expect.any(Number) } });
});

it('--draft-model of other tokens is refused', async () => {
  const { code, stderr } = await kvgen([
    '--draft',
    '4',
    '--draft-model',
    'test/fixtures/gpt2-micro',
    '--backend',
    'simd',
    'x',
  ]);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^kvgen: --draft-model .*gpt2-micro: expected the tokens of .*stories, 4096 of them, found 1000; .*\n$/,
  );
});
