"""Writes a Llama model in Hugging Face layout as a GGUF file, with gguf-py (llama.cpp's own package).

    python gguf_export.py MODEL_FOLDER OUT.gguf --format Q8_0

It is independent of the engine on purpose: the engine's reader is tested with files that it did not write.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import safetensors.torch
import torch
from gguf import GGMLQuantizationType, LlamaFileType, TokenType

FORMATS = {
    "F32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "F16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "BF16": (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
    "Q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "Q4_0": (GGMLQuantizationType.Q4_0, LlamaFileType.MOSTLY_Q4_0),
}

# Within a layer: Hugging Face's name and GGUF's.
LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OTHER_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_name(name):
    """`model.layers.3.mlp.up_proj.weight` -> `blk.3.ffn_up.weight`."""
    stem = name.removesuffix(".weight")
    if stem in OTHER_NAMES:
        return f"{OTHER_NAMES[stem]}.weight"
    layer, rest = stem.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{LAYER_NAMES[rest]}.weight"


def permute(weights, heads):
    """Orders each head's rows as GGUF's Llama wants them: the two of a rotary pair beside each other."""
    rows = weights.shape[0] // heads
    return weights.reshape(heads, 2, rows // 2, -1).swapaxes(1, 2).reshape(weights.shape)


def unpermute(weights, heads):
    """Undoes `permute`."""
    rows = weights.shape[0] // heads
    return weights.reshape(heads, rows // 2, 2, -1).swapaxes(1, 2).reshape(weights.shape)


def heads_of(name, config):
    """How many heads the rows of this tensor belong to if they are to be permuted; 0 if not."""
    if name.endswith("q_proj.weight"):
        return config["num_attention_heads"]
    return config["num_key_value_heads"] if name.endswith("k_proj.weight") else 0


def encode(weights, kind):
    """A tensor as it is stored, and its type: vectors stay F32, and so do rows that are not whole blocks."""
    block = gguf.GGML_QUANT_SIZES[kind][0]
    if weights.ndim == 1 or weights.shape[-1] % block:
        kind = GGMLQuantizationType.F32
    return gguf.quants.quantize(weights, kind), kind


def stored_values(weights, format_name):
    """The float32 values that a reader of the GGUF file gets back."""
    stored, kind = encode(weights, FORMATS[format_name][0])
    return gguf.quants.dequantize(stored, kind).reshape(weights.shape)


def add_hyperparameters(writer, config, name):
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_name(name)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def add_tokenizer(writer, folder, vocab_size):
    """A byte-level BPE with GPT-2's way of cutting text into words."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    by_id = {number: token for token, number in tokenizer["model"]["vocab"].items()} | special
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([by_id[number] for number in range(vocab_size)])
    writer.add_token_types(
        [TokenType.CONTROL if number in special else TokenType.NORMAL for number in range(vocab_size)])
    pairs = tokenizer["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in pairs])
    ids = {token: number for number, token in by_id.items()}
    writer.add_bos_token_id(ids[config["bos_token"]])
    writer.add_eos_token_id(ids[config["eos_token"]])
    writer.add_add_bos_token(bool(config.get("add_bos_token", False)))
    if config.get("pad_token") in ids:
        writer.add_pad_token_id(ids[config["pad_token"]])
    if "chat_template" in config:
        writer.add_chat_template(config["chat_template"])


def load(folder):
    """The configuration, and all weights as float32."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    state = {}
    for file in sorted(folder.glob("*.safetensors")):
        state |= {name: tensor.to(torch.float32).numpy() for name, tensor in safetensors.torch.load_file(file).items()}
    return config, state


def export(folder, out, format_name):
    """Writes the GGUF file."""
    config, state = load(folder)
    kind, file_type = FORMATS[format_name]
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_file_type(file_type)
    add_hyperparameters(writer, config, folder.name)
    add_tokenizer(writer, folder, config["vocab_size"])
    for name, weights in state.items():
        heads = heads_of(name, config)
        stored, stored_kind = encode(np.ascontiguousarray(permute(weights, heads) if heads else weights), kind)
        writer.add_tensor(gguf_name(name), stored, raw_dtype=stored_kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--format", choices=FORMATS, default="F16")
    args = parser.parse_args()
    export(args.folder, args.out, args.format)


if __name__ == "__main__":
    main()
