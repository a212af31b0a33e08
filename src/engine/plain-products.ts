// oneDNN's rewritten ops are made for many rows: with one they cost a step 10 to 20 %. TensorFlow rewrites
// BatchMatMulV2 and not its successor, which computes the same; so this pass over a recorded graph renames.
// Eager ops keep oneDNN's: its plain product runs there on the thread that takes signals, and is not safe on it.

import { type AttributeTypes, DT_FLOAT, type Graph, type GraphNode } from './saved-model.js';

/** The graph with every float product as BatchMatMulV3. */
export function plainProducts(graph: Graph, types: AttributeTypes): Graph {
  return { ...graph, nodes: graph.nodes.map((node) => (node.op === 'BatchMatMulV2' ? renamed(node, types) : node)) };
}

/** V3 has the types of both sides and of the result apart. */
function renamed(node: GraphNode, types: AttributeTypes): GraphNode {
  const type = node.attributes.find(({ name }) => name === 'T');
  if (type?.value !== DT_FLOAT) {
    return node;
  }
  const apart = ['Ta', 'Tb', 'Tout'].map((name) => ({ name, type: types.TF_ATTR_TYPE, value: DT_FLOAT }));
  return { ...node, op: 'BatchMatMulV3', attributes: [...node.attributes.filter((a) => a !== type), ...apart] };
}
