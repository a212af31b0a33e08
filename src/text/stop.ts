// Finds stop strings in text that arrives in pieces, and holds back only the longest suffix that may still become a match.
// The match that ends first ends the text: of 'abc' and 'b' that is 'b'. Of matches that end at the same place, the longest
// counts. Knows nothing of tokens.
// Reference: Aho and Corasick, "Efficient string matching" (CACM 18, 1975).

interface Node {
  readonly depth: number; // how many UTF-16 units are matched, which is how many are held back
  readonly next: Map<number, Node>;
  fail: Node | undefined; // the node of the longest proper suffix that begins a stop string; the root has none
  match: number; // the length of the longest stop string that ends here; 0: none ends here
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

/** The node after one more UTF-16 unit. */
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

  /** @param stops none of them may be empty */
  constructor(stops: readonly string[]) {
    this.#root = buildAutomaton(stops);
    this.#node = this.#root;
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

  /** Returns what is held back when the text ends: it can no longer become a match. */
  finish(): string {
    const text = this.#held;
    this.#held = '';
    this.#node = this.#root;
    return text;
  }
}
