import { describe, expect, it } from 'vitest';
import { AttentionRows, whyNoAttention } from '../../../src/cli/view/attention-rows.js';

/** Rows of one head, one token a pass: row t has the weights (j + 1) / (1 + … + t + 1) in an order of its own. */
function rowsOf(tokens: number, heads: { nLayer: number; nHead: number }): AttentionRows {
  const rows = new AttentionRows(tokens, heads);
  for (let t = 0; t < tokens; t++) {
    const sum = ((t + 1) * (t + 2)) / 2;
    const own = Float32Array.from({ length: t + 1 }, (_, j) => (((j * 7) % (t + 1)) + 1) / sum);
    const weights = Float32Array.from({ length: heads.nHead * (t + 1) }, (_, i) => own[i % (t + 1)] as number);
    for (let layer = 0; layer < heads.nLayer; layer++) {
      rows.add({ layer, from: t, tokens: 1, weights });
    }
  }
  return rows;
}

describe('AttentionRows', () => {
  it('keeps all weights of few rows, in seven digits, by layer, head and position', () => {
    const rows = new AttentionRows(3, { nLayer: 1, nHead: 2 });
    rows.add({ layer: 0, from: 0, tokens: 2, weights: Float32Array.of(1, 0, 0.25, 0.75, 1, 0, 1 / 3, 2 / 3) });
    rows.add({ layer: 0, from: 2, tokens: 1, weights: Float32Array.of(0.5, 0.25, 0.25, 0, 0, 1) });
    expect(rows.record).toEqual({
      layers: [
        [
          [[1], [0.25, 0.75], [0.5, 0.25, 0.25]],
          [[1], [0.3333333, 0.6666667], [0, 0, 1]],
        ],
      ],
    });
  });

  it('of many the largest of a row, in the order of their positions, and the sum of the others', () => {
    const heads = { nLayer: 40, nHead: 50 };
    const { layers } = rowsOf(100, heads).record; // 2000 · 5050 weights, so 7 of each row
    const row = layers[39]?.[49]?.[99] as { top: [number, number][]; rest: number };
    expect(row.top.length).toBe(7);
    const largest = row.top.map(([position]) => ((position * 7) % 100) + 1);
    expect(largest.toSorted((a, b) => a - b)).toEqual([94, 95, 96, 97, 98, 99, 100]);
    expect(row.top.map(([position]) => position)).toEqual(
      row.top.map(([position]) => position).toSorted((a, b) => a - b),
    );
    expect(row.top.reduce((sum, [, weight]) => sum + weight, row.rest)).toBeCloseTo(1, 5);
    expect(layers[0]?.[0]?.[13]).toHaveLength(14); // no longer than the pairs
  });

  it('of equal weights the first ones', () => {
    const rows = new AttentionRows(100, { nLayer: 40, nHead: 50 });
    for (let layer = 0; layer < 1; layer++) {
      rows.add({ layer, from: 49, tokens: 1, weights: new Float32Array(50 * 50).fill(0.02) });
    }
    const row = rows.record.layers[0]?.[0]?.[0] as { top: [number, number][]; rest: number };
    expect(row.top.map(([position]) => position)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(row.rest).toBeCloseTo(0.86, 5);
  });
});

describe('whyNoAttention', () => {
  it('too many tokens, or too many heads for them', () => {
    expect(whyNoAttention(1000, { nLayer: 12, nHead: 12 })).toBeUndefined();
    expect(whyNoAttention(1001, { nLayer: 1, nHead: 1 })).toBe(
      'the run has 1001 tokens, and attention is kept of up to 1000',
    );
    expect(whyNoAttention(1000, { nLayer: 80, nHead: 64 })).toContain(
      '80 layers of 64 heads are too many for 1000 tokens',
    );
  });
});
