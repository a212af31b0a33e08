// Stop strings over text that arrives in pieces. Releases all but the longest suffix that may still become a match. The match
// that completes first ends the text ('b' of 'abc' and 'b'), of those that end at one place the longest. One step per UTF-16 unit.
// Knows nothing of tokens.
// Reference: Aho and Corasick, "Efficient string matching" (CACM 18, 1975).

interface Node {
  readonly depth: number; // units of stop strings matched so far = what is held
  readonly next: Map<number, Node>;
  fail: Node | undefined; // the longest proper suffix that is also a prefix of a stop string; the root has none
  match: number; // length of the longest stop string that ends here, 0 for none
}

function makeNode(depth: number): Node {
  return { depth, next: new Map(), fail: undefined, match: 0 };
}

function addStop(root: Node, stop: string): void {
  let node = root;
  for (let i = 0; i < stop.length; i++) {
    const unit = stop.charCodeAt(i);
    const child = node.next.get(unit) ?? makeNode(i + 1);
    node.next.set(unit, child);
    node = child;
  }
  node.match = stop.length;
}

/** The node for the text of `from` followed by one unit. */
function step(root: Node, from: Node, unit: number): Node {
  for (let node: Node | undefined = from; node; node = node.fail) {
    const child = node.next.get(unit);
    if (child) {
      return child;
    }
  }
  return root;
}

function buildAutomaton(stops: readonly string[]): Node {
  const root = makeNode(0);
  for (const stop of stops) {
    addStop(root, stop);
  }
  const queue = [root];
  for (const node of queue) {
    for (const [unit, child] of node.next) {
      child.fail = node.fail ? step(root, node.fail, unit) : root;
      child.match ||= child.fail.match;
      queue.push(child);
    }
  }
  return root;
}

export class StopMatcher {
  readonly #root: Node;
  #node: Node;
  #held = '';
  #stopped = false;

  /** Stop strings are not empty. */
  constructor(stops: readonly string[]) {
    this.#root = buildAutomaton(stops);
    this.#node = this.#root;
  }

  /** Is text held back that may become a match? */
  get holding(): boolean {
    return this.#held !== '';
  }

  /** The text that this piece releases; `stopped` from the match on, after which nothing comes. */
  push(text: string): { text: string; stopped: boolean } {
    if (this.#stopped) {
      return { text: '', stopped: true };
    }
    const pending = this.#held + text;
    for (let i = this.#held.length; i < pending.length; i++) {
      this.#node = step(this.#root, this.#node, pending.charCodeAt(i));
      if (this.#node.match > 0) {
        this.#stopped = true;
        this.#held = '';
        return { text: pending.slice(0, i + 1 - this.#node.match), stopped: true };
      }
    }
    const released = pending.length - this.#node.depth;
    this.#held = pending.slice(released);
    return { text: pending.slice(0, released), stopped: false };
  }

  /** What is held at the end of the text: no match, so it is text. */
  finish(): string {
    const text = this.#held;
    this.#held = '';
    this.#node = this.#root;
    return text;
  }
}
