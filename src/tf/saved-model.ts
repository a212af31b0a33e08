// Writes a recorded graph as the bytes of a TensorFlow SavedModel: one meta graph tagged `serve`, without variables.
// Uses the protocol buffer classes that come with tfjs-node. Knows nothing of recording or of TF.js tensors.
// Reference: tensorflow/core/protobuf/saved_model.proto and framework/graph.proto.

import { createRequire } from 'node:module';
import { join } from 'node:path';

/** TensorFlow's numbers for the two types of values that a recorded graph works with. */
export const DT_FLOAT = 1;
export const DT_INT32 = 3;

/** An attribute as tfjs-node passes it to `executeOp`. */
export interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

/** An output of a node: its name alone for the first, `name:index` for the others. */
export type Edge = string;

export interface GraphNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly Edge[];
  readonly attributes: readonly OpAttribute[];
}

export function attribute(node: GraphNode, name: string): unknown {
  return node.attributes.find((found) => found.name === name)?.value;
}

export interface GraphConstant {
  readonly name: string;
  readonly dtype: number;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export interface GraphPlaceholder {
  readonly name: string;
  readonly dtype: number;
  /** The shape of the example that was recorded. It is not written, because sizes may vary. */
  readonly shape: readonly number[];
}

export interface Graph {
  readonly placeholders: readonly GraphPlaceholder[];
  readonly constants: readonly GraphConstant[];
  readonly nodes: readonly GraphNode[];
}

/** The numbers of attribute types in the TensorFlow C API, which tfjs-node's binding names. */
export interface AttributeTypes {
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
}

/** The GraphDef version of TensorFlow 2.9: that library and every later one reads it. */
const PRODUCER = 1087;

/** @throws Error for an attribute of a type that cannot be written */
export function encodeSavedModel(graph: Graph, types: AttributeTypes, tfjsNodeDir: string): Uint8Array {
  const pb: Message = createRequire(import.meta.url)(join(tfjsNodeDir, 'dist/proto/api_pb'));
  const definition = new pb.GraphDef().setVersions(new pb.VersionDef().setProducer(PRODUCER));
  for (const { name, dtype } of graph.placeholders) {
    addNode(pb, definition, name, 'Placeholder').getAttrMap().set('dtype', new pb.AttrValue().setType(dtype));
  }
  for (const constant of graph.constants) {
    const attributes = addNode(pb, definition, constant.name, 'Const').getAttrMap();
    attributes.set('dtype', new pb.AttrValue().setType(constant.dtype));
    attributes.set('value', tensorAttribute(pb, constant));
  }
  for (const { name, op, inputs, attributes } of graph.nodes) {
    const node = addNode(pb, definition, name, op);
    node.setInputList([...inputs]);
    for (const attribute of attributes) {
      node.getAttrMap().set(attribute.name, toAttribute(pb, attribute, types, op));
    }
  }
  return wrap(pb, definition);
}

/** The classes that google-protobuf generates have no TypeScript types. */
// biome-ignore lint/suspicious/noExplicitAny: see above
type Message = any;

function addNode(pb: Message, graph: Message, name: string, op: string): Message {
  return graph.addNode(new pb.NodeDef().setName(name).setOp(op));
}

function tensorAttribute(pb: Message, { dtype, shape, bytes }: GraphConstant): Message {
  const dims = shape.map((size) => new pb.TensorShape.Dim().setSize(size));
  const tensorShape = new pb.TensorShape().setDimList(dims);
  const tensor = new pb.Tensor().setDtype(dtype).setTensorShape(tensorShape).setTensorContent(bytes);
  return new pb.AttrValue().setTensor(tensor);
}

function toAttribute(pb: Message, { name, type, value }: OpAttribute, types: AttributeTypes, op: string): Message {
  const message = new pb.AttrValue();
  const setters: [number, (value: unknown) => Message][] = [
    [types.TF_ATTR_STRING, (v) => message.setS(Buffer.from(String(v)))],
    [types.TF_ATTR_INT, (v) => message.setI(v)],
    [types.TF_ATTR_FLOAT, (v) => message.setF(v)],
    [types.TF_ATTR_BOOL, (v) => message.setB(v)],
    [types.TF_ATTR_TYPE, (v) => message.setType(v)],
  ];
  const setter = setters.find(([known]) => known === type)?.[1];
  if (setter === undefined || typeof value === 'object') {
    throw new Error(`${op}: attribute ${name} is of a kind that cannot be captured`);
  }
  return setter(value);
}

function wrap(pb: Message, definition: Message): Uint8Array {
  const info = new pb.MetaGraphDef.MetaInfoDef().setTagsList(['serve']);
  const meta = new pb.MetaGraphDef().setMetaInfoDef(info).setGraphDef(definition);
  return new pb.SavedModel().setSavedModelSchemaVersion(1).setMetaGraphsList([meta]).serializeBinary();
}
