import { describe, expect, it } from 'vitest';
import { plainProducts } from '../../src/engine/plain-products.js';
import { DT_FLOAT, DT_INT32, type Graph } from '../../src/engine/saved-model.js';

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
});
