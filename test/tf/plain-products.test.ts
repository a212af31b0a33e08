import { describe, expect, it } from 'vitest';
import { plainProducts } from '../../src/tf/plain-products.js';
import { DT_FLOAT, DT_INT32, type Graph, type GraphNode, type OpAttribute } from '../../src/tf/saved-model.js';

const TYPES = { TF_ATTR_STRING: 0, TF_ATTR_INT: 1, TF_ATTR_FLOAT: 2, TF_ATTR_BOOL: 3, TF_ATTR_TYPE: 4 };
const type = (name: string, value: number) => ({ name, type: TYPES.TF_ATTR_TYPE, value });
const adjoint = { name: 'adj_y', type: TYPES.TF_ATTR_BOOL, value: true };

function graphOf(op: string, dtype: number): Graph {
  const node = { name: 'n0', op, inputs: ['p0', 'p1'], attributes: [type('T', dtype), adjoint] };
  return { placeholders: [], constants: [], nodes: [node] };
}

describe('plainProducts', () => {
  it('renames float products, whose types are then three attributes; the others stay', () => {
    const [node] = plainProducts(graphOf('BatchMatMulV2', DT_FLOAT), TYPES).nodes;
    expect(node).toEqual({
      name: 'n0',
      op: 'BatchMatMulV3',
      inputs: ['p0', 'p1'],
      attributes: [adjoint, type('Ta', DT_FLOAT), type('Tb', DT_FLOAT), type('Tout', DT_FLOAT)],
    });
  });

  it.each([
    ['BatchMatMulV2', DT_INT32],
    ['AddV2', DT_FLOAT],
  ])('leaves %s of type %i alone', (op, dtype) => {
    const graph = graphOf(op, dtype);
    expect(plainProducts(graph, TYPES).nodes).toEqual(graph.nodes);
  });

  describe('of many rows', () => {
    const node = (op: string, name: string, inputs: string[], ...attributes: OpAttribute[]): GraphNode => ({
      name,
      op,
      inputs,
      attributes,
    });
    const product = (name: string, weight: string, ...transposed: OpAttribute[]) =>
      node('BatchMatMulV2', name, ['x', weight], type('T', DT_FLOAT), ...transposed);
    const graph: Graph = {
      placeholders: [
        { name: 'x', dtype: DT_FLOAT, shape: [2, 8] },
        { name: 'w', dtype: DT_FLOAT, shape: [8, 8] },
        { name: 'past', dtype: DT_FLOAT, shape: [2, 2, 3, 8] },
      ],
      constants: [],
      nodes: [
        product('by w', 'w'),
        product('by w, transposed', 'w', adjoint),
        node('Slice', 'part of w', ['w', 'begin', 'size']),
        product('by part of w, transposed', 'part of w', adjoint),
        node('GatherV2', 'rows of w', ['w', 'ids', 'axis']),
        product('by rows of w, transposed', 'rows of w', adjoint),
        product('by past, transposed', 'past', adjoint),
        node('Slice', 'part of past', ['past', 'begin', 'size']),
        product('by part of past, transposed', 'part of past', adjoint),
      ],
    };
    const renamedIn = (manyTokens: boolean) =>
      plainProducts(graph, TYPES, manyTokens).nodes.flatMap(({ name, op }) => (op === 'BatchMatMulV3' ? [name] : []));

    it('keeps those by a transposed weight, whole or in parts, as they are', () => {
      const others = ['by rows of w, transposed', 'by past, transposed', 'by part of past, transposed'];
      expect(renamedIn(true)).toEqual(['by w', ...others]);
    });

    it('and only then', () => {
      expect(renamedIn(false)).toHaveLength(6);
    });
  });
});
