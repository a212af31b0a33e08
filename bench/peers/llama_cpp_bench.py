"""llama.cpp through llama-cpp-python, float32 and Q8_0. Its cache is float32 too, as everyone else's here.

    python llama_cpp_bench.py DIR_OF_EXPORT [threads]
"""

import ctypes
import os
import sys
from pathlib import Path

import llama_cpp
from report import Clock, report
from sizes import DEPTHS, GEN_TOKENS, POSITIONS, PROMPT_TOKENS, SIZES, prompt_ids

THREADS = int(sys.argv[2]) if len(sys.argv) > 2 else len(os.sched_getaffinity(0))
F32 = 0  # ggml's number of the type


def open_model(path):
    return llama_cpp.Llama(
        model_path=str(path),
        n_ctx=POSITIONS,
        n_batch=PROMPT_TOKENS,
        n_ubatch=PROMPT_TOKENS,
        n_threads=THREADS,
        n_threads_batch=THREADS,
        type_k=F32,
        type_v=F32,
        verbose=False,
    )


def logits(model):
    """The newest row, read where the library keeps it."""
    row = llama_cpp.llama_get_logits_ith(model.ctx, -1)
    return ctypes.cast(row, ctypes.POINTER(ctypes.c_float))[0]


def decode_batch(model, ids):
    """The library's own call, below the bookkeeping of its Python class."""
    array = (llama_cpp.llama_token * len(ids))(*ids)
    if llama_cpp.llama_decode(model.ctx, llama_cpp.llama_batch_get_one(array, len(ids))) != 0:
        raise RuntimeError("llama_decode failed")
    logits(model)


def clear(model):
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(model.ctx), True)


def prefill(model, ids):
    clear(model)
    clock = Clock()
    with clock:
        decode_batch(model, ids)
    return clock.seconds


def decode(model, ids, depth):
    clear(model)
    decode_batch(model, ids[:depth])
    clock = Clock()
    for id in ids[depth : depth + GEN_TOKENS]:
        with clock:
            decode_batch(model, [id])
    return clock.seconds


def main():
    folder = Path(sys.argv[1])
    for name, size in SIZES.items():
        for kind in ("F32", "Q8_0"):
            model = open_model(folder / f"{name}-{kind}.gguf")
            peer = f"llama.cpp {kind}, llama-cpp-python {llama_cpp.__version__}"
            ids = prompt_ids(POSITIONS, size["vocab_size"])
            for depth in DEPTHS:
                run = lambda depth=depth: decode(model, ids, depth)
                report(peer, name, f"tg{GEN_TOKENS}", depth, GEN_TOKENS, run, THREADS)
            run = lambda: prefill(model, ids[:PROMPT_TOKENS])
            report(peer, name, f"pp{PROMPT_TOKENS}", 0, PROMPT_TOKENS, run, THREADS)
            model.close()


main()
