"""Writes GPT-2 with random weights as GGUF, for llama.cpp: float32, 8-bit blocks (Q8_0) and 4-bit blocks (Q4_0). It
needs gguf and numpy. The vocabulary is made of placeholders, since no text is read or written.

    python export_gguf.py OUT_DIR [--sizes 124M,stories]
"""

import argparse
import re
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType
from options import add_sizes
from sizes import SIZES, random_weights

KINDS = {"F32": None, "Q8_0": GGMLQuantizationType.Q8_0, "Q4_0": GGMLQuantizationType.Q4_0}
NAMES = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
TOP = {"wte.weight": "token_embd.weight", "wpe.weight": "position_embd.weight", "ln_f": "output_norm"}


def gguf_name(name):
    layer = re.match(r"h\.(\d+)\.(.+)\.(weight|bias)$", name)
    if layer:
        return f"blk.{layer[1]}.{NAMES[layer[2]]}.{layer[3]}"
    return TOP.get(name) or f"{TOP['ln_f']}.{name.rsplit('.', 1)[1]}"


def add_metadata(writer, size):
    writer.add_block_count(size["n_layer"])
    writer.add_context_length(size["n_positions"])
    writer.add_embedding_length(size["n_embd"])
    writer.add_feed_forward_length(4 * size["n_embd"])
    writer.add_head_count(size["n_head"])
    writer.add_layer_norm_eps(1e-5)
    vocab = size["vocab_size"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    pieces = [b"t", b"0"]  # what the one merge joins to the first token
    writer.add_token_list([f"t{i}".encode() for i in range(vocab - len(pieces))] + pieces)
    writer.add_token_types([gguf.TokenType.NORMAL] * vocab)
    writer.add_token_merges(["t 0"])
    writer.add_eos_token_id(vocab - 3)
    writer.add_bos_token_id(vocab - 3)


def write(path, size, kind):
    """`kind` is the type of every matrix but the positions', which llama.cpp leaves in float32 too; None: float32."""
    writer = gguf.GGUFWriter(path, "gpt2")
    add_metadata(writer, size)
    for name, array in random_weights(size):
        is_linear = array.ndim == 2 and name.startswith("h.")
        values = np.ascontiguousarray(array.T) if is_linear else array  # GGUF stores [out, in]
        if kind is not None and array.ndim == 2 and name != "wpe.weight":
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(gguf_name(name), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    add_sizes(parser)
    return parser.parse_args()


def main():
    args = options()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.sizes:
        for kind, block_type in KINDS.items():
            path = args.folder / f"{name}-{kind}.gguf"
            write(path, SIZES[name], block_type)
            print(path, file=sys.stderr)


main()
