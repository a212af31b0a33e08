"""The greedy text of `stories` by Hugging Face transformers. Usage: python transformers_text.py MODEL_FOLDER PROMPT TOKENS"""

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

folder, prompt, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
model, loading = AutoModelForCausalLM.from_pretrained(folder, dtype="float32", output_loading_info=True)
assert not loading["missing_keys"] and not loading["unexpected_keys"], loading
tokenizer = AutoTokenizer.from_pretrained(folder)
inputs = tokenizer(prompt, return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=tokens, do_sample=False)[0]))
