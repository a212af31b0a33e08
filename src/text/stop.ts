// Finds stop strings in text that arrives in pieces, and holds back only the longest suffix that may still become a match.
// The match that ends first ends the text: of 'abc' and 'b' that is 'b'. Of matches that end at the same place, the longest
// counts. Knows nothing of tokens.
// Reference: Aho and Corasick, "Efficient string matching" (CACM 18, 1975).

import { setImmediate } from 'node:timers/promises';
import { KvgenError } from '../errors.js';

/** UTF-16 units of all stop strings together: bounds memory and time. */
const MAX_UNITS = 2 ** 22;
/** Units after which building looks whether there is a signal: some milliseconds. */
const PORTION = 20_000;
const UNITS = 2 ** 16;

/** A tree of the beginnings of stop strings. Its nodes are numbers; 0 is the root, which is no beginning at all. */
interface Automaton {
  /** From a node and a UTF-16 unit, as `node · UNITS + unit`, to the node that is one unit longer. */
  readonly next: ReadonlyMap<number, number>;
  /** How many units are matched, which is how many are held back. */
  readonly depths: Int32Array;
  /** The node of the longest proper suffix that begins a stop string. */
  readonly fails: Int32Array;
  /** The length of the longest stop string that ends there; 0: none ends there. */
  readonly matches: Int32Array;
}

/** Those of lists that are still in use: samples and lines have them in common. */
const known = new WeakMap<readonly string[], Automaton>();

/**
 * Builds what a matcher of these stop strings needs, if there are many in portions between which signals are seen.
 * @throws KvgenError for too many; what `signal` aborts with
 */
export async function prepareStops(stops: readonly string[], signal?: AbortSignal): Promise<void> {
  if (!known.has(stops)) {
    const building = build(stops);
    let step = building.next();
    while (!step.done) {
      await setImmediate();
      signal?.throwIfAborted();
      step = building.next();
    }
    known.set(stops, step.value);
  }
}

function automatonOf(stops: readonly string[]): Automaton {
  let automaton = known.get(stops);
  if (automaton === undefined) {
    const building = build(stops);
    let step = building.next();
    while (!step.done) {
      step = building.next();
    }
    automaton = step.value;
    known.set(stops, automaton);
  }
  return automaton;
}

/** The node after one more UTF-16 unit. */
function after({ next, fails }: Pick<Automaton, 'next' | 'fails'>, from: number, unit: number): number {
  for (let node = from; ; node = fails[node] as number) {
    const child = next.get(node * UNITS + unit);
    if (child !== undefined || node === 0) {
      return child ?? 0;
    }
  }
}

/** @yields after each portion */
function* build(stops: readonly string[]): Generator<void, Automaton> {
  const units = stops.reduce((sum, { length }) => sum + length, 0);
  if (units > MAX_UNITS) {
    throw new KvgenError(`the stop strings have ${units} characters in all; give ${MAX_UNITS} or fewer`);
  }
  const next = new Map<number, number>();
  const [depths, fails, matches] = [0, 0, 0].map(() => new Int32Array(units + 1)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  const edges = new Float64Array(units + 1); // how each node is reached
  let work = 0;
  let size = 1;
  for (const stop of stops) {
    let node = 0;
    for (let i = 0; i < stop.length; i++) {
      const edge = node * UNITS + stop.charCodeAt(i);
      node = next.get(edge) ?? size;
      if (node === size) {
        next.set(edge, size);
        edges[size] = edge;
        depths[size] = i + 1;
        size++;
      }
      if (++work % PORTION === 0) {
        yield;
      }
    }
    matches[node] = stop.length;
  }
  for (const node of byDepth(depths.subarray(0, size))) {
    const edge = edges[node] as number;
    const [parent, unit] = [Math.floor(edge / UNITS), edge % UNITS];
    fails[node] = parent === 0 ? 0 : after({ next, fails }, fails[parent] as number, unit);
    matches[node] ||= matches[fails[node]] as number;
    if (++work % PORTION === 0) {
      yield;
    }
  }
  return { next, depths, fails, matches };
}

/** The nodes but the root, the shortest first. */
function byDepth(depths: Int32Array): Int32Array {
  const places = new Int32Array(depths.length + 1);
  for (const depth of depths) {
    places[depth + 1] = (places[depth + 1] as number) + 1;
  }
  for (let depth = 1; depth < places.length; depth++) {
    places[depth] = (places[depth] as number) + (places[depth - 1] as number);
  }
  const order = new Int32Array(depths.length);
  for (const [node, depth] of depths.entries()) {
    const place = places[depth] as number;
    places[depth] = place + 1;
    order[place] = node;
  }
  return order.subarray(1);
}

export class StopMatcher {
  readonly #automaton: Automaton;
  #node = 0;
  #held = '';
  #stopped = false;

  /** @param stops none of them may be empty */
  constructor(stops: readonly string[]) {
    this.#automaton = automatonOf(stops);
  }

  /** Is text held back that may still become a match? */
  get holding(): boolean {
    return this.#held !== '';
  }

  /** Returns the text that this piece releases. After a match, `stopped` is true and no more text is released. */
  push(text: string): { text: string; stopped: boolean } {
    if (this.#stopped) {
      return { text: '', stopped: true };
    }
    const pending = this.#held + text;
    for (let i = this.#held.length; i < pending.length; i++) {
      this.#node = after(this.#automaton, this.#node, pending.charCodeAt(i));
      const match = this.#automaton.matches[this.#node] as number;
      if (match > 0) {
        this.#stopped = true;
        this.#held = '';
        return { text: pending.slice(0, i + 1 - match), stopped: true };
      }
    }
    const released = pending.length - (this.#automaton.depths[this.#node] as number);
    this.#held = pending.slice(released);
    return { text: pending.slice(0, released), stopped: false };
  }

  /** Returns what is held back when the text ends: it can no longer become a match. */
  finish(): string {
    const text = this.#held;
    this.#held = '';
    this.#node = 0;
    return text;
  }
}
