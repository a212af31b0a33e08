// What `kvgen bench` compares, of what was asked for.

import { beforeEach, expect, it, vi } from 'vitest';
import { combinations } from '../../../src/cli/bench/combinations.js';
import type { ModelFacts } from '../../../src/library/machine.js';
import * as native from '../../../src/native/status.js';
import * as simd from '../../../src/simd/open.js';
import { parseConfig } from '../../../src/weights/folder.js';
import { expectFailure } from '../../support/errors.js';

vi.mock('../../../src/native/status.js', { spy: true });
vi.mock('../../../src/simd/open.js', { spy: true });

const shape = parseConfig({ model_type: 'gpt2', vocab_size: 8, n_positions: 8 }, 'toy');
const FACTS: ModelFacts = { dir: 'toy', shape, bytes: 1, stored: 'float32' };

beforeEach(() => {
  vi.mocked(native.autoBackend).mockReturnValue('node');
  vi.mocked(simd.simdThreads).mockReturnValue(1);
});

type Asked = Partial<Parameters<typeof combinations>[0]>;

async function compared(asked: Asked) {
  const notes: string[] = [];
  const args = { backend: ['auto'], engine: 'auto', ...asked } as const;
  const choices = await combinations(args, FACTS, (line) => notes.push(line));
  return { choices: choices.map(({ backend, weights }) => `${backend} ${weights}`), notes };
}

const LEFT_OUT = 'left out: --weights int8 cannot go with --backend node';

it.each<[Asked, choices: string[], notes: string[]]>([
  [{}, ['auto undefined'], []],
  [{ backend: ['node', 'simd'] }, ['node undefined', 'simd undefined'], []],
  [{ weights: ['float32', 'int8'] }, ['auto float32', 'auto int8'], []],
  [
    { backend: ['node', 'simd'], weights: ['float32', 'int8'] },
    ['node float32', 'simd float32', 'simd int8'],
    [LEFT_OUT],
  ],
  [{ backend: ['auto', 'node', 'node'] }, ['auto undefined'], []],
  [
    { backend: ['node', 'simd'], engine: 'graph' },
    ['node undefined'],
    ['left out: --engine graph cannot go with --backend simd'],
  ],
])('%j', async (asked, choices, notes) => {
  expect(await compared(asked)).toEqual({ choices, notes });
});

it('two backends of TensorFlow.js are refused together', async () => {
  await expectFailure(() => compared({ backend: ['node', 'cpu'] }), 'node and cpu', 'run them apart');
});
