import { inflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { AttentionTable, tableBytes, WHOLE } from '../../src/view/attention-table.js';
import { type PackedAttention, packAttention, quantize } from '../../src/view/pack-attention.js';
import type { AttentionRecord, AttentionRow } from '../../src/view/run-record.js';
import { syntheticRun } from './synthetic-run.js';

const ROOM = 1_000_000;
const opened = ({ shape, base64 }: PackedAttention) =>
  new AttentionTable(shape, inflateRawSync(Buffer.from(base64, 'base64')));
const record = (...rows: AttentionRow[]): AttentionRecord => ({ layers: [[rows]] });

describe('quantizing', () => {
  it('gives whole 255ths that sum to 255, one more to the largest remainders', () => {
    expect(quantize([1])).toEqual([255]);
    expect(quantize([0.5, 0.5])).toEqual([128, 127]);
    expect(quantize([0.1, 0.2, 0.7])).toEqual([26, 51, 178]); // 25.5, 51, 178.5
    expect(quantize([1e-9, 1])).toEqual([0, 255]);
    expect(quantize(Array(1000).fill(0.001)).reduce((a, b) => a + b)).toBe(255);
  });

  it('a row that is nothing at all is all rest', () => {
    expect(quantize([0, 0, 0])).toEqual([0, 0, 255]);
    expect(quantize([Number.NaN, 1])).toEqual([0, 255]);
  });
});

describe('packing', () => {
  it('gives whole rows back, within a 255th, in their places', () => {
    const { attention } = syntheticRun({ prompt: 3, generated: 10, layers: 2, heads: 3 });
    const packed = packAttention(attention as AttentionRecord, ROOM);
    expect(packed.shape).toEqual({ layers: 2, heads: 3, rows: 12, most: null });
    const table = opened(packed);
    attention?.layers.forEach((heads, layer) => {
      heads.forEach((rows, head) => {
        rows.forEach((row, query) => {
          const { entries, rest } = table.row(layer, head, query);
          const weights = row as readonly number[];
          const dense = weights.map((_, i) => entries.find(([position]) => position === i)?.[1] ?? 0);
          expect(rest).toBe(0);
          expect(Math.max(...dense.map((weight, i) => Math.abs(weight / WHOLE - (weights[i] as number))))).toBeLessThan(
            1 / WHOLE,
          );
        });
      });
    });
  });

  it('keeps positions and the rest of rows that the record has shortened', () => {
    const packed = packAttention(
      record(
        [1],
        [0.25, 0.75],
        {
          top: [
            [2, 0.5],
            [0, 0.2],
          ],
          rest: 0.3,
        },
        { top: [[3, 1]], rest: 0 },
      ),
      ROOM,
    );
    expect(packed.shape.most).toBe(2);
    const table = opened(packed);
    expect(table.row(0, 0, 0)).toEqual({ entries: [[0, 255]], rest: 0 });
    expect(table.row(0, 0, 1)).toEqual({
      entries: [
        [0, 64],
        [1, 191],
      ],
      rest: 0,
    });
    expect(table.row(0, 0, 2)).toEqual({
      entries: [
        [0, 51],
        [2, 128],
      ],
      rest: 76,
    }); // 51, 127.5, 76.5
    expect(table.row(0, 0, 3)).toEqual({ entries: [[3, 255]], rest: 0 });
  });

  it('keeps positions beyond 255', () => {
    const rows = Array.from({ length: 700 }, (_, query): AttentionRow => ({ top: [[query, 0.9]], rest: 0.1 }));
    expect(opened(packAttention(record(...rows), ROOM)).row(0, 0, 699).entries).toEqual([[699, 230]]);
  });

  it('keeps the largest of each row where all are too many, and what is left out is the rest', () => {
    const { attention } = syntheticRun({ prompt: 1, generated: 300, layers: 1, heads: 2 });
    const packed = packAttention(attention as AttentionRecord, 16_000);
    expect(packed.shape.most).toBeLessThanOrEqual(64);
    expect(packed.shape.most).toBeGreaterThan(8);
    expect(packed.base64.length).toBeLessThanOrEqual(16_000);
    const table = opened(packed);
    const row = attention?.layers[0]?.[1]?.[299] as number[];
    const { entries, rest } = table.row(0, 1, 299);
    expect(entries.reduce((sum, [, weight]) => sum + weight, rest)).toBe(WHOLE);
    expect(entries.map(([position]) => position)).toContain(row.indexOf(Math.max(...row)));
    expect(rest).toBeGreaterThan(0);
  });

  it('of equal weights the first, and never instead of a larger one', () => {
    const rows = Array.from({ length: 64 }, (_, query) => [...Array(query).fill(0.3 / Math.max(1, query)), 0.7]);
    const packed = packAttention(record(...rows), 100);
    const { most } = packed.shape as { most: number };
    expect(most).toBeLessThan(64);
    const { entries } = opened(packed).row(0, 0, 63);
    expect(entries.at(-1)?.[0]).toBe(63);
    expect(packed.kept).toBe(most);
  });

  it('comes to an end where there is room for next to nothing', () => {
    const { attention } = syntheticRun({ prompt: 1, generated: 40, layers: 2, heads: 2 });
    expect(packAttention(attention as AttentionRecord, 1).shape.most).toBe(1);
  });

  it('of nothing is nothing', () => {
    expect(packAttention(record(), ROOM).shape).toEqual({ layers: 1, heads: 1, rows: 0, most: null });
    expect(packAttention({ layers: [] }, ROOM).shape.rows).toBe(0);
    expect(tableBytes({ layers: 0, heads: 0, rows: 0, most: null })).toBe(0);
  });
});
