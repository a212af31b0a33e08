"""The sizes that are compared, and the points that are measured: the same for every peer. They stand in sizes.json, so
that the peers in JavaScript can read them too.

Weights are random, since only their number matters to the speed. GPT-2's smallest has 124M parameters; 6x256 has 6
layers of 256 channels, as `kvgen bench -m random:6x256`; stories is as large as the model that comes with kvgen.
"""

import json
from pathlib import Path

POINTS = json.loads(Path(__file__).with_name("sizes.json").read_text())
SIZES = {name: points["config"] for name, points in POINTS.items()}
GEN_TOKENS = 32
REPEAT = 3


def prompt_ids(n, vocab_size):
    """Any ids will do; these are spread over the vocabulary."""
    return [i * 7919 % vocab_size for i in range(n)]


def random_weights(size, seed=0):
    """Yields name and float32 array of every tensor, named as in a Hugging Face folder."""
    import numpy as np

    rng = np.random.default_rng(seed)
    channels, vocab = size["n_embd"], size["vocab_size"]

    def normal(*shape):
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)

    def norm(name):
        yield f"{name}.weight", np.ones(channels, np.float32)
        yield f"{name}.bias", np.zeros(channels, np.float32)

    def linear(name, rows, columns):
        yield f"{name}.weight", normal(rows, columns)
        yield f"{name}.bias", np.zeros(columns, np.float32)

    yield "wte.weight", normal(vocab, channels)
    yield "wpe.weight", normal(size["n_positions"], channels)
    for i in range(size["n_layer"]):
        yield from norm(f"h.{i}.ln_1")
        yield from linear(f"h.{i}.attn.c_attn", channels, 3 * channels)
        yield from linear(f"h.{i}.attn.c_proj", channels, channels)
        yield from norm(f"h.{i}.ln_2")
        yield from linear(f"h.{i}.mlp.c_fc", channels, 4 * channels)
        yield from linear(f"h.{i}.mlp.c_proj", 4 * channels, channels)
    yield from norm("ln_f")
