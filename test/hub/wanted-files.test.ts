// Patterns of paths.

import { describe, expect, it } from 'vitest';
import { matches } from '../../src/hub/wanted-files.js';

describe('a pattern', () => {
  it.each([
    ['a.gguf', 'a.gguf', true],
    ['a.gguf', 'b/a.gguf', false],
    ['*.gguf', 'b/a.gguf', true],
    ['*', '', true],
    ['*', 'a/b', true],
    ['', '', true],
    ['', 'a', false],
    ['?.bin', 'a.bin', true],
    ['?.bin', '.bin', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-b-b-', false],
    ['*Q8_0*', 'model.Q8_0.gguf', true],
    ['**', 'a', true],
    ['a*', 'a', true],
    ['a?', 'a', false],
    ['[a].x', '[a].x', true],
    ['.+', 'ab', false],
  ])('%s against %s: %s', (pattern, path, expected) => {
    expect(matches(path, pattern)).toBe(expected);
  });

  it('of many stars takes no longer than its length times the path’s', () => {
    expect(matches(`${'a'.repeat(4000)}c`, `${'*a'.repeat(1000)}b`)).toBe(false);
  });
});
