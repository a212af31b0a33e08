// The KV cache of the TF.js engine: besides the weights, the only tensors that are kept from one pass to the next. Makes the inputs of a
// pass, too: positions come from the lengths of the cache, never from a counter. Knows nothing of weights.
// TF.js cannot write into a tensor, so to append is to copy. To copy little, each layer has two segments: new positions
// are appended to a short tail, and the tail is appended to the long body only when it is full.

import type { Tensor2D, Tensor4D, TensorContainer } from '@tensorflow/tfjs-core';
import type { Pass } from '../engine/engine.js';
import { checkExport, checkTruncate, checkTruncateEach, type KvCache, type Sequences } from '../engine/kv-cache.js';
import type { KvRows } from '../engine/kv-rows.js';
import { tf } from './tf.js';
import type { ForwardInputs, KeyValue, Past, WindowBias } from './tf-model.js';

/** Positions of a full tail. The body is copied once in so many steps: less than 1 % of it for each step. */
const TAIL_LENGTH = 128;

interface Layer {
  readonly body: KeyValue;
  readonly tail: KeyValue;
}

/** The keys and values of each layer, [B, nKvHead, length, headDim] in two segments. */
export class TensorCache implements KvCache {
  expected = 0;
  #layers: readonly Layer[] | null = null;
  /** Positions before the first token of each sequence, all in the body; empty: no sequence has any. */
  #padding: readonly number[] = [];

  /** @throws Error for the cache of another engine */
  static from(cache: KvCache): TensorCache {
    if (!(cache instanceof TensorCache)) {
      throw new Error('the cache belongs to another engine');
    }
    return cache;
  }

  /** A cache of one sequence that begins with these positions, or an empty one. */
  static of(positions?: KvRows): TensorCache {
    const cache = new TensorCache();
    if (positions !== undefined && positions.length > 0) {
      const { length, nKvHead, headDim, layers } = positions;
      const tensor = (values: Float32Array) => tf.tensor4d(values, [1, nKvHead, length, headDim]); // [B, nKvHead, length, headDim]
      cache.append(layers.map(({ k, v }) => ({ k: tensor(k), v: tensor(v) })));
    }
    return cache;
  }

  get length(): number {
    const [layer] = this.#layers ?? [];
    return layer === undefined ? 0 : lengthOf(layer.body) + lengthOf(layer.tail);
  }

  get lengths(): readonly number[] {
    return this.padding.map((missing) => this.length - missing);
  }

