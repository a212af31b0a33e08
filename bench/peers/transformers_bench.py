"""transformers + PyTorch, float32, eager with its own cache: what most people run.

    python transformers_bench.py [threads]
"""

import os
import sys

import torch
import transformers
from report import Clock, report
from sizes import DEPTHS, GEN_TOKENS, POSITIONS, PROMPT_TOKENS, SIZES, prompt_ids
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else len(os.sched_getaffinity(0))


def forward(model, ids, cache):
    """Logits of the last token, read out, as a sampler would need them."""
    out = model(input_ids=torch.tensor([ids]), past_key_values=cache, use_cache=True, logits_to_keep=1)
    return out.logits[0, -1].numpy()


def prefill(model, ids):
    clock = Clock()
    cache = DynamicCache(config=model.config)
    with clock:
        forward(model, ids, cache)
    return clock.seconds


def decode(model, ids, depth):
    clock = Clock()
    cache = DynamicCache(config=model.config)
    forward(model, ids[:depth], cache)
    for id in ids[depth : depth + GEN_TOKENS]:
        with clock:
            forward(model, [id], cache)
    return clock.seconds


def main():
    torch.set_num_threads(THREADS)
    peer = f"transformers {transformers.__version__}, torch {torch.__version__}"
    for name, size in SIZES.items():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config(n_positions=POSITIONS, **size)).eval()
        ids = prompt_ids(POSITIONS, size["vocab_size"])
        with torch.inference_mode():
            for depth in DEPTHS:
                run = lambda depth=depth: decode(model, ids, depth)
                report(peer, name, f"tg{GEN_TOKENS}", depth, GEN_TOKENS, run, THREADS)
            run = lambda: prefill(model, ids[:PROMPT_TOKENS])
            report(peer, name, f"pp{PROMPT_TOKENS}", 0, PROMPT_TOKENS, run, THREADS)


main()
