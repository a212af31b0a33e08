"""A folder of GPT-2's kind as a GGUF file in float32, for llama.cpp. Usage: python to-gguf.py MODEL_FOLDER FILE

Names and the turning of matrices are those of src/weights/gguf-names.ts, the other way round. Words are split as GPT-2's.
"""

import json
import re
import struct
import sys
from pathlib import Path

import gguf
import numpy as np

AROUND = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}
INSIDE = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
DTYPES = {"F16": np.float16, "F32": np.float32}


def main(folder: Path, out: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(out, "gpt2")
    add_sizes(writer, config, folder.name)
    add_tokenizer(writer, json.loads((folder / "tokenizer.json").read_text()), config)
    for name, values in tensors(folder / "model.safetensors"):
        writer.add_tensor(*placed(name, values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_sizes(writer: gguf.GGUFWriter, config: dict, name: str) -> None:
    writer.add_name(name)
    writer.add_block_count(config["n_layer"])
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(config["n_inner"] or 4 * config["n_embd"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict, config: dict) -> None:
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    texts = {id: text for text, id in tokenizer["model"]["vocab"].items()} | special
    kinds = [gguf.TokenType.CONTROL if id in special else gguf.TokenType.NORMAL for id in range(len(texts))]
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([texts[id] for id in range(len(texts))])
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)


def tensors(file: Path):
    """Names and float32 values of a safetensors file."""
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            values = np.frombuffer(content[begin:end], DTYPES[entry["dtype"]])
            yield name.removeprefix("transformer."), values.reshape(entry["shape"]).astype(np.float32)


def placed(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """The name there, and the values as they lie there: matrices of blocks turned, [in, out] to [out, in]."""
    block, own, kind = re.fullmatch(r"(?:h\.(\d+)\.)?(.+)\.(weight|bias)", name).groups()
    if block is None:
        return f"{AROUND[own]}.{kind}", values
    return f"blk.{block}.{INSIDE[own]}.{kind}", np.ascontiguousarray(values.T)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
