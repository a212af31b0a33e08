// Puts the attention of a record into bytes: weights rounded to 255ths so that rows still sum to 1, of a long text only the
// largest of each row, deflated.

import { deflateRawSync } from 'node:zlib';
import { type AttentionShape, entriesBefore, entryCount, tableBytes, WHOLE } from './attention-table.js';
import type { AttentionData } from './page-data.js';
import type { AttentionRecord, AttentionRow } from './run-record.js';

/** A larger table than so many times that is not worth trying to deflate. */
const MOST_TABLES = 5;
const MOST_FEW = 64;

type ShortRow = Exclude<AttentionRow, readonly number[]>;

export interface PackedAttention extends AttentionData {
  /** So many of the largest weights of a long row are kept; null: all. */
  readonly kept: number | null;
}

/** All entries of rows where `mostBytes` are enough for them, else as many of the largest as there is room for. */
export function packAttention(record: AttentionRecord, mostBytes: number): PackedAttention {
  const shape = shapeOf(record);
  const entries = shape.most ?? shape.rows;
  const isTooLarge = entries > 1 && tableBytes(shape) > MOST_TABLES * mostBytes;
  const packed = isTooLarge ? undefined : deflateRawSync(tableOf(record, shape));
  if (packed !== undefined && (entries <= 1 || base64Length(packed) <= mostBytes)) {
    return { shape, kept: keptOf(record), base64: packed.toString('base64') };
  }
  const fitting = packed === undefined ? 0.75 : Math.min(0.9, (0.95 * mostBytes) / base64Length(packed));
  return packAttention(shortened(record, fewer(entries, fitting)), mostBytes);
}

/** Of rows with more than `MOST_FEW` entries the last ones are hardly ever worth their room. */
function fewer(entries: number, share: number): number {
  return entries > MOST_FEW ? MOST_FEW : Math.max(1, Math.floor(share * entries));
}

function base64Length(bytes: Uint8Array): number {
  return 4 * Math.ceil(bytes.length / 3);
}

/** The shape of a record as it is: of rows that are shortened, the longest. */
function shapeOf({ layers }: AttentionRecord): AttentionShape {
  const rows = layers[0]?.[0]?.length ?? 0;
  let [most, isWhole] = [0, true];
  for (const row of layers.flat(2)) {
    isWhole &&= isList(row);
    most = Math.max(most, isList(row) ? row.length : row.top.length);
  }
  return { layers: layers.length, heads: layers[0]?.length ?? 0, rows, most: isWhole ? null : most };
}

function keptOf({ layers }: AttentionRecord): number | null {
  const kept = layers
    .flat()
    .flatMap((rows) => rows.map((row, query) => (isList(row) || row.top.length > query ? 0 : row.top.length)));
  return kept.reduce((most, count) => Math.max(most, count), 0) || null;
}

function shortened({ layers }: AttentionRecord, most: number): AttentionRecord {
  return { layers: layers.map((heads) => heads.map((rows) => rows.map((row) => largest(row, most)))) };
}

/** The `most` largest weights of a row, in the order of positions; of equal ones the first. */
function largest(row: AttentionRow, most: number): AttentionRow {
  const weights = isList(row) ? row : row.top.map(([, weight]) => weight);
  if (weights.length <= most) {
    return row;
  }
  const least = Float64Array.from(weights).sort()[weights.length - most] as number;
  let equals = most - weights.filter((weight) => weight > least).length;
  const top = [...weights.entries()]
    .filter(([, weight]) => weight > least || (weight === least && equals-- > 0))
    .map(([i, weight]) => [isList(row) ? i : (row.top[i]?.[0] as number), weight] as const);
  const sum = (all: readonly number[]) => all.reduce((total, weight) => total + weight, 0);
  const left = sum(weights) - sum(top.map(([, weight]) => weight));
  return { top, rest: Math.max(0, left) + (isList(row) ? 0 : row.rest) };
}

function shortRow(row: AttentionRow): ShortRow {
  return isList(row) ? { top: row.map((weight, position) => [position, weight] as const), rest: 0 } : row;
}

function isList(row: AttentionRow): row is readonly number[] {
  return Array.isArray(row);
}

function tableOf(record: AttentionRecord, shape: AttentionShape): Uint8Array {
  const table = new Uint8Array(tableBytes(shape));
  const entries = entryCount(shape);
  record.layers.flat().forEach((rows, head) => {
    rows.forEach((row, query) => {
      const from = head * entriesBefore(shape, shape.rows) + entriesBefore(shape, query);
      inWholes(row).forEach(([position, weight], i) => {
        table[from + i] = weight;
        if (shape.most !== null) {
          table[entries + from + i] = position % 256;
          table[2 * entries + from + i] = position >> 8;
        }
      });
    });
  });
  return table;
}

/** A row's weights in 255ths, in the order of positions. */
function inWholes(row: AttentionRow): (readonly [position: number, weight: number])[] {
  const { top, rest } = shortRow(row);
  const wholes = quantize([...top.map(([, weight]) => weight), rest]);
  return top.map(([position], i) => [position, wholes[i] as number] as const).sort(([a], [b]) => a - b);
}

/** Whole numbers in the proportions of the weights that sum to 255: rounded down, and one more for the largest remainders. */
export function quantize(weights: readonly number[]): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (!(sum > 0)) {
    return weights.map((_, i) => (i === weights.length - 1 ? WHOLE : 0));
  }
  const shares = weights.map((weight) => (WHOLE * weight) / sum);
  const wholes = shares.map(Math.floor);
  const missing = WHOLE - wholes.reduce((total, whole) => total + whole, 0);
  const byRemainder = shares.map((share, i) => [share - Math.floor(share), i] as const).sort(([a], [b]) => b - a);
  for (const [, i] of byRemainder.slice(0, missing)) {
    wholes[i] = (wholes[i] as number) + 1;
  }
  return wholes;
}
