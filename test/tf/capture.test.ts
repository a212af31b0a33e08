// Capture as it is: any function of tensors, nothing of GPT-2.

import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { Tensor } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Binding, nodeBackend, type TensorMetadata } from '../../src/tf/binding.js';
import { type Captured, capture } from '../../src/tf/capture.js';
import { encodeSavedModel } from '../../src/tf/saved-model.js';
import { withBinding } from '../support/binding.js';
import { expectParity } from '../support/golden.js';
import { useBackend } from '../support/open.js';
import { tempDirs } from '../support/temp-dir.js';

type Fn = (inputs: readonly Tensor[]) => readonly Tensor[];

const tempDir = tempDirs();
const oldTemp = process.env.TMPDIR;
let tfjsNodeDir: string;
/** Where capture would write if it wrote to a disk: nothing else does. */
let temp: string;
let start: number;

beforeAll(async () => {
  tfjsNodeDir = (await useBackend('node')).tfjsNodeDir as string;
  temp = tempDir();
  process.env.TMPDIR = temp;
  expect(tmpdir()).toBe(temp);
});
afterAll(() => {
  process.env.TMPDIR = oldTemp;
});
beforeEach(() => {
  start = tf.memory().numTensors;
});

function captured(fn: Fn, inputs: Tensor[], weights: Tensor[] = [], shards = 1): Captured {
  return capture(fn, inputs, weights, { tfjsNodeDir, shards });
}

/** Captures with the first inputs, replays with the second, and compares with a call. */
function expectReplay(fn: Fn, first: () => Tensor[], second: () => Tensor[], weights: Tensor[] = []): void {
  tf.tidy(() => {
    const replay = captured(fn, first(), weights);
    const inputs = second();
    const outputs = replay.run(inputs);
    const expected = fn(inputs);
    expect(outputs.map(({ shape, dtype }) => ({ shape, dtype }))).toEqual(
      expected.map(({ shape, dtype }) => ({ shape, dtype })),
    );
    for (const [i, output] of outputs.entries()) {
      expectParity(output.dataSync(), (expected[i] as Tensor).dataSync());
    }
    replay.dispose();
  });
}

const vector = (...values: number[]) => tf.tensor1d(values, 'float32');
const integers = (...values: number[]) => tf.tensor1d(values, 'int32');

