// The question of a saved answer: which engines share one. What else is part of it: test/cli/cache-command.test.ts.

import { expect, it } from 'vitest';
import { AskedAnswers } from '../../../src/cli/generate/answer-cache.js';
import type { Saved } from '../../../src/cli/generate/saved.js';
import type { Machine } from '../../../src/library/machine.js';
import type { ModelSource } from '../../../src/library/model.js';
import { GENERATE, settingsOf } from '../../../src/settings.js';

/** The question on this machine, with these values among the options. */
function question(machine: Machine, given: object = {}): string {
  let asked = '';
  const find = (text: string) => {
    asked = text;
  };
  const request = {
    args: settingsOf(GENERATE, { seed: 1, ...given }),
    source: {} as ModelSource,
    machine,
    saved: { fingerprint: 'f', answers: { find } } as unknown as Saved,
    prompt: { ids: [1], text: 'a', nCtx: 8 },
    tokenizer: null,
    onNote: () => {},
  };
  AskedAnswers.ask(request)?.find();
  return asked;
}

const CPU: Machine = { backend: 'cpu', threads: 1, weights: 'float32' };
const SIMD: Machine = { backend: 'simd', threads: 1, weights: 'float32' };

it('names backend and threads; what was there before weights had a choice stays as it was', () => {
  expect(JSON.parse(question(CPU)).machine).toEqual({ name: 'cpu', threads: 1 });
  expect(question(CPU)).not.toContain('weights');
  expect(JSON.parse(question({ ...SIMD, weights: 'int8' })).machine).toEqual({
    name: 'simd',
    threads: 1,
    weights: 'int8',
  });
});

it('knows of drafts where they change how logits are rounded, and nothing of them where they are not made', () => {
  expect(question(SIMD, { draft: 4 })).toBe(question(SIMD));
  expect(question(CPU, { draft: 0 })).toBe(question(CPU));
  expect(question(CPU)).not.toContain('draft');
  expect(question(CPU, { draft: 4 })).not.toBe(question(CPU));
  expect(question(SIMD, { draft: 4, draftModel: 'small' })).toBe(question(SIMD));
  expect(question(CPU, { draft: 4, draftModel: 'small' })).toBe(''); // there is none
});

it('is another for each engine and form of weights, however it was asked for', () => {
  const questions = [CPU, SIMD, { ...SIMD, weights: 'int8' as const }].map((machine) => question(machine));
  expect(new Set(questions).size).toBe(3);
  expect(question(CPU, { backend: 'cpu', weights: 'float32' })).toBe(question(CPU));
});
