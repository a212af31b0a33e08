// Products with a large weight in parts: the same values, the small ones left alone.

import type { Tensor2D } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { nodeBackend } from '../../src/tf/binding.js';
import { capture } from '../../src/tf/capture.js';
import type { Graph, OpAttribute } from '../../src/tf/saved-model.js';
import { splitMatMuls } from '../../src/tf/split-matmuls.js';
import { expectParity } from '../support/golden.js';
import { useBackend } from '../support/open.js';

let tfjsNodeDir: string;

beforeAll(async () => {
  tfjsNodeDir = (await useBackend('node')).tfjsNodeDir as string;
});

function random(rows: number, columns: number, seed: number): Tensor2D {
  return tf.randomNormal([rows, columns], 0, 1, 'float32', seed);
}

/** The graph of x · weight, as it is recorded. */
function product(weight: readonly number[], flags: { adj_x?: boolean; adj_y?: boolean; op?: string } = {}): Graph {
  const { binding } = nodeBackend();
  const { adj_x = false, adj_y = false, op = 'BatchMatMulV2' } = flags;
  const bool = (name: string, value: boolean): OpAttribute => ({ name, type: binding.TF_ATTR_BOOL, value });
  const type = { name: 'T', type: binding.TF_ATTR_TYPE, value: 1 };
  const placeholder = (name: string, shape: readonly number[]) => ({ name, dtype: 1, shape });
  return {
    placeholders: [placeholder('x', [1, weight[0] as number]), placeholder('w', weight)],
    constants: [],
    nodes: [
      { name: 'y', op, inputs: ['x', 'w'], attributes: [bool('adj_x', adj_x), bool('adj_y', adj_y), type] },
      { name: 'z', op: 'Neg', inputs: ['y'], attributes: [type] },
    ],
  };
}

function split(graph: Graph, shards: number): Graph {
  return splitMatMuls(graph, shards, nodeBackend().binding);
}

function count(graph: Graph, op: string): number {
  return graph.nodes.filter((node) => node.op === op).length;
}

/** The rows of the weight that each part takes. */
function rows(graph: Graph): number[] {
  return graph.constants
    .filter(({ name }) => /_w\d+_size$/.test(name))
    .map(({ bytes }) => new Int32Array(bytes.slice().buffer)[0] as number);
}

describe('values', () => {
  const sizes: [rows: number, columns: number][] = [
    [1024, 256],
    [1000, 300], // no multiple of 16
    [1031, 257], // a prime
    [262_144, 1],
    [2, 131_072],
  ];
  it.each(sizes.flatMap(([r, c]) => [1, 2, 3].map((shards) => [r, c, shards] as const)))(
    'of [%i, %i] in %i parts, plain and transposed, one row and several',
    (inner, outer, shards) => {
      tf.tidy(() => {
        const plain = random(inner, outer, 1);
        const transposed = random(inner, outer, 2);
        const fn = ([x, y]: readonly tf.Tensor[]) => [
          tf.add(tf.matMul(x as Tensor2D, plain), 1),
          tf.matMul(y as Tensor2D, transposed, false, true),
        ];
        const example = [random(1, inner, 3), random(1, outer, 4)];
        const replay = capture(fn, example, [plain, transposed], { tfjsNodeDir, shards });
        for (const rowsOfX of [1, 5]) {
          const inputs = [random(rowsOfX, inner, 5), random(rowsOfX, outer, 6)];
          const [found, expected] = [replay.run(inputs), fn(inputs)];
          for (const [i, tensor] of expected.entries()) {
            expect(found[i]?.shape).toEqual(tensor.shape);
            expectParity((found[i] as Tensor2D).dataSync(), tensor.dataSync());
          }
        }
        replay.dispose();
      });
    },
  );
});

describe('what is split', () => {
  it.each([2, 3, 4])('a large weight, in %i parts whose rows add up', (shards) => {
    const graph = split(product([1000, 300]), shards);
    expect(count(graph, 'BatchMatMulV2')).toBe(shards);
    expect(rows(graph)).toHaveLength(shards);
    expect(rows(graph).reduce((sum, n) => sum + n)).toBe(1000);
    expect(
      rows(graph)
        .slice(0, -1)
        .every((n) => n % 16 === 0),
    ).toBe(true);
  });

  it('a weight with its rows added up, a transposed one with its columns side by side', () => {
    const plain = split(product([1000, 300]), 2);
    expect([count(plain, 'AddN'), count(plain, 'ConcatV2'), count(plain, 'Slice')]).toEqual([1, 0, 4]);
    const transposed = split(product([1000, 300], { adj_y: true }), 2);
    expect([count(transposed, 'AddN'), count(transposed, 'ConcatV2'), count(transposed, 'Slice')]).toEqual([0, 1, 2]);
  });

  it('under its old name, so that what reads it stays as it was', () => {
    const graph = split(product([1000, 300]), 2);
    expect(graph.nodes.filter(({ name }) => name === 'y')).toHaveLength(1);
    expect(graph.nodes.at(-1)).toEqual(product([1000, 300]).nodes.at(-1));
    expect(new Set(graph.nodes.map(({ name }) => name)).size).toBe(graph.nodes.length);
  });

  it('no more parts than there are rows for', () => {
    expect(rows(split(product([20, 20_000]), 8))).toEqual([16, 4]);
  });
});

describe('what is left alone', () => {
  const alone: [string, () => Graph][] = [
    ['a small weight', () => product([512, 511])],
    ['a product with a transposed left side', () => product([1000, 300], { adj_x: true })],
    ['another op', () => product([1000, 300], { op: 'Dot' })],
    ['a weight of too few rows', () => product([16, 20_000], { adj_y: true })],
    ['a weight of three axes', () => product([4, 500, 300])],
  ];
  it.each(alone)('%s', (_, graph) => {
    expect(split(graph(), 3)).toEqual(graph());
  });

  it('everything with one thread', () => {
    const graph = product([1000, 300]);
    expect(split(graph, 1)).toBe(graph);
  });

  it('a product of two computed values', () => {
    const graph = product([1000, 300]);
    const [first, ...rest] = graph.nodes as [Graph['nodes'][0], ...Graph['nodes']];
    const computed = { ...graph, nodes: [{ ...first, inputs: ['x', 'n0'] }, ...rest] };
    expect(split(computed, 2)).toEqual(computed);
  });
});
