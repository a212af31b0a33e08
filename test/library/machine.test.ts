// What a model is computed on, from what was asked for, what is installed and how the weights are stored.

import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { BackendChoice, WeightsName } from '../../src/backends.js';
import { resolveBackend, wantsGraph } from '../../src/library/machine.js';
import * as native from '../../src/native/status.js';
import { expectFailure } from '../support/errors.js';

vi.mock('../../src/native/status.js', { spy: true });

const FLOATS = { dir: 'm', stored: 'float32' } as const;

type Row = [choice: BackendChoice, stored: WeightsName, backend: string, weights: string];

const ANYWHERE: Row[] = [
  [{ backend: 'node' }, 'float32', 'node', 'float32'],
  [{ backend: 'simd' }, 'float32', 'simd', 'float32'],
  [{ backend: 'simd' }, 'int8', 'simd', 'int8'],
  [{ backend: 'simd', weights: 'int8' }, 'float32', 'simd', 'int8'],
  [{ backend: 'simd', weights: 'float32' }, 'float32', 'simd', 'float32'],
  [{ weights: 'int8' }, 'float32', 'simd', 'int8'],
  [{}, 'int8', 'simd', 'int8'],
];

describe.each<['node' | 'simd', Row[]]>([
  [
    'node',
    [
      ...ANYWHERE,
      [{}, 'float32', 'node', 'float32'],
      [{ weights: 'float32' }, 'float32', 'node', 'float32'],
      [{ engine: 'graph' }, 'float32', 'node', 'float32'],
    ],
  ],
  ['simd', [...ANYWHERE, [{}, 'float32', 'simd', 'float32'], [{ weights: 'float32' }, 'float32', 'simd', 'float32']]],
])('where auto is %s', (auto, rows) => {
  beforeEach(() => {
    vi.mocked(native.autoBackend).mockReturnValue(auto);
  });

  it.each(rows)('%j, stored as %s: %s, %s', (choice, stored, backend, weights) => {
    expect(resolveBackend(choice, { dir: 'm', stored })).toEqual({ backend, weights });
  });

  it.each<[BackendChoice, string]>([
    [{ backend: 'node' }, '--backend node (perhaps from KVGEN_BACKEND)'],
    [{ backend: 'cpu' }, '--backend cpu (perhaps from KVGEN_BACKEND)'],
    [{ weights: 'float32' }, '--weights float32 (perhaps from KVGEN_WEIGHTS)'],
    [{ backend: 'simd', weights: 'float32' }, '--weights float32 (perhaps from KVGEN_WEIGHTS)'],
    [{ engine: 'graph' }, '--engine graph'],
    [{ engine: 'eager' }, '--engine eager'],
  ])('%j is refused for a folder of int8, by what stands in the way', async (choice, found) => {
    const what = `m: its weights are int8, which needs --backend simd and --weights int8, found ${found}; leave that out`;
    await expectFailure(() => resolveBackend(choice, { dir: 'm', stored: 'int8' }), what);
  });
});

it('an engine of TensorFlow is refused where there is none', async () => {
  vi.mocked(native.autoBackend).mockReturnValue('simd');
  for (const engine of ['eager', 'graph'] as const) {
    const words = `--engine ${engine} needs the node backend, found simd; run \`kvgen setup\``;
    await expectFailure(() => resolveBackend({ engine }, FLOATS), words);
  }
  await expectFailure(() => resolveBackend({ backend: 'cpu', weights: 'int8' }, FLOATS), '--weights int8');
});

it('passes are captured only with a cache, and not op by op', () => {
  expect([{}, { engine: 'eager' as const }, { cache: false }].map(wantsGraph)).toEqual([true, false, false]);
});
