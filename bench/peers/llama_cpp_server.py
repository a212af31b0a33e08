"""llama.cpp's HTTP server as bench/serve.mjs loads it: with its own defaults, and as many threads as there are cores.

    python llama_cpp_server.py FILE.gguf SLOTS CONTEXT

Each slot has CONTEXT positions. Prints the address when it listens, and ends with stdin.
"""

import os
import sys

import xllamacpp

file, slots, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
params = xllamacpp.CommonParams()
params.model.path = file
params.n_parallel = slots
params.n_ctx = slots * context
params.n_threads_http = slots + 4  # else requests above the number of cores are cut off
params.cpuparams.n_threads = os.cpu_count()
params.cpuparams_batch.n_threads = os.cpu_count()
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
