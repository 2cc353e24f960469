"""Writes a model of random weights with Llama 2 7B's sizes in LEVELS2 (docs/formats), 1.7 GB.

    python3 random_model.py FOLDER models/hearth-tiny [--layers 32]

The second folder lends its tokenizer, so that the model can be asked too; it answers nonsense. Needs numpy.
"""

import argparse
import json
import os
import shutil

import numpy

HIDDEN, HEADS, FEED_FORWARD, VOCABULARY = 4096, 32, 11008, 32000
STRIP_ROWS, SCALES_BYTES, TILE_BYTES = 16, 32, 64
# About what trained models have, over the root mean square of -3, -1, 1 and 3.
SCALE = 0.02 / 2.236


def matrices(layers):
    yield "model.embed_tokens", VOCABULARY, HIDDEN
    for layer in range(layers):
        for name in ["q_proj", "k_proj", "v_proj", "o_proj"]:
            yield f"model.layers.{layer}.self_attn.{name}", HIDDEN, HIDDEN
        for name in ["gate_proj", "up_proj"]:
            yield f"model.layers.{layer}.mlp.{name}", FEED_FORWARD, HIDDEN
        yield f"model.layers.{layer}.mlp.down_proj", HIDDEN, FEED_FORWARD
    yield "lm_head", VOCABULARY, HIDDEN


def norms(layers):
    for layer in range(layers):
        yield f"model.layers.{layer}.input_layernorm"
        yield f"model.layers.{layer}.post_attention_layernorm"
    yield "model.norm"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("tokenizer")
    parser.add_argument("--layers", type=int, default=32)
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(os.path.join(arguments.tokenizer, name), arguments.folder)
    header, formats, end = {}, {}, 0
    for name, rows, columns in matrices(arguments.layers):
        shape = [rows // STRIP_ROWS, SCALES_BYTES + columns // STRIP_ROWS * TILE_BYTES]
        length = shape[0] * shape[1]
        header[name + ".weight"] = {"dtype": "U8", "shape": shape, "data_offsets": [end, end + length]}
        formats[name + ".weight"] = {"format": "LEVELS2", "shape": [rows, columns]}
        end += length
    for name in norms(arguments.layers):
        header[name + ".weight"] = {"dtype": "F32", "shape": [HIDDEN], "data_offsets": [end, end + 4 * HIDDEN]}
        end += 4 * HIDDEN
    config = {
        "model_type": "llama", "num_hidden_layers": arguments.layers, "hidden_size": HIDDEN,
        "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": HIDDEN // HEADS,
        "intermediate_size": FEED_FORWARD, "vocab_size": VOCABULARY, "max_position_embeddings": 4096,
        "tie_word_embeddings": False, "rope_theta": 10000.0, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "quantization_config": {
            "quant_method": "hearth", "version": 1, "codebook": "sum7", "window_bits": 16, "tensors": formats,
        },
    }
    with open(os.path.join(arguments.folder, "config.json"), "w") as file:
        json.dump(config, file)
    random = numpy.random.default_rng(1)
    scales = numpy.full(STRIP_ROWS, SCALE, numpy.float16).view(numpy.uint8)
    text = json.dumps(header)
    text += " " * (-len(text) % 64)
    with open(os.path.join(arguments.folder, "model.safetensors"), "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text.encode())
        for tensor in header.values():
            if tensor["dtype"] == "F32":
                file.write(numpy.ones(tensor["shape"], numpy.float32).tobytes())
                continue
            strips = random.integers(0, 256, tensor["shape"], numpy.uint8)
            strips[:, :SCALES_BYTES] = scales
            file.write(strips.tobytes())


main()
