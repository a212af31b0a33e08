// Prompts by what they begin with, as a tree: those that share a beginning share a branch. Says how much a prompt has in
// common with those before it, and gives an order in which those that share most follow each other. Knows nothing of
// keys and values.

interface Node {
  /** The ids that lead to it from the node above: [from, to) of `ids`. */
  readonly ids: readonly number[];
  from: number;
  readonly to: number;
  /** The numbers of the prompts that end here. */
  readonly prompts: number[];
  /** By the first id that leads to each, in the order in which they came. */
  children: Map<number, Node>;
}

export class PromptTree {
  readonly #root: Node = newNode([], 0, 0);
  #size = 0;

  /** @returns how many ids at the beginning a prompt before has in common with it, and whether one is the same */
  add(ids: readonly number[]): { readonly common: number; readonly isSame: boolean } {
    const { node, common } = this.#branchFor(ids);
    const isSame = node.prompts.length > 0;
    node.prompts.push(this.#size++);
    return { common, isSame };
  }

  /**
   * The numbers of all prompts, counted from 0 as they came. A prompt comes before those that go on from it, and branches
   * come in the order of their first prompts. So each prompt has the most that it has in common with any of those before
   * it in common with one of the latest, too.
   */
  order(): number[] {
    const order: number[] = [];
    const stack = [this.#root];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      for (const prompt of node.prompts) {
        order.push(prompt);
      }
      for (const child of [...node.children.values()].reverse()) {
        stack.push(child);
      }
    }
    return order;
  }

  /** The node where the ids end, which is made if there is none. */
  #branchFor(ids: readonly number[]): { node: Node; common: number } {
    let node = this.#root;
    for (let at = 0; at < ids.length; ) {
      const first = ids[at] as number;
      const child = node.children.get(first);
      if (child === undefined) {
        const leaf = newNode(ids, at, ids.length);
        node.children.set(first, leaf);
        return { node: leaf, common: at };
      }
      const length = commonWith(child, ids, at);
      at += length;
      node = length === child.to - child.from ? child : split(node, child, length);
    }
    return { node, common: ids.length };
  }
}

function newNode(ids: readonly number[], from: number, to: number): Node {
  return { ids, from, to, prompts: [], children: new Map() };
}

/** How many of the ids that lead to a node follow in `ids` from `at` on. */
function commonWith({ ids: own, from, to }: Node, ids: readonly number[], at: number): number {
  let length = 0;
  while (from + length < to && own[from + length] === ids[at + length]) {
    length++;
  }
  return length;
}

/** Puts a node between two, behind the first `length` ids that lead to the lower one. */
function split(above: Node, below: Node, length: number): Node {
  const { ids, from } = below;
  const between = newNode(ids, from, from + length);
  above.children.set(ids[from] as number, between); // in the place of the lower one
  below.from += length;
  between.children.set(ids[below.from] as number, below);
  return between;
}
