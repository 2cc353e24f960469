"""Makes the golden logits of the tiny model in strips, and of the bundled one in two bits, from their files and the
formats' descriptions alone.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python quantised.py

`../fixtures/tiny-llama-trellis` is what `quantizer/tests/fixture.rs` writes. Here its weights are decoded one by one by
`trellis.py` and `levels2.py` (strips) and by gguf-py (Q4_0, TQ1_0), what the plan would rotate is turned back in the one matrix that expects it,
and transformers computes the logits in float32. Rotations of the stream and of the values need nothing: a model with
them folded in is a model like any other. Writes `tiny-llama-trellis.safetensors`, in the form of `make.py`'s golden
files: `<name>.ids` and `<name>.logits`; and `hearth-tiny-2bit.safetensors`, for twelve positions alone.
"""

import json
from pathlib import Path

import gguf
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from transformers import AutoTokenizer

import hearth_tiny
import levels2
import reference
import trellis

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures"
MODELS = HERE.parent.parent / "models"
PROMPTS = {"short": [0, 7, 21, 100, 3, 3, 250, 42, 9], "long": [0, *((17 * at * at + 5 * at) % 272 for at in range(40))]}


def decode(stored, entry, config):
    """A matrix, (rows, columns), in float64."""
    rows, columns = entry["shape"]
    if entry["format"] in ("Q4_0", "TQ1_0"):
        return gguf.dequantize(stored, gguf.GGMLQuantizationType[entry["format"]]).astype(np.float64)
    if entry["format"] == "LEVELS2":
        strips = [strip.tobytes() for strip in stored]
        return np.array([[levels2.weight(strips, row, column) for column in range(columns)] for row in range(rows)])
    bits = int(entry["format"].removeprefix("TRELLIS"))
    place = (stored, bits, config["codebook"], config["window_bits"])
    return np.array([[trellis.weight(*place, row, column) for column in range(columns)] for row in range(rows)])


def hadamard(size):
    """Sylvester's matrix, orthonormal."""
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / np.sqrt(size)


def weights(folder):
    """All weights of a model as a plain Llama's, in float32."""
    config = json.loads((folder / "config.json").read_text("utf-8"))["quantization_config"]
    block = config["rotation"]["down_block"]
    stored = {}
    for file in sorted(folder.glob("*.safetensors")):
        stored |= safetensors.torch.load_file(file)
    state = {}
    for name, tensor in stored.items():
        entry = config["tensors"].get(name)
        values = tensor.to(torch.float64).numpy() if entry is None else decode(tensor.numpy(), entry, config)
        if name.endswith("down_proj.weight") and block:
            turned = values.reshape(len(values), -1, block) @ hadamard(block)
            values = turned.reshape(values.shape)
        state[name] = values.astype(np.float32)
    return state


def tiny():
    """The tiny model, whose prompts are numbers."""
    model = reference.build(FIXTURES / "tiny-llama", weights(FIXTURES / "tiny-llama-trellis"))
    tensors = {}
    for name, ids in PROMPTS.items():
        tensors[f"{name}.ids"] = np.array(ids, dtype=np.uint32)
        tensors[f"{name}.logits"] = reference.logits(model, ids)
    safetensors.numpy.save_file(tensors, HERE / "tiny-llama-trellis.safetensors")


def two_bits():
    """The bundled model in two bits, four positions of each of three texts."""
    folder = MODELS / "hearth-tiny-2bit"
    model = reference.build(MODELS / "hearth-tiny", weights(folder))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids_of = {name: ids for name, _, ids in hearth_tiny.prompts(tokenizer)}
    tensors = {}
    for name in ("harbour", "king", "restaurant"):
        ids = ids_of[name]
        positions = np.linspace(0, len(ids) - 1, 4).round().astype(np.uint32)
        tensors[f"{name}.ids"] = np.array(ids, dtype=np.uint32)
        tensors[f"{name}.positions"] = positions
        tensors[f"{name}.logits"] = reference.logits(model, ids)[positions]
    safetensors.numpy.save_file(tensors, HERE / "hearth-tiny-2bit.safetensors")


def main():
    torch.set_num_threads(1)
    tiny()
    two_bits()


if __name__ == "__main__":
    main()
