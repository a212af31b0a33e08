// oneDNN's rewritten ops are made for many rows: with one they cost a step 10 to 20 %. TensorFlow rewrites
// BatchMatMulV2 and not its successor, which computes the same; so this pass over a recorded graph renames.
// The exception is several tokens times the transposed vocabulary matrix, where the plain product is 20 times slower.
// Eager ops keep oneDNN's: its plain product runs there on the thread that takes signals, and is not safe on it.

import { type AttributeTypes, attribute, DT_FLOAT, type Graph, type GraphNode } from './saved-model.js';

/**
 * The graph with every float product as BatchMatMulV3.
 * @param manyTokens leave products with a transposed weight as they are
 */
export function plainProducts(graph: Graph, types: AttributeTypes, manyTokens = false): Graph {
  const kept = manyTokens ? transposedWeights(graph) : new Set<GraphNode>();
  const isRenamed = (node: GraphNode) => node.op === 'BatchMatMulV2' && !kept.has(node);
  return { ...graph, nodes: graph.nodes.map((node) => (isRenamed(node) ? renamed(node, types) : node)) };
}

/** Products whose right side is a placeholder of a matrix, or a slice of one, transposed. */
function transposedWeights({ placeholders, nodes }: Graph): Set<GraphNode> {
  const matrices = new Set(placeholders.filter(({ shape }) => shape.length === 2).map(({ name }) => name));
  const slices = nodes.filter(({ op, inputs }) => op === 'Slice' && matrices.has(inputs[0] ?? ''));
  const weights = new Set([...matrices, ...slices.map(({ name }) => name)]);
  return new Set(nodes.filter((node) => weights.has(node.inputs[1] ?? '') && attribute(node, 'adj_y') === true));
}

/** V3 has the types of both sides and of the result apart. */
function renamed(node: GraphNode, types: AttributeTypes): GraphNode {
  if (attribute(node, 'T') !== DT_FLOAT) {
    return node;
  }
  const others = node.attributes.filter(({ name }) => name !== 'T');
  const apart = ['Ta', 'Tb', 'Tout'].map((name) => ({ name, type: types.TF_ATTR_TYPE, value: DT_FLOAT }));
  return { ...node, op: 'BatchMatMulV3', attributes: [...others, ...apart] };
}