  /** Positions before the first token of each sequence, to which no token may attend. */
  get padding(): readonly number[] {
    const B = this.#layers?.[0]?.tail.k.shape[0] ?? 0;
    return Array.from({ length: B }, (_, b) => this.#padding[b] ?? 0);
  }

  get byteSize(): number {
    return this.#tensors().reduce((sum, tensor) => sum + 4 * tensor.size, 0);
  }

  /** Body and tail of each layer, borrowed; either may be empty. null: there are no tokens yet. */
  get layers(): readonly Past[] | null {
    return this.#layers?.map(({ body, tail }) => [body, tail]) ?? null;
  }

  /**
   * Takes over what the forward pass returns, and disposes what that replaces.
   * @param presents for each layer its tail with the new tokens appended; the cache owns them from here on
   */
  append(presents: readonly KeyValue[]): void {
    const bodies = presents.map((present, i) => this.#layers?.[i]?.body ?? empty(present));
    const layers = presents.map((present, i) => {
      const body = bodies[i] as KeyValue;
      const isFull = lengthOf(present) >= TAIL_LENGTH;
      return isFull ? { body: joined(body, present), tail: empty(present) } : { body: kept(body), tail: kept(present) };
    });
    this.#replaceLayers(
      layers,
      [...bodies, ...presents].flatMap(({ k, v }) => [k, v]),
    );
  }

  truncate(length: number): void {
    checkTruncate(length, this.length);
    if (length === 0) {
      this.dispose();
    } else if (length < this.length) {
      this.#replaceLayers((this.#layers ?? []).map((layer) => firstOfLayer(layer, length)));
    }
  }

  truncateEach(lengths: readonly number[]): void {
    checkTruncateEach(lengths, this.lengths);
    const removed = this.lengths.map((held, b) => held - (lengths[b] as number));
    const [first = 0] = removed;
    if (removed.every((positions) => positions === first)) {
      this.truncate(this.length - first);
      return;
    }
    const alone = lengths.map((length, b) => {
      const cache = TensorCache.gather([{ cache: this, places: [b] }]);
      cache.truncate(length);
      return cache;
    });
    const together = TensorCache.gather(alone.map((cache) => ({ cache, places: [0] })));
    tf.dispose(alone.flatMap((cache) => cache.#tensors()));
    this.#replaceLayers(together.#layers ?? []);
    this.#padding = together.#padding;
  }

  /** Copies no values: both caches share them until one changes. */
  fork(): TensorCache {
    const fork = new TensorCache();
    fork.#padding = this.#padding;
    fork.#layers =
      this.#layers?.map(({ body, tail }) => ({ body: mapped(body, tf.clone), tail: mapped(tail, tf.clone) })) ?? null;
    return fork;
  }

  export(from: number, to: number): KvRows {
    checkExport(from, to, this.length);
    const layers = this.layers ?? [];
    const [, nKvHead, , headDim] = layers[0]?.[0]?.k.shape ?? [1, 0, 0, 0];
    const numbers = layers.map((past) => ({
      k: positionsOf(past, 'k', from, to),
      v: positionsOf(past, 'v', from, to),
    }));
    return { length: to - from, nKvHead, headDim, layers: numbers };
  }

  /** A cache of the named sequences of all `sources`, in order; one may be named several times. */
  static gather(sources: readonly Sequences[]): TensorCache {
    const lengths = sources.flatMap(({ cache, places }) => places.map((b) => cache.lengths[b] as number));
    const longest = Math.max(...lengths);
    const gathered = new TensorCache();
    gathered.expected = longest + Math.max(...sources.map(({ cache }) => cache.expected - cache.length));
    gathered.#padding = lengths.map((length) => longest - length);
    const pasts = sources.map(({ cache }) => TensorCache.from(cache).layers ?? []);
    gathered.#layers = Array.from({ length: pasts[0]?.length ?? 0 }, (_, layer) =>
      tidied(() => {
        const picked = (side: 'k' | 'v') =>
          sources.map(({ places }, i) => pick(pasts[i]?.[layer] ?? [], places, side, longest));
        const body = { k: tf.concat(picked('k'), 0), v: tf.concat(picked('v'), 0) }; // [B, nKvHead, longest, headDim]
        return { body, tail: empty(body) };
      }),
    );
    return gathered;
  }

  dispose(): void {
    tf.dispose(this.#tensors());
    this.#layers = null;
    this.#padding = [];
  }

  /** Disposes what is no longer held. @param others what it does not hold yet and nobody else does */
  #replaceLayers(layers: readonly Layer[], others: readonly Tensor4D[] = []): void {
    const old = [...this.#tensors(), ...others];
    this.#layers = layers;
    const current = new Set(this.#tensors());
    tf.dispose(old.filter((tensor) => !current.has(tensor)));
  }

  #tensors(): Tensor4D[] {
    return (this.#layers ?? []).flatMap(({ body, tail }) => [body.k, body.v, tail.k, tail.v]);
  }
}

/** Added to the score of a token that must not be attended to: softmax then gives it the weight 0. */
const HIDDEN = -1e9;

/** The part of a cache that says where its tokens are. */
type PastTokens = Pick<TensorCache, 'lengths' | 'padding' | 'layers'>;

/**
 * The inputs of a pass whose ids follow the tokens of `cache`. The caller disposes them.
 * @param window of the model; 0: no layer has one
 */
export function forwardInputs({ ids, wanted }: Pass, cache: PastTokens | null, window: number): ForwardInputs {
  const B = ids.length;
  const T = (ids[0] as readonly number[]).length;
  const starts = cache?.lengths ?? [];
  const newest = cache?.layers?.[0]?.at(-1)?.k.shape[2] ?? 0;
  const int32 = (values: number[]) => tf.tensor2d(Int32Array.from(values), [B, T], 'int32');
  return {
    ids: int32(ids.flat()), // [B, T]
    positions: int32(ids.flatMap((sequence, b) => sequence.map((_, t) => (starts[b] ?? 0) + t))), // [B, T]
    bias: causalBias(T, newest + T), // [T, S]
    padding: cache === null || cache.padding.every((length) => length === 0) ? null : paddingBias(cache), // [B, 1, 1, S]
    windows: window === 0 ? null : windowBias(T, newest + T, lengthBefore(cache), window),
    wanted: tf.tensor1d(Int32Array.from(wanted), 'int32'), // [N]
  };
}

/** For T new tokens at the end of a segment of S: HIDDEN where a token comes after the new one, else 0. */
function causalBias(T: number, S: number): Tensor2D {
  if (T === 1) {
    return tf.zeros([1, S]); // [T, S]
  }
  return tf.tidy(() => {
    const i = tf.reshape(tf.range(S - T, S, 1, 'int32'), [T, 1]); // [T, 1]
    const j = tf.reshape(tf.range(0, S, 1, 'int32'), [1, S]); // [1, S]
    return tf.mul<Tensor2D>(tf.cast(tf.greater(j, i), 'float32'), HIDDEN); // [T, S]
  });
}

/** Positions of the segment before the newest. */
function lengthBefore(cache: PastTokens | null): number {
  return cache?.layers?.[0]?.at(-2)?.k.shape[2] ?? 0;
}

/** For T new tokens at the end of a segment of S, behind one of `before`: HIDDEN also where a token is `window` or more away. */
function windowBias(T: number, S: number, before: number, window: number): WindowBias {
  const [last, older] = [new Float32Array(T * S), new Float32Array(T * before)];
  for (let t = 0; t < T; t++) {
    const place = S - T + t;
    const gone = place - window + 1; // of the last segment; below 0 they end in the one before
    last.fill(HIDDEN, t * S, t * S + Math.max(0, gone)).fill(HIDDEN, t * S + place + 1, (t + 1) * S);
    older.fill(HIDDEN, t * before, t * before + Math.min(before, Math.max(0, before + gone)));
  }
  return { bias: tf.tensor2d(last, [T, S]), before: tf.tensor2d(older, [T, before]) };
}

/** Hides the padding before the first token of each sequence; S is the length of the body. */
function paddingBias({ padding, layers }: PastTokens): Tensor4D {
  const S = layers?.[0]?.[0]?.k.shape[2] ?? 0;
  const values = new Float32Array(padding.length * S);
  for (const [b, length] of padding.entries()) {
    values.fill(HIDDEN, b * S, b * S + length);
  }
  return tf.tensor4d(values, [padding.length, 1, 1, S]); // [B, 1, 1, S]
}

/** Keys or values of some sequences in one layer, padded or cut on the left to `length` positions. */
function pick(past: Past, places: readonly number[], side: 'k' | 'v', length: number): Tensor4D {
  const segments = past.map((segment) => segment[side]).filter(({ size }) => size > 0);
  const chosen = (values: Tensor4D) => tf.gather(values, [...places]); // [places, nKvHead, …, headDim]
  const isFewer = places.length < (segments[0]?.shape[0] ?? 0); // what is not wanted is then not joined either
  const parts = isFewer ? segments.map(chosen) : segments;
  const all = parts.length === 1 ? (parts[0] as Tensor4D) : tf.concat<Tensor4D>(parts, 2); // [B or places, nKvHead, cache.length, headDim]
  const picked = isFewer ? all : chosen(all); // [places, nKvHead, cache.length, headDim]
  const missing = length - all.shape[2];
  const none: [number, number] = [0, 0];
  return missing < 0
    ? tf.slice(picked, [0, 0, -missing, 0], [-1, -1, length, -1]) // [places, nKvHead, length, headDim]
    : tf.pad(picked, [none, none, [missing, 0], none]); // [places, nKvHead, length, headDim]
}

/** Keys or values of positions [from, to) of one layer of one sequence. */
function positionsOf(past: Past, side: 'k' | 'v', from: number, to: number): Float32Array {
  return tidyNumbers(() => {
    let start = 0;
    const pieces = past.flatMap((segment) => {
      const length = lengthOf(segment);
      const [begin, end] = [Math.max(from, start) - start, Math.min(to, start + length) - start];
      start += length;
      return end > begin ? [tf.slice(segment[side], [0, 0, begin, 0], [-1, -1, end - begin, -1])] : [];
    });
    const [first] = pieces;
    return first === undefined
      ? new Float32Array()
      : tf.concat<Tensor4D>(pieces as [Tensor4D], 2).dataSync<'float32'>(); // [1, nKvHead, to - from, headDim]
  });
}

/** Frees all tensors that `make` has made, except those of the layer. */
function tidied(make: () => Layer): Layer {
  return tf.tidy(() => {
    const { body, tail } = make();
    return { body: kept(body), tail: kept(tail) } as unknown as TensorContainer;
  }) as unknown as Layer;
}

function lengthOf({ k }: KeyValue): number {
  return k.shape[2];
}

function kept({ k, v }: KeyValue): KeyValue {
  return { k: tf.keep(k), v: tf.keep(v) };
}

function mapped({ k, v }: KeyValue, make: (tensor: Tensor4D) => Tensor4D): KeyValue {
  return kept({ k: make(k), v: make(v) });
}

function joined(a: KeyValue, b: KeyValue): KeyValue {
  const both = (x: Tensor4D, y: Tensor4D) => (x.shape[2] === 0 ? tf.clone(y) : tf.concat([x, y], 2)); // [B, nKvHead, a + b, headDim]
  return kept({ k: both(a.k, b.k), v: both(a.v, b.v) });
}

function empty(pair: KeyValue): KeyValue {
  const [B, nKvHead, , headDim] = pair.k.shape;
  return mapped(pair, () => tf.zeros([B, nKvHead, 0, headDim]));
}

/** What is not cut stays as it is: the body is long, and to cut is to copy. */
function firstOfLayer({ body, tail }: Layer, length: number): Layer {
  const inTail = length - lengthOf(body);
  return inTail >= 0
    ? { body, tail: firstPositions(tail, inTail) }
    : { body: firstPositions(body, length), tail: firstPositions(tail, 0) };
}

function firstPositions(pair: KeyValue, length: number): KeyValue {
  const first = (tensor: Tensor4D) => tf.slice(tensor, [0, 0, 0, 0], [-1, -1, length, -1]); // [B, nKvHead, length, headDim]
  return length === 0 ? empty(pair) : mapped(pair, first);
}

/**
 * tf.tidy for functions that return numbers. tf.tidy itself searches what its function returns for tensors, a typed
 * array number by number: that takes 35 ms for the 50,257 logits of GPT-2, longer than the step that computes them.
 */
export function tidyNumbers(fn: () => Float32Array): Float32Array {
  let numbers = new Float32Array();
  tf.tidy(() => {
    numbers = fn() as Float32Array<ArrayBuffer>;
  });
  return numbers;
}
