"""The greedy text of a GGUF file by llama.cpp. Usage: python llama_text.py FILE PROMPT TOKENS"""

import sys

import xllamacpp

file, prompt, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
params = xllamacpp.CommonParams()
params.model.path = file
params.warmup = False
params.n_parallel = 1
params.n_ctx = 512
server = xllamacpp.Server(params)
answer = server.handle_completions({"prompt": prompt, "n_predict": tokens, "temperature": 0})
print(prompt + (answer["content"] if "content" in answer else answer["choices"][0]["text"]))