describe('a replay gives what a call gives', () => {
  it('for other values and other sizes', () => {
    const fn: Fn = ([x]) => [tf.softmax(x as Tensor), tf.reshape(x as Tensor, [-1, 1])];
    expectReplay(
      fn,
      () => [vector(1, 2)],
      () => [vector(3, 1, 4, 1, 5)],
    );
  });

  it('with constants of both types, single numbers and lists', () => {
    const fn: Fn = ([x]) => {
      const scaled = tf.mul(tf.add(x as Tensor, 0.5), tf.tensor1d([2, 3, 4]));
      return [scaled, tf.gather(scaled, tf.tensor1d([2, 0], 'int32')), tf.onesLike(scaled)];
    };
    expectReplay(
      fn,
      () => [vector(1, 2, 3)],
      () => [vector(-1, 0, 7)],
    );
  });

  it('with ops of several outputs, and any of them fetched', () => {
    const fn: Fn = ([x]) => {
      const [a, b, c] = tf.split(x as Tensor, 3, 1) as [Tensor, Tensor, Tensor];
      const [top, bottom] = tf.unstack(b, 0) as [Tensor, Tensor];
      return [tf.sub(c, a), bottom, top, b];
    };
    expectReplay(
      fn,
      () => [tf.ones([2, 6])],
      () => [tf.tensor2d([...Array(12).keys()], [2, 6])],
    );
  });

  it('with int32 and float32 inputs, and a cast between them', () => {
    const fn: Fn = ([ids, x]) => {
      const next = tf.add(ids as Tensor, tf.scalar(1, 'int32'));
      return [next, tf.mul(tf.cast(next, 'float32'), x as Tensor), tf.cast(tf.greater(next, 2), 'float32')];
    };
    expectReplay(
      fn,
      () => [integers(0, 1), vector(1, 1)],
      () => [integers(5, 1), vector(0.5, -2)],
    );
  });

  it('with weights, which are read and never copied into the graph', () => {
    const weight = tf.variable(tf.tensor2d([1, 2, 3, 4], [2, 2]));
    const unused = vector(9);
    const fn: Fn = ([x]) => [tf.matMul(x as tf.Tensor2D, weight as unknown as tf.Tensor2D)];
    expectReplay(
      fn,
      () => [tf.ones([1, 2])],
      () => [tf.tensor2d([3, 5], [1, 2])],
      [weight, unused],
    );
    tf.dispose([weight, unused]);
  });

  it('when it returns a constant as it is', () => {
    expectReplay(
      ([x]) => [tf.scalar(3), tf.neg(x as Tensor)],
      () => [vector(1)],
      () => [vector(5)],
    );
  });

  it('when two captures live at once', () => {
    tf.tidy(() => {
      const double = captured(([x]) => [tf.mul(x as Tensor, 2)], [vector(1)]);
      const square = captured(([x]) => [tf.square(x as Tensor)], [vector(1)]);
      expect([double, square, double].map((it) => (it.run([vector(3)])[0] as Tensor).dataSync()[0])).toEqual([6, 9, 6]);
      double.dispose();
      expect((square.run([vector(4)])[0] as Tensor).dataSync()[0]).toBe(16);
      square.dispose();
    });
  });

  it('split into shards or not', () => {
    const weight = tf.randomNormal<tf.Rank.R2>([1024, 512], 0, 1, 'float32', 3);
    const fn: Fn = ([x]) => [tf.matMul(x as tf.Tensor2D, weight)];
    tf.tidy(() => {
      const x = tf.randomNormal([1, 1024], 0, 1, 'float32', 4);
      const [whole, split] = [1, 3].map((shards) => {
        const replay = captured(fn, [x], [weight], shards);
        const [product] = replay.run([x]) as [Tensor];
        replay.dispose();
        return product;
      }) as [Tensor, Tensor];
      expect(tf.max(tf.abs(tf.sub(whole, split))).dataSync()[0]).toBeLessThan(1e-3);
      expect(tf.max(tf.abs(whole)).dataSync()[0]).toBeGreaterThan(10);
    });
    weight.dispose();
  });
});

describe('what cannot be captured is refused, and leaves everything as it was', () => {
  /** The backend works, the binding is the real one, no tensor and no file is left over. */
  function expectRefused(fn: Fn, message: RegExp | string, inputs: () => Tensor[] = () => [vector(1, 2, 3, 4)]): void {
    const { binding } = nodeBackend();
    const given = inputs();
    expect(() => captured(fn, given)).toThrow(message);
    tf.dispose(given);
    expect(nodeBackend().binding).toBe(binding);
    expect(tf.memory().numTensors).toBe(start);
    expect(readdirSync(temp)).toEqual([]);
    expectReplay(
      ([x]) => [tf.neg(x as Tensor)],
      () => [vector(1)],
      () => [vector(2)],
    );
  }

  it('a list attribute', () => {
    const fn: Fn = ([x]) => [tf.maxPool(tf.reshape(x as Tensor, [1, 2, 2, 1]) as tf.Tensor4D, 2, 1, 'same')];
    expectRefused(fn, /MaxPool: attribute \w+ is of a kind that cannot be captured/);
  });

  it('a shape attribute', () => {
    const { binding } = nodeBackend();
    const attributes = [{ name: 'shape', type: 99, value: [1, 2] }];
    const graph = { placeholders: [], constants: [], nodes: [{ name: 'n', op: 'Fill', inputs: [], attributes }] };
    expect(() => encodeSavedModel(graph, binding, tfjsNodeDir)).toThrow(
      'Fill: attribute shape is of a kind that cannot be captured',
    );
  });

  it('a tensor from outside that is neither input nor weight', () => {
    const outside = vector(1, 2, 3, 4);
    outside.dataSync();
    tf.neg(outside).dispose(); // uploads it: otherwise it would be a constant
    start = tf.memory().numTensors;
    expectRefused(([x]) => [tf.add(x as Tensor, outside)], 'neither an input nor a weight');
    outside.dispose();
  });

  it('an output that is an input itself', () => {
    expectRefused((inputs) => inputs, 'an output that is an input or a weight itself cannot be captured');
  });

  it('an op that this TensorFlow does not have', () => {
    const { binding } = nodeBackend();
    const executeOp: Binding['executeOp'] = (op, ...rest) => binding.executeOp(op === 'NoSuchOp' ? 'Neg' : op, ...rest);
    withBinding({ executeOp }, () => {
      expectRefused(([x]) => {
        const backend = nodeBackend();
        const [id] = backend.getInputTensorIds([x as Tensor]);
        const type = { name: 'T', type: binding.TF_ATTR_TYPE, value: 1 };
        const [made] = backend.binding.executeOp('NoSuchOp', [type], [id as number], 1);
        return [backend.createOutputTensor(made as TensorMetadata)];
      }, /NoSuchOp/);
    });
  });

  it('a function that throws', () => {
    const fn: Fn = ([x]) => {
      tf.exp(x as Tensor);
      throw new Error('halfway');
    };
    expectRefused(fn, 'halfway');
  });

  it('a capture inside another', () => {
    const inner: Fn = ([x]) => [tf.neg(x as Tensor)];
    expectRefused((inputs) => {
      captured(inner, [...inputs]);
      return inputs;
    }, 'a capture cannot run inside another');
  });

  it('a library that cannot load what was written', () => {
    const loadSavedModel = (): never => {
      throw new Error('not loaded');
    };
    const x = vector(1);
    withBinding({ loadSavedModel }, () => {
      expect(() => captured(([y]) => [tf.neg(y as Tensor)], [x])).toThrow('not loaded');
    });
    x.dispose();
    expect(tf.memory().numTensors).toBe(start);
  });
});

