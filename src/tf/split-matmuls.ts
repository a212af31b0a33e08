// Splits the large matrix products of a recorded graph into several that TensorFlow runs side by side: it multiplies a
// single row by a matrix on one thread, and one thread cannot use the whole memory bandwidth. A weight is cut between
// its rows, where a slice shares its memory, so no weight is copied. The values are the same but for the rounding of
// sums that are taken in parts. Knows nothing of models.

import {
  type AttributeTypes,
  attribute,
  DT_FLOAT,
  DT_INT32,
  type Edge,
  type Graph,
  type GraphConstant,
  type GraphNode,
  type OpAttribute,
} from './saved-model.js';

/** A product with a weight of fewer values is done before a second thread has woken up. */
const MIN_WEIGHT_SIZE = 1 << 18;

/** @param shards how many products one becomes; 1 leaves the graph as it is */
export function splitMatMuls(graph: Graph, shards: number, types: AttributeTypes): Graph {
  if (shards < 2) {
    return graph;
  }
  const weights = new Map(graph.placeholders.map(({ name, shape }) => [name, shape]));
  const constants = [...graph.constants];
  const nodes = graph.nodes.flatMap((node) => {
    const shape = weights.get(node.inputs[1] ?? '');
    const isProduct = node.op === 'BatchMatMulV2' && shape?.length === 2 && attribute(node, 'adj_x') === false;
    if (!isProduct || (shape[0] as number) * (shape[1] as number) < MIN_WEIGHT_SIZE) {
      return [node];
    }
    const bounds = cut(shape[0] as number, shards);
    return bounds.length < 2 ? [node] : new Splitter(node, types, constants).nodes(bounds);
  });
  return { placeholders: graph.placeholders, constants, nodes };
}

/** Splits one product. The node that joins the parts has its name, so the nodes that read it need no change. */
class Splitter {
  readonly #node: GraphNode;
  readonly #types: AttributeTypes;
  readonly #constants: GraphConstant[];
  readonly #transposed: boolean;

  constructor(node: GraphNode, types: AttributeTypes, constants: GraphConstant[]) {
    this.#node = node;
    this.#types = types;
    this.#constants = constants;
    this.#transposed = attribute(node, 'adj_y') === true;
  }

  nodes(bounds: readonly [number, number][]): GraphNode[] {
    const parts = bounds.map(([begin, size], i) => this.#part(i, begin, size));
    return [...parts.flat(), this.#join(parts.map((part) => part.at(-1)?.name as string))];
  }

  /** x[columns] · W[rows], one term of a sum; or x · W[rows]ᵀ, some columns of the result, if W is transposed. */
  #part(i: number, begin: number, size: number): GraphNode[] {
    const { name, inputs, attributes } = this.#node;
    const [x, weight] = inputs as [Edge, Edge];
    const w = this.#slice(`${name}_w${i}`, weight, [begin, 0], [size, -1]);
    const xs = this.#transposed ? [] : [this.#slice(`${name}_x${i}`, x, [0, begin], [-1, size])];
    const product = { name: `${name}_m${i}`, op: 'BatchMatMulV2', inputs: [xs[0]?.name ?? x, w.name], attributes };
    return [w, ...xs, product];
  }

  #join(parts: readonly string[]): GraphNode {
    const n: OpAttribute = { name: 'N', type: this.#types.TF_ATTR_INT, value: parts.length };
    const type = this.#type('T', DT_FLOAT);
    const { name } = this.#node;
    if (!this.#transposed) {
      return { name, op: 'AddN', inputs: parts, attributes: [n, type] };
    }
    const axis = this.#int32(`${name}_axis`, [1], []);
    return { name, op: 'ConcatV2', inputs: [...parts, axis], attributes: [n, type, this.#type('Tidx', DT_INT32)] };
  }

  #slice(name: string, input: Edge, begin: number[], size: number[]): GraphNode {
    const inputs = [input, this.#int32(`${name}_begin`, begin, [2]), this.#int32(`${name}_size`, size, [2])];
    return { name, op: 'Slice', inputs, attributes: [this.#type('T', DT_FLOAT), this.#type('Index', DT_INT32)] };
  }

  #int32(name: string, values: number[], shape: number[]): Edge {
    this.#constants.push({ name, dtype: DT_INT32, shape, bytes: new Uint8Array(Int32Array.from(values).buffer) });
    return name;
  }

  #type(name: string, value: number): OpAttribute {
    return { name, type: this.#types.TF_ATTR_TYPE, value };
  }
}

/** [begin, size] of nearly equal parts. Each but the last is a multiple of 16 rows, so that slices are aligned. */
function cut(rows: number, shards: number): [number, number][] {
  const step = Math.ceil(rows / shards / 16) * 16;
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => [i * step, Math.min(step, rows - i * step)]);
}
