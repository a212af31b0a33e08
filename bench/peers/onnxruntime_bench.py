"""ONNX Runtime: float32, and int8 by its dynamic quantization. The cache goes from one run to the next as the
library's own tensors, so it never becomes numpy's.

    python onnxruntime_bench.py DIR_OF_EXPORT [threads] [--sizes 124M,stories] [--kinds int8]
"""

import numpy as np
import onnxruntime
from onnxruntime import OrtValue
from options import export_parser, measure_all
from report import Clock, report_points
from sizes import SIZES

KINDS = ("F32", "int8")
MASKED = np.float32(-1e9)


class Model:
    def __init__(self, path, size, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.size = size
        self.outputs = [output.name for output in self.session.get_outputs()]

    def empty_cache(self):
        heads, channels = self.size["n_head"], self.size["n_embd"]
        none = np.empty((1, heads, 0, channels // heads), np.float32)
        pasts = [name.replace("present", "past") for name in self.outputs[1:]]
        return {name: OrtValue.ortvalue_from_numpy(none) for name in pasts}

    def forward(self, ids, cache, past):
        """Runs ids behind a cache of `past` tokens; reads the logits out and gives the cache with the ids in it."""
        length = past + len(ids)
        feeds = {
            "ids": np.array([ids], np.int64),
            "positions": np.arange(past, length, dtype=np.int64)[None],
            "mask": np.triu(np.full((len(ids), length), MASKED), past + 1),
        }
        values = {name: OrtValue.ortvalue_from_numpy(array) for name, array in feeds.items()}
        logits, *presents = self.session.run_with_ort_values(self.outputs, {**values, **cache})
        logits.numpy()
        return dict(zip(cache, presents))


def prefill(model, ids):
    clock = Clock()
    with clock:
        model.forward(ids, model.empty_cache(), 0)
    return clock.seconds


def decode(model, ids, depth):
    """Reads `depth` ids, then the others one by one."""
    clock = Clock()
    cache = model.forward(ids[:depth], model.empty_cache(), 0)
    for position in range(depth, len(ids)):
        with clock:
            cache = model.forward([ids[position]], cache, position)
    return clock.seconds


def measure(name, kind, args):
    model = Model(args.folder / f"{name}-{kind}.onnx", SIZES[name], args.threads)
    peer = f"onnxruntime {onnxruntime.__version__} {kind}"
    decode_model = lambda ids, depth: decode(model, ids, depth)
    report_points(peer, name, args.threads, decode_model, lambda ids: prefill(model, ids))


measure_all(export_parser(KINDS).parse_args(), measure)
