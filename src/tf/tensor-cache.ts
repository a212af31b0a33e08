// The KV cache: keys and values of every past token, for all layers. It belongs to whoever decodes, never to
// a layer, and is the only thing that keeps tensors from step to step. Knows nothing of the model's weights.
// TF.js cannot write in place, so appending is copying. To copy little, each layer has two segments: new rows
// are appended to a short tail, and the tail to the long body only when it is full.

import type { Tensor4D, TensorContainer } from '@tensorflow/tfjs-core';
import type { KeyValue, Past } from './gpt2.js';
import { tf } from './tf.js';

/** Rows at which the tail goes to the body: copying both then costs a step less than 1 % of the body. */
const TAIL_ROWS = 128;

interface Layer {
  readonly body: KeyValue;
  readonly tail: KeyValue;
}

/** Keys and values of the tokens run so far, `[B, nHead, length, headDim]` a layer, in two segments. */
export class KvCache {
  #layers: readonly Layer[] | null = null;
  /** Rows at the beginning of the body that are no tokens, for each sequence; empty: none for any. */
  #padding: readonly number[] = [];

  /** Tokens already cached, of the longest sequence: the position of its next one. */
  get length(): number {
    const [layer] = this.#layers ?? [];
    return layer === undefined ? 0 : rows(layer.body) + rows(layer.tail);
  }

  /** Tokens already cached of each sequence; none before the first. */
  get lengths(): readonly number[] {
    return this.padding.map((rows) => this.length - rows);
  }

  /** Rows before the first token of each sequence, at which nobody may look: all in the body. */
  get padding(): readonly number[] {
    const B = this.#layers?.[0]?.tail.k.shape[0] ?? 0;
    return Array.from({ length: B }, (_, b) => this.#padding[b] ?? 0);
  }

  /** Bytes of the positions in use: 2 · nLayer · B · nEmbd · 4 · length. */
  get byteSize(): number {
    return this.#tensors().reduce((sum, tensor) => sum + 4 * tensor.size, 0);
  }

  /** What attention reads, borrowed: body and tail of each layer, either may be empty; null before the first token. */
  get layers(): readonly Past[] | null {
    return this.#layers?.map(({ body, tail }) => [body, tail]) ?? null;
  }

  /**
   * Takes over what the forward pass returns, and disposes what it replaces.
   * @param presents one a layer: the last segment of `layers` with the new tokens behind it; the cache's from here on
   */
  append(presents: readonly KeyValue[]): void {
    const bodies = presents.map((present, i) => this.#layers?.[i]?.body ?? empty(present));
    const replaced = [...this.#tensors(), ...[...bodies, ...presents].flatMap(({ k, v }) => [k, v])];
    this.#layers = presents.map((present, i) => {
      const body = bodies[i] as KeyValue;
      const isFull = rows(present) >= TAIL_ROWS;
      return isFull ? { body: joined(body, present), tail: empty(present) } : { body: kept(body), tail: kept(present) };
    });
    const current = new Set(this.#tensors());
    tf.dispose(replaced.filter((tensor) => !current.has(tensor)));
  }

  /**
   * Forgets all tokens from position `length` on.
   * @throws RangeError when `length` is not in 0 … this.length
   */
  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.length) {
      throw new RangeError(`truncate: expected 0 … ${this.length}, found ${length}`);
    }
    if (length === 0) {
      this.dispose();
    } else if (length < this.length) {
      const old = this.#tensors();
      this.#layers = (this.#layers ?? []).map(({ body, tail }) => ({
        body: firstRows(body, Math.min(length, rows(body))),
        tail: firstRows(tail, Math.max(0, length - rows(body))),
      }));
      tf.dispose(old);
    }
  }

  /** A second cache with the same tokens; costs no copy. Either may be appended to or disposed alone. */
  fork(): KvCache {
    const fork = new KvCache();
    fork.#padding = this.#padding;
    fork.#layers = this.#layers?.map(({ body, tail }) => ({ body: cloned(body), tail: cloned(tail) })) ?? null;
    return fork;
  }

  /**
   * A cache of several sequences, which end together: the shorter ones begin later.
   * @param sources where they are, borrowed; each may be taken any number of times
   */
  static gather(sources: readonly Sequences[]): KvCache {
    const lengths = sources.flatMap(({ cache, rows }) => rows.map((b) => cache.lengths[b] as number));
    const longest = Math.max(...lengths);
    const gathered = new KvCache();
    gathered.#padding = lengths.map((length) => longest - length);
    const layers = Array.from({ length: sources[0]?.cache.layers?.length ?? 0 }, (_, layer) => layer);
    gathered.#layers = layers.map((layer) =>
      tidied(() => {
        const side = (name: 'k' | 'v') =>
          tf.concat(
            sources.map((source) => pick(source, layer, name, longest)),
            0,
          );
        const body = { k: side('k'), v: side('v') }; // [B, nHead, longest, headDim]
        return { body, tail: empty(body) };
      }),
    );
    return gathered;
  }

  /** Frees everything; the cache is then empty and may be used again. */
  dispose(): void {
    tf.dispose(this.#tensors());
    this.#layers = null;
    this.#padding = [];
  }

  #tensors(): Tensor4D[] {
    return (this.#layers ?? []).flatMap(({ body, tail }) => [body.k, body.v, tail.k, tail.v]);
  }
}

