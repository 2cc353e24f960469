"""Makes the golden logits of the tiny model in strips, from its file and the formula alone.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python quantised.py

`../fixtures/tiny-llama-trellis` is what `quantizer/tests/fixture.rs` writes. Here its weights are decoded one by one by
`trellis.py` (strips) and by gguf-py (Q4_0), what the plan would rotate is turned back in the one matrix that expects it,
and transformers computes the logits in float32. Rotations of the stream and of the values need nothing: a model with
them folded in is a model like any other. Writes `tiny-llama-trellis.safetensors`, in the form of `make.py`'s golden
files: `<name>.ids` and `<name>.logits`.
"""

import json
from pathlib import Path

import gguf
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

import reference
import trellis

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures"
FOLDER = FIXTURES / "tiny-llama-trellis"
PROMPTS = {"short": [0, 7, 21, 100, 3, 3, 250, 42, 9], "long": [0, *((17 * at * at + 5 * at) % 272 for at in range(40))]}


def decode(stored, entry, config):
    """A matrix, (rows, columns), in float64."""
    rows, columns = entry["shape"]
    if entry["format"] == "Q4_0":
        return gguf.dequantize(stored, gguf.GGMLQuantizationType.Q4_0).astype(np.float64)
    bits = int(entry["format"].removeprefix("TRELLIS"))
    place = (stored, bits, config["codebook"], config["window_bits"])
    return np.array([[trellis.weight(*place, row, column) for column in range(columns)] for row in range(rows)])


def hadamard(size):
    """Sylvester's matrix, orthonormal."""
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / np.sqrt(size)


def weights():
    """All weights of the model as a plain Llama's, in float32."""
    config = json.loads((FOLDER / "config.json").read_text("utf-8"))["quantization_config"]
    block = config["rotation"]["down_block"]
    index = json.loads((FOLDER / "model.safetensors.index.json").read_text("utf-8"))["weight_map"]
    stored = {}
    for file in sorted(set(index.values())):
        stored |= safetensors.torch.load_file(FOLDER / file)
    state = {}
    for name, tensor in stored.items():
        entry = config["tensors"].get(name)
        values = tensor.to(torch.float64).numpy() if entry is None else decode(tensor.numpy(), entry, config)
        if name.endswith("down_proj.weight") and block:
            turned = values.reshape(len(values), -1, block) @ hadamard(block)
            values = turned.reshape(values.shape)
        state[name] = values.astype(np.float32)
    return state


def main():
    torch.set_num_threads(1)
    model = reference.build(FIXTURES / "tiny-llama", weights())
    tensors = {}
    for name, ids in PROMPTS.items():
        tensors[f"{name}.ids"] = np.array(ids, dtype=np.uint32)
        tensors[f"{name}.logits"] = reference.logits(model, ids)
    safetensors.numpy.save_file(tensors, HERE / "tiny-llama-trellis.safetensors")


if __name__ == "__main__":
    main()
