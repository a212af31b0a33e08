"""llama.cpp's HTTP server on a GGUF file, until stdin ends. Usage: python llama-server.py FILE SLOTS CONTEXT

Prints its address when it listens. Slots share nothing: each has CONTEXT positions. Keys and values are float32, as kvgen's are.
"""

import sys

import xllamacpp

file, slots, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
params = xllamacpp.CommonParams()
params.model.path = file
params.model_alias = {"stories"}
params.n_parallel = slots
params.n_ctx = slots * context
params.n_threads_http = 8
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # several wait for each other, and here others compute too
params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
params.warmup = False
params.endpoint_props = False
params.endpoint_metrics = True
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
