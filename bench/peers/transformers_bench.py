"""transformers + PyTorch, float32, eager with its own cache: what most people run.

    python transformers_bench.py [threads] [--sizes 124M,stories]
"""

import argparse

import torch
import transformers
from options import add_sizes, add_threads
from report import Clock, report_points
from sizes import SIZES
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel


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
    """Reads `depth` ids, then the others one by one."""
    clock = Clock()
    cache = DynamicCache(config=model.config)
    forward(model, ids[:depth], cache)
    for id in ids[depth:]:
        with clock:
            forward(model, [id], cache)
    return clock.seconds


def options():
    parser = argparse.ArgumentParser()
    add_threads(parser)
    add_sizes(parser)
    return parser.parse_args()


def measure(name, threads):
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**SIZES[name])).eval()
    peer = f"transformers {transformers.__version__}, torch {torch.__version__}"
    with torch.inference_mode():
        decode_model = lambda ids, depth: decode(model, ids, depth)
        report_points(peer, name, threads, decode_model, lambda ids: prefill(model, ids))


def main():
    args = options()
    torch.set_num_threads(args.threads)
    for name in args.sizes:
        measure(name, args.threads)


main()