describe('what it leaves behind', () => {
  it('no file, at any moment: the graph is never on a disk', () => {
    const { binding } = nodeBackend();
    const found: unknown[] = [];
    const loadSavedModel: Binding['loadSavedModel'] = (dir, tags) => {
      found.push(dir, readdirSync(temp));
      return binding.loadSavedModel(dir, tags);
    };
    tf.tidy(() => {
      withBinding({ loadSavedModel }, () => {
        const replay = captured(([x]) => [tf.neg(x as Tensor)], [vector(1)]);
        expect(found).toEqual([expect.stringMatching(/^ram:/), []]);
        expect((replay.run([vector(2)])[0] as Tensor).dataSync()[0]).toBe(-2);
        replay.dispose();
      });
    });
  });

  it('no tensor: a replay makes its outputs and nothing else', () => {
    const inputs = [vector(1, 2)];
    const weights = [vector(3, 4)];
    const before = tf.memory();
    const replay = captured(([x]) => [tf.add(x as Tensor, weights[0] as Tensor), tf.exp(x as Tensor)], inputs, weights);
    expect(tf.memory().numTensors).toBe(before.numTensors);
    for (let i = 0; i < 20; i++) {
      const outputs = replay.run(inputs);
      expect(tf.memory().numTensors).toBe(before.numTensors + 2);
      tf.dispose(outputs);
    }
    replay.dispose();
    expect(tf.memory()).toMatchObject({ numTensors: before.numTensors, numDataBuffers: before.numDataBuffers });
    tf.dispose([...inputs, ...weights]);
  });

  it('no native graph: dispose frees it once, and a run after that says so', () => {
    const { binding } = nodeBackend();
    const deleted: number[] = [];
    const deleteSavedModel = (id: number) => {
      deleted.push(id);
      binding.deleteSavedModel(id);
    };
    const x = vector(1);
    withBinding({ deleteSavedModel }, () => {
      const replay = captured(([y]) => [tf.neg(y as Tensor)], [x]);
      replay.dispose();
      replay.dispose();
      expect(deleted).toHaveLength(1);
      expect(() => replay.run([x])).toThrow('expected 1 inputs of a live capture, found 1');
    });
    x.dispose();
  });

  it('refuses another number of inputs', () => {
    tf.tidy(() => {
      const replay = captured(([x]) => [tf.neg(x as Tensor)], [vector(1)]);
      expect(() => replay.run([])).toThrow('expected 1 inputs of a live capture, found 0');
      replay.dispose();
    });
  });
});

describe('what its caller must know', () => {
  it('a value read inside the function is frozen as it was', () => {
    tf.tidy(() => {
      const replay = captured(([x]) => [tf.scalar((x as Tensor).dataSync()[0] as number)], [vector(1)]);
      expect((replay.run([vector(7)])[0] as Tensor).dataSync()[0]).toBe(1);
      replay.dispose();
    });
  });
});
