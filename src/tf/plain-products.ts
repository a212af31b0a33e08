// Renames the matrix products of a recorded graph from BatchMatMulV2 to BatchMatMulV3, which computes the same, because
// TensorFlow replaces only the first by oneDNN's product. That is made for many tokens: it slows a decode step by 10
// to 20 %. With several tokens and the transposed vocabulary matrix it is 20 times faster, so there it is kept.
// Eager ops keep it too: TensorFlow's own product would run on the thread that receives signals, where it is not safe.

import { type AttributeTypes, attribute, DT_FLOAT, type Graph, type GraphNode } from './saved-model.js';

/**
 * The graph with its products of floats renamed.
 * @param manyTokens keep oneDNN for products with a transposed weight
 */
export function plainProducts(graph: Graph, types: AttributeTypes, manyTokens = false): Graph {
  const kept = manyTokens ? transposedWeights(graph) : new Set<GraphNode>();
  const isRenamed = (node: GraphNode) => node.op === 'BatchMatMulV2' && !kept.has(node);
  return { ...graph, nodes: graph.nodes.map((node) => (isRenamed(node) ? renamed(node, types) : node)) };
}

/** Products with a transposed weight, or a slice of one, on the right; a weight is a placeholder of two dimensions. */
function transposedWeights({ placeholders, nodes }: Graph): Set<GraphNode> {
  const matrices = new Set(placeholders.filter(({ shape }) => shape.length === 2).map(({ name }) => name));
  const slices = nodes.filter(({ op, inputs }) => op === 'Slice' && matrices.has(inputs[0] ?? ''));
  const weights = new Set([...matrices, ...slices.map(({ name }) => name)]);
  return new Set(nodes.filter((node) => weights.has(node.inputs[1] ?? '') && attribute(node, 'adj_y') === true));
}

/** Where BatchMatMulV2 has one type `T`, V3 has a type for each side and one for the result. */
function renamed(node: GraphNode, types: AttributeTypes): GraphNode {
  if (attribute(node, 'T') !== DT_FLOAT) {
    return node;
  }
  const others = node.attributes.filter(({ name }) => name !== 'T');
  const apart = ['Ta', 'Tb', 'Tout'].map((name) => ({ name, type: types.TF_ATTR_TYPE, value: DT_FLOAT }));
  return { ...node, op: 'BatchMatMulV3', attributes: [...others, ...apart] };
}
