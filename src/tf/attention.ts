// Causal attention of new tokens over the segments of the past and over themselves, and the heads that it is made of: what
// all forward passes share. Pure functions of their arguments. Knows nothing of weights or positions.
// Source: Vaswani et al. 2017; several query heads for one head of keys and values: Ainslie et al. 2023.
//
// Shapes: B sequences of T new tokens each; S is the length of one segment. The queries of a group, nHead / nKvHead heads,
// share keys and values: they stand behind each other as so many more tokens, so that nothing is repeated.

import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { tf } from './tf.js';
import type { ForwardInputs, KeyValue, Past } from './tf-model.js';

/** What new tokens attend to besides themselves, in one layer, and what of it is hidden from them. */
export interface Visible {
  readonly past: Past;
  /** Added to the scores of the last segment, new tokens included; see `hiddenOf`. */
  readonly bias: Tensor2D; // [group · T, S]
  /** Added to those of the segment before; null: all of it is seen. */
  readonly padding: Tensor | null; // broadcasts to [B, nKvHead, group · T, S]
  readonly onWeights: ForwardInputs['onWeights'];
}

/**
 * The values of all visible tokens, mixed for each new one.
 * @param q [B, nHead, T, headDim], scaled
 * @param newK [B, nKvHead, T, headDim]
 * @param newV [B, nKvHead, T, headDim]
 * @returns mixed [B·T, nHead · headDim]; k and v: the last segment with the new tokens appended
 */
export function attend(q: Tensor4D, newK: Tensor4D, newV: Tensor4D, visible: Visible): KeyValue & { mixed: Tensor2D } {
  const { past, bias, padding, onWeights } = visible;
  const last = past.at(-1);
  const k = append(last?.k, newK); // [B, nKvHead, S, headDim]
  const v = append(last?.v, newV); // [B, nKvHead, S, headDim]
  const older = past.slice(0, -1);
  // A new token may attend to all older ones. Only the padding before a shorter sequence is hidden from it, and that
  // lies in the segment before the newest.
  const segments = [
    ...older.map((segment, i) => ({ ...segment, bias: i === older.length - 1 ? padding : null })), // bias: [B, 1, 1, S]
    { k, v, bias }, // bias: [group · T, S]
  ];
  const queries = intoGroups(q, newK.shape[1]); // [B, nKvHead, group · T, headDim]
  const scores = segments.map((segment) => addBias(tf.matMul(queries, segment.k, false, true), segment.bias)); // [B, nKvHead, group · T, S]
  const values = segments.map((segment) => segment.v); // [B, nKvHead, S, headDim]
  onWeights?.(outOfGroups(softmax(scores), q)); // [B, nHead, T, S of all segments]
  return { mixed: mergeHeads(outOfGroups(mixValues(scores, values), q)), k, v };
}

/** What is hidden: in layers that see everything, and in those with a window. */
export interface Hidden {
  readonly everywhere: Omit<Visible, 'past'>;
  /** null: there are none. */
  readonly nearby: Omit<Visible, 'past'> | null;
}

/** @param group query heads that share keys and values */
export function hiddenOf({ bias, padding, windows, onWeights }: ForwardInputs, group: number): Hidden {
  const everywhere = { bias: biasOfGroups(bias, group), padding, onWeights };
  if (windows === null) {
    return { everywhere, nearby: null };
  }
  const before = biasOfGroups(windows.before, group); // [group · T, S]
  const nearby = {
    bias: biasOfGroups(windows.bias, group),
    padding: padding === null ? before : tf.add(padding, before), // [B, 1, group · T, S]
    onWeights,
  };
  return { everywhere, nearby };
}

/** @param window of a layer */
export function hiddenIn({ everywhere, nearby }: Hidden, window: number | undefined): Omit<Visible, 'past'> {
  return window === 0 ? everywhere : (nearby as Omit<Visible, 'past'>);
}

/** The bias [T, S] for each head of a group. */
function biasOfGroups(bias: Tensor2D, group: number): Tensor2D {
  return group === 1 ? bias : tf.tile(bias, [group, 1]); // [group · T, S]
}

/** Either B or T is −1, so that a recorded graph serves any number of sequences, or any number of new tokens. */
export function splitHeads(x: Tensor2D, [B, T]: readonly [number, number], heads: number): Tensor4D {
  const headDim = x.shape[1] / heads;
  return tf.transpose(tf.reshape(x, [...anyNumber(B, T), heads, headDim]), [0, 2, 1, 3]); // [B, heads, T, headDim]
}

/** [B, T] as a shape for `tf.reshape`. */
export function anyNumber(B: number, T: number): [number, number] {
  return B > 1 && T === 1 ? [-1, 1] : [B, -1];
}

function mergeHeads(x: Tensor4D): Tensor2D {
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, x.shape[1] * x.shape[3]]); // [B·T, nHead · headDim]
}

/** The heads of a group lie side by side, so that no number moves. */
function intoGroups(q: Tensor4D, nKvHead: number): Tensor4D {
  const [B, nHead, T, headDim] = q.shape;
  if (nHead === nKvHead) {
    return q;
  }
  const [b, t] = anyNumber(B, T);
  return tf.reshape(q, [b, nKvHead, t === 1 ? nHead / nKvHead : -1, headDim]); // [B, nKvHead, group · T, headDim]
}

/** @param x [B, nKvHead, group · T, …] */
function outOfGroups(x: Tensor4D, { shape: [B, nHead, T] }: Tensor4D): Tensor4D {
  if (x.shape[1] === nHead) {
    return x;
  }
  const [b, t] = anyNumber(B, T);
  return tf.reshape(x, [b, nHead, t, x.shape[3]]); // [B, nHead, T, …]
}

function append(past: Tensor4D | undefined, added: Tensor4D): Tensor4D {
  return past === undefined || past.size === 0 ? added : tf.concat([past, added], 2); // [B, nKvHead, S, headDim]
}

function addBias(scores: Tensor4D, bias: Tensor | null): Tensor4D {
  return bias === null ? scores : tf.add(scores, bias); // [B, nKvHead, group · T, S]
}

/**
 * softmax(scores) · values, as if all segments were one. The largest score of all is subtracted from each score. The
 * exponentials are summed and mixed segment by segment, and at the end the mix is divided by the sum of all (the online
 * softmax of Milakov and Gimelshein, 2018).
 */
function mixValues(scores: readonly Tensor4D[], values: readonly Tensor4D[]): Tensor4D {
  const largest = scores.map((segment) => tf.max<Tensor4D>(segment, -1, true)).reduce((a, b) => tf.maximum(a, b)); // [B, nKvHead, group · T, 1]
  const exponentials = scores.map((segment) => tf.exp(tf.sub<Tensor4D>(segment, largest))); // [B, nKvHead, group · T, S]
  const total = exponentials.map((e) => tf.sum<Tensor4D>(e, -1, true)).reduce((a, b) => tf.add(a, b)); // [B, nKvHead, group · T, 1]
  const mixed = exponentials.map((e, i) => tf.matMul(e, values[i] as Tensor4D)).reduce((a, b) => tf.add(a, b)); // [B, nKvHead, group · T, headDim]
  return tf.div(mixed, total); // [B, nKvHead, group · T, headDim]
}

/** What `mixValues` mixes by, for those who want to see it. */
function softmax(scores: readonly Tensor4D[]): Tensor4D {
  return tf.softmax(scores.length === 1 ? (scores[0] as Tensor4D) : tf.concat([...scores], 3)); // [B, nKvHead, group · T, S of all segments]
}