/** Some sequences of a cache, by their places in it. */
export interface Sequences {
  readonly cache: KvCache;
  readonly rows: readonly number[];
}

/** Keys or values of these sequences in one layer, at the end of `length` rows. */
function pick({ cache, rows }: Sequences, layer: number, side: 'k' | 'v', length: number): Tensor4D {
  const past = cache.layers?.[layer] ?? [];
  const segments = past.map((segment) => segment[side]).filter(({ size }) => size > 0);
  const all = segments.length === 1 ? (segments[0] as Tensor4D) : tf.concat<Tensor4D>(segments, 2); // [B, nHead, cache.length, headDim]
  const picked = tf.gather(all, [...rows]); // [rows, nHead, cache.length, headDim]
  const missing = length - all.shape[2];
  const none: [number, number] = [0, 0];
  return missing < 0
    ? tf.slice(picked, [0, 0, -missing, 0], [-1, -1, length, -1]) // [rows, nHead, length, headDim]
    : tf.pad(picked, [none, none, [missing, 0], none]); // [rows, nHead, length, headDim]
}

/** Frees all that making a layer took, but for the layer. */
function tidied(make: () => Layer): Layer {
  return tf.tidy(() => {
    const { body, tail } = make();
    return { body: kept(body), tail: kept(tail) } as unknown as TensorContainer;
  }) as unknown as Layer;
}

function rows({ k }: KeyValue): number {
  return k.shape[2];
}

function kept({ k, v }: KeyValue): KeyValue {
  return { k: tf.keep(k), v: tf.keep(v) };
}

function joined(a: KeyValue, b: KeyValue): KeyValue {
  const both = (x: Tensor4D, y: Tensor4D) => (x.shape[2] === 0 ? tf.clone(y) : tf.concat([x, y], 2)); // [B, nHead, a + b, headDim]
  return kept({ k: both(a.k, b.k), v: both(a.v, b.v) });
}

function empty({ k }: KeyValue): KeyValue {
  const [B, nHead, , headDim] = k.shape;
  return kept({ k: tf.zeros([B, nHead, 0, headDim]), v: tf.zeros([B, nHead, 0, headDim]) });
}

function firstRows({ k, v }: KeyValue, length: number): KeyValue {
  if (length === 0) {
    return empty({ k, v });
  }
  return kept({
    k: tf.slice(k, [0, 0, 0, 0], [-1, -1, length, -1]), // [B, nHead, length, headDim]
    v: tf.slice(v, [0, 0, 0, 0], [-1, -1, length, -1]), // [B, nHead, length, headDim]
  });
}

function cloned({ k, v }: KeyValue): KeyValue {
  return kept({ k: tf.clone(k), v: tf.clone(v) });
}
