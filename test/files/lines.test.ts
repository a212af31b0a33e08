// Lines, however the pieces are cut.

import { describe, expect, it } from 'vitest';
import { type Line, linesOf, MAX_LINE_BYTES } from '../../src/files/lines.js';
import { expectFailure } from '../support/errors.js';

const inputOf = (pieces: Iterable<string | Uint8Array>) => ({
  path: 'stdin',
  async *pieces() {
    for (const piece of pieces) {
      yield Buffer.from(piece);
    }
  },
});

async function all(pieces: Iterable<string | Uint8Array>): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of linesOf(inputOf(pieces))) {
    lines.push(line);
  }
  return lines;
}

const shown = (lines: Line[]) => lines.map(({ number, bytes, end }) => [number, bytes?.toString() ?? null, end]);

describe('lines', () => {
  const text = 'a\n\nbb\r\n \t\r\nccc\n\ndd';
  const expected = [
    [1, 'a', 2],
    [3, 'bb\r', 7],
    [5, 'ccc', 15],
    [7, 'dd', 18],
  ];

  it.each([1, 2, 3, 5, 100])('in pieces of %i bytes; blank ones are counted and left out', async (size) => {
    const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
      text.slice(i * size, (i + 1) * size),
    );
    expect(shown(await all(pieces))).toEqual(expected);
  });

  it('none in an empty input', async () => {
    expect(await all([])).toEqual([]);
    expect(await all([''])).toEqual([]);
  });

  it('of which one is too long: its place is told, and the next are there', async () => {
    const long = Buffer.alloc(MAX_LINE_BYTES / 2 + 1, 'x');
    const lines = await all(['a\n', long, long, '\nb\n', long, '\nc']);
    expect(lines.map(({ number, bytes }) => [number, bytes?.length])).toEqual([
      [1, 1],
      [2, undefined],
      [3, 1],
      [4, long.length],
      [5, 1],
    ]);
    expect(lines[1]?.end).toBe(2 + 2 * long.length + 1);
  });

  it('of which one has no end: no more than that much is read', async () => {
    const piece = Buffer.alloc(1 << 20);
    let given = 0;
    const endless = (function* () {
      for (yield 'a\n'; ; given++) {
        yield piece;
      }
    })();
    const { message } = await expectFailure(() => all(endless));
    expect(message).toBe('stdin: line 2: expected at most 16 MB, found no end of it after 257 MB');
    expect(given).toBeLessThan(260);
  });
});
