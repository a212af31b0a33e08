"""Writes GPT-2 with random weights as ONNX: ids, positions, past keys and values in; logits of the last token and
all keys and values out. It needs onnx and numpy, no PyTorch; the graph is the one that an export from transformers
with a cache has after ONNX Runtime's own fusions. `--int8` also writes what ONNX Runtime's dynamic quantization makes
of it, and needs onnxruntime.

    python export_onnx.py OUT_DIR [--int8] [--sizes 124M,stories]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from options import add_sizes
from sizes import SIZES, random_weights

OPSET = 20  # the first with Gelu


class Graph:
    def __init__(self, size):
        self.size = size
        self.nodes = []
        self.weights = {}
        for name, array in random_weights(size):
            self.weight(name, array)
            if name == "wte.weight":
                # Written a second time, transposed: only a product with a constant can be quantized. ONNX Runtime
                # makes the same copy when it loads a graph that transposes the one.
                self.weight("head.weight", np.ascontiguousarray(array.T))

    def weight(self, name, array):
        self.weights[name] = numpy_helper.from_array(array, name)

    def constant(self, values, dtype=np.int64):
        array = np.array(values, dtype)
        name = f"const_{dtype.__name__}_{'_'.join(map(str, array.shape))}_{'_'.join(map(str, array.ravel()))}"
        self.weights.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def op(self, kind, *inputs, out=None, outputs=1, **attributes):
        names = [out] if out else [f"{kind}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if len(names) == 1 else names

    def linear(self, x, name):
        return self.op("Add", self.op("MatMul", x, f"{name}.weight"), f"{name}.bias")

    def norm(self, x, name):
        return self.op("LayerNormalization", x, f"{name}.weight", f"{name}.bias", axis=-1, epsilon=1e-5)

    def heads(self, x, last=(0, 2, 1, 3)):
        head_dim = self.size["n_embd"] // self.size["n_head"]
        shape = self.constant([0, 0, self.size["n_head"], head_dim])
        return self.op("Transpose", self.op("Reshape", x, shape), perm=list(last))

    def attention(self, x, layer, mask):
        q, k, v = self.op("Split", self.linear(x, f"h.{layer}.attn.c_attn"), outputs=3, axis=-1, num_outputs=3)
        key = self.op("Concat", f"past.{layer}.key", self.heads(k), out=f"present.{layer}.key", axis=2)
        value = self.op("Concat", f"past.{layer}.value", self.heads(v), out=f"present.{layer}.value", axis=2)
        scale = self.constant((self.size["n_embd"] // self.size["n_head"]) ** -0.5, np.float32)
        scores = self.op("MatMul", self.op("Mul", self.heads(q), scale), self.op("Transpose", key, perm=[0, 1, 3, 2]))
        weights = self.op("Softmax", self.op("Add", scores, mask), axis=-1)
        mixed = self.op("Transpose", self.op("MatMul", weights, value), perm=[0, 2, 1, 3])
        flat = self.op("Reshape", mixed, self.constant([0, 0, self.size["n_embd"]]))
        return self.linear(flat, f"h.{layer}.attn.c_proj")

    def block(self, x, layer, mask):
        x = self.op("Add", x, self.attention(self.norm(x, f"h.{layer}.ln_1"), layer, mask))
        hidden = self.op("Gelu", self.linear(self.norm(x, f"h.{layer}.ln_2"), f"h.{layer}.mlp.c_fc"), approximate="tanh")
        return self.op("Add", x, self.linear(hidden, f"h.{layer}.mlp.c_proj"))

    def logits(self):
        """`mask` is [T, past + T], added to the scores: whoever feeds the graph makes it."""
        x = self.op("Add", self.op("Gather", "wte.weight", "ids"), self.op("Gather", "wpe.weight", "positions"))
        for layer in range(self.size["n_layer"]):
            x = self.block(x, layer, "mask")
        last = self.op("Gather", self.norm(x, "ln_f"), self.constant([-1]), axis=1)
        self.op("MatMul", last, "head.weight", out="logits")


def build(size):
    graph = Graph(size)
    graph.logits()
    head_dim = size["n_embd"] // size["n_head"]
    tensor = helper.make_tensor_value_info
    layers = [f"{i}.{kind}" for i in range(size["n_layer"]) for kind in ("key", "value")]
    cache = lambda name, length: tensor(name, TensorProto.FLOAT, [1, size["n_head"], length, head_dim])
    inputs = [
        tensor("ids", TensorProto.INT64, [1, "T"]),
        tensor("positions", TensorProto.INT64, [1, "T"]),
        tensor("mask", TensorProto.FLOAT, ["T", "S"]),
        *(cache(f"past.{layer}", "P") for layer in layers),
    ]
    outputs = [
        tensor("logits", TensorProto.FLOAT, [1, 1, size["vocab_size"]]),
        *(cache(f"present.{layer}", "S") for layer in layers),
    ]
    proto = helper.make_graph(graph.nodes, "gpt2", inputs, outputs, list(graph.weights.values()))
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def quantize(source, target):
    """Weights in int8, one scale a column; rows are quantized as they come. The attention stays in float32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    kinds = ["MatMul"]  # every weight is behind one, the vocabulary's too
    quantize_dynamic(source, target, op_types_to_quantize=kinds, per_channel=True, weight_type=QuantType.QInt8)


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--int8", action="store_true", help="write int8 too")
    add_sizes(parser)
    return parser.parse_args()


def main():
    args = options()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.sizes:
        path = args.folder / f"{name}-F32.onnx"
        onnx.save(build(SIZES[name]), path)
        print(path, file=sys.stderr)
        if args.int8:
            quantized = args.folder / f"{name}-int8.onnx"
            quantize(path, quantized)
            print(quantized, file=sys.stderr)


main()
