"""Writes a student of `quantise_aware.py` as Hearth stores it: LEVELS2, TQ1_0 and Q4_0 in one safetensors file.

Each format is written from its page in docs/formats, with numpy alone.
"""

import json
import os
import shutil

import numpy as np
import torch
from safetensors.torch import save_file

import low_bits

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


def half(numbers):
    return numbers.detach().cpu().numpy().astype("<f2")


def levels2(index, scale):
    """Strips of 16 rows: 16 scales, then tiles of 16 by 16 of 64 bytes; word r is a row, byte b and bits 2j column 4j + b."""
    rows, columns = index.shape
    assert rows % 16 == 0 and columns % 16 == 0
    # (strip, row, tile, j, b)
    parts = index.cpu().numpy().astype(np.uint8).reshape(rows // 16, 16, columns // 16, 4, 4)
    tiles = sum(parts[:, :, :, j, :] << (2 * j) for j in range(4)).astype(np.uint8)
    tiles = np.ascontiguousarray(tiles.transpose(0, 2, 1, 3)).reshape(rows // 16, -1)
    scales = half(scale).reshape(rows // 16, 16).view(np.uint8)
    return np.concatenate((scales, tiles), 1)


def tq1_0(index, scale):
    """Blocks of 256: 48 bytes of five trits, 4 bytes of four, and the scale (ggml's block_tq1_0)."""
    rows, columns = index.shape
    trits = (index.cpu().numpy().astype(np.int64) + 1).reshape(-1, 256)

    def packed(part, count):
        """Trits that lie `len / count` apart share a byte, the first the most significant."""
        part = part.reshape(len(part), count, -1)
        value = np.zeros(part[:, 0].shape, np.int64)
        for n in range(count):
            value = value * 3 + part[:, n]
        value *= 3 ** (5 - count)
        return ((value * 256 + 242) // 243).astype(np.uint8)

    quants = np.concatenate((packed(trits[:, :160], 5), packed(trits[:, 160:240], 5)), 1)
    high = packed(trits[:, 240:], 4)
    scales = half(scale).repeat(columns // 256, 1).reshape(-1, 1).view(np.uint8)
    return np.concatenate((quants, high, scales), 1).reshape(rows, -1)


def q4_0(table):
    d, index = low_bits.q4_0(table.detach())
    index = index.cpu().numpy().astype(np.uint8)
    blocks = np.concatenate((half(d).view(np.uint8), index[:, :16] | (index[:, 16:] << 4)), 1)
    return blocks.reshape(len(table), -1)


@torch.no_grad()
def pack(student):
    """The file's tensors, and what `quantization_config` says of them."""
    tensors, described = {}, {}

    def add(name, format_name, shape, stored):
        tensors[name] = torch.from_numpy(stored.copy())
        described[name] = {"format": format_name, "shape": list(shape)}

    for name, module in student.named_modules():
        if not isinstance(module, low_bits.LowBits):
            continue
        scale = low_bits.row_scale(module.latent, module.gain, module.unit)
        index = low_bits.indices(module.latent, scale, module.levels)
        write, format_name = (levels2, "LEVELS2") if module.levels == 4 else (tq1_0, "TQ1_0")
        add(name + ".weight", format_name, index.shape, write(index, scale))
    table = student.model.embed_tokens.weight
    add("model.embed_tokens.weight", "Q4_0", table.shape, q4_0(table))
    for name, parameter in student.named_parameters():
        if name.endswith("norm.weight"):
            tensors[name] = parameter.detach().float().cpu().contiguous()
    return tensors, described


def write_folder(student, source, out):
    tensors, described = pack(student)
    with open(os.path.join(source, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    config["quantization_config"] = {
        "quant_method": "hearth", "version": 1, "codebook": "sum7", "window_bits": 16,
        "rotation": {"seed": 1, "residual": False, "values": False, "down_block": 0},
        "tensors": dict(sorted(described.items())),
    }
    with open(os.path.join(out, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
        file.write("\n")
    save_file(tensors, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    for name in TOKENIZER:
        shutil.copy(os.path.join(source, name), out)
