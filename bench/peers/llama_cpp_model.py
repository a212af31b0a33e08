"""llama.cpp's own calls, below the Python class of llama-cpp-python: that one has defaults of its own (flash attention
off), and bookkeeping that would be timed too.
"""

import ctypes

import llama_cpp

CACHES = {"f16": 1, "f32": 0}  # ggml's numbers of the types; f16 is the library's default


@llama_cpp.llama_log_callback
def silent(_level, _text, _data):
    pass


def open_model(path):
    llama_cpp.llama_log_set(silent, None)
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    if not model:
        raise RuntimeError(f"{path}: llama.cpp cannot load it")
    return model


def open_context(model, threads, cache="f16", **settings):
    """Everything but the threads and the cache stays as the library has it, and its length is the model's."""
    params = llama_cpp.llama_context_default_params()
    settings = {"n_ctx": 0, "n_threads": threads, "n_threads_batch": threads, **settings}
    for name, value in {**settings, "type_k": CACHES[cache], "type_v": CACHES[cache]}.items():
        setattr(params, name, value)
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise RuntimeError("llama.cpp cannot make a context")
    return context


def vocab_size(model):
    return llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))


def run_batch(context, batch):
    """Ends when the logits of the batch's last token can be read."""
    if llama_cpp.llama_decode(context, batch) != 0:
        raise RuntimeError("llama_decode failed")
    row = llama_cpp.llama_get_logits_ith(context, -1)
    return ctypes.cast(row, ctypes.POINTER(ctypes.c_float))[0]


def run_ids(context, ids):
    """Appends ids to the only sequence."""
    array = (llama_cpp.llama_token * len(ids))(*ids)
    run_batch(context, llama_cpp.llama_batch_get_one(array, len(ids)))


def clear(context):
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
