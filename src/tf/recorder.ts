// Takes the place of tfjs-node's binding while a function runs: every op is executed as always, and recorded as well.
// Declared tensors are placeholders of the graph, tensors created meanwhile are its constants, and ops are its nodes.
// Knows nothing of what is recorded, nor of how a graph is written or run.

import type { Binding, TensorMetadata } from './binding.js';
import type { Edge, Graph, GraphConstant, GraphNode, GraphPlaceholder, OpAttribute } from './saved-model.js';

export class Recorder {
  /** Goes in the place of the real binding. */
  readonly binding: Binding;
  /** Where the value of each native tensor comes from. */
  readonly #edges = new Map<number, Edge>();
  readonly #placeholders: GraphPlaceholder[] = [];
  readonly #constants: GraphConstant[] = [];
  readonly #nodes: GraphNode[] = [];

  constructor(real: Binding) {
    const createTensor: Binding['createTensor'] = (shape, dtype, values) =>
      this.#constant(real.createTensor(shape, dtype, values), shape, dtype, values);
    const executeOp: Binding['executeOp'] = (op, attributes, inputs, count) =>
      this.#node(op, attributes, inputs, real.executeOp(op, attributes, inputs, count));
    // All else, numbers and other functions, is inherited from the real binding.
    this.binding = Object.create(real, { createTensor: { value: createTensor }, executeOp: { value: executeOp } });
  }

  /** Declares a tensor from outside, by its native id. */
  placeholder(id: number, dtype: number, shape: readonly number[]): Edge {
    const name = `p${this.#placeholders.length}`;
    this.#placeholders.push({ name, dtype, shape });
    this.#edges.set(id, name);
    return name;
  }

  /** @throws Error for a tensor that was neither declared before the recording nor made during it */
  edge(id: number): Edge {
    const edge = this.#edges.get(id);
    if (edge === undefined) {
      throw new Error('a tensor from outside was read that is neither an input nor a weight');
    }
    return edge;
  }

  graph(): Graph {
    return { placeholders: this.#placeholders, constants: this.#constants, nodes: this.#nodes };
  }

  #constant(id: number, shape: readonly number[], dtype: number, values: ArrayBufferView): number {
    const name = `c${this.#constants.length}`;
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
    this.#constants.push({ name, dtype, shape, bytes });
    this.#edges.set(id, name);
    return id;
  }

  #node(op: string, attributes: OpAttribute[], inputs: number[], outputs: TensorMetadata[]): TensorMetadata[] {
    const name = `n${this.#nodes.length}`;
    this.#nodes.push({ name, op, inputs: inputs.map((id) => this.edge(id)), attributes: [...attributes] });
    for (const [index, { id }] of outputs.entries()) {
      this.#edges.set(id, index === 0 ? name : `${name}:${index}`);
    }
    return outputs;
  }
}
