// What other programs look for in the folder of the default model: mlx-lm and llama.cpp's converter read `n_ctx`, and
// names of tensors without `transformer.`; bench/interop runs them.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const STORIES = fileURLToPath(new URL('../../models/stories/', import.meta.url));

it('stories has n_ctx beside n_positions', () => {
  expect(JSON.parse(readFileSync(`${STORIES}config.json`, 'utf8'))).toMatchObject({ n_ctx: 512, n_positions: 512 });
});

it('stories names its tensors without a prefix', () => {
  const bytes = readFileSync(`${STORIES}model.safetensors`);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0))));
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  expect(names).toHaveLength(76);
  expect(names).toContain('wte.weight');
  expect(names.filter((name) => !/^(wte|wpe|ln_f|h\.\d)\./.test(name))).toEqual([]);
});
