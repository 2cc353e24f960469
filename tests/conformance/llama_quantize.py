"""Compares Hearth with llama.cpp on every type that llama.cpp's own quantizer writes.

    python -m venv venv && venv/bin/pip install -r ../golden/requirements.txt xllamacpp==2026.10.11549
    cargo build --release --package hearth-host --bin hearth
    venv/bin/python llama_quantize.py --hearth ../../target/release/hearth

The bundled model's matrices are quantized by `ggml_quantize_chunk`, the function behind llama.cpp's `quantize`, and
put into a GGUF file by gguf-py. First llama.cpp's own decoder (`to_float`) and gguf-py, to which Hearth's decoders
are equal to the last bit, must agree on every block. Then both programs continue the prompts of `../cases/hearth-
tiny.json` greedily, as in `llama_cpp.py`, and the agreement of each type is printed.

What is right is what llama.cpp answers in a file of the same numbers as F32, which gguf-py decodes: there it rounds no
activation. Hearth is asked twice. With `--exact` it rounds none either, and every token must be the same, but for ties
within `EXACT_NATS`. As people use it, its CPU rounds activations to 8 bits for the types whose rows it can interleave, and a
model of this size in a few bits is often undecided. How far from what is right that may lead is not for us to say:
llama.cpp in the quantized file rounds too, in its own way, and is measured in the same run. Where a program parts from
what is right, the gap counts that the exact llama.cpp sees between the two tokens, and what follows is not compared.
Hearth's gaps may be at most `TIMES` llama.cpp's: the largest of all against the largest of all, and the mean over all
texts against the mean. The types that cannot do without an importance matrix get one in which every column weighs the
same; the others none.
"""

import argparse
import ctypes
import json
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from xllamacpp import xllamacpp as library

import gguf_export
import llama_cpp

# How much likelier llama.cpp may find its own token with the same numbers in F32. Its own answer changes by 0.003 nats
# when it reads a text in one batch instead of token by token.
EXACT_NATS = 0.005
# How much further than llama.cpp Hearth may be from what is right where both round.
TIMES = 1.5
TYPES = [
    Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K,
    Type.IQ4_NL, Type.IQ4_XS, Type.IQ3_S, Type.IQ3_XXS, Type.IQ2_S, Type.IQ2_XS, Type.IQ2_XXS, Type.TQ1_0,
    Type.TQ2_0, Type.MXFP4,
]
ggml = ctypes.CDLL(library.__file__)
FLOATS = ctypes.POINTER(ctypes.c_float)
ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
ggml.ggml_quantize_chunk.argtypes = [
    ctypes.c_int, FLOATS, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, FLOATS]
ggml.ggml_quantize_requires_imatrix.restype = ctypes.c_bool


class TypeTraits(ctypes.Structure):
    """The front of `ggml_type_traits`."""

    _fields_ = [
        ("type_name", ctypes.c_char_p), ("block_size", ctypes.c_int64), ("block_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t), ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, FLOATS, ctypes.c_int64))]


ggml.ggml_get_type_traits.restype = ctypes.POINTER(TypeTraits)


def quantize(weights, kind):
    """(rows, bytes a row), by llama.cpp."""
    weights = np.ascontiguousarray(weights, dtype=np.float32)
    rows, columns = weights.shape
    block, size = gguf.GGML_QUANT_SIZES[kind]
    out = np.zeros((rows, columns // block * size), dtype=np.uint8)
    importance = None
    if ggml.ggml_quantize_requires_imatrix(int(kind)):
        importance = np.ones(columns, dtype=np.float32).ctypes.data_as(FLOATS)
    written = ggml.ggml_quantize_chunk(
        int(kind), weights.ctypes.data_as(FLOATS), out.ctypes.data, 0, rows, columns, importance)
    assert written == out.size, f"{kind.name}: {written} bytes, not {out.size}"
    return out


def decoders_differ(stored, kind):
    """How many numbers llama.cpp decodes otherwise than gguf-py."""
    expected = gguf.dequantize(stored, kind)
    found = np.empty_like(expected)
    traits = ggml.ggml_get_type_traits(int(kind)).contents
    traits.to_float(stored.ctypes.data, found.ctypes.data_as(FLOATS), found.size)
    return int((found != expected).sum())


def export(folder, out, kind, decoded=False):
    """Writes the GGUF file, with the matrices `decoded` to F32 or not; how many numbers the decoders differ in."""
    config, state = gguf_export.load(folder)
    writer = gguf.GGUFWriter(out, "llama")
    gguf_export.add_hyperparameters(writer, config, folder.name)
    gguf_export.add_tokenizer(writer, folder, config["vocab_size"])
    differ = 0
    for name, weights in state.items():
        heads = gguf_export.heads_of(name, config)
        weights = np.ascontiguousarray(gguf_export.permute(weights, heads) if heads else weights)
        stored, stored_kind = weights, Type.F32
        if weights.ndim > 1:
            stored, stored_kind = quantize(weights, kind), kind
            differ += decoders_differ(stored, kind)
        if decoded and weights.ndim > 1:
            stored, stored_kind = gguf.dequantize(stored, kind), Type.F32
        writer.add_tensor(gguf_export.gguf_name(name), stored, raw_dtype=stored_kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return differ


def part(ours, theirs, likeliest):
    """Where two answers part, and by how many nats llama.cpp prefers its own token there; None if they do not."""
    for at, (our, their) in enumerate(zip(ours, theirs)):
        if our != their:
            # Of the tokens that it does not list, the last one listed is a bound.
            seen = likeliest[at]
            return at, seen[their] - seen.get(our, min(seen.values()))
    return None


def without_end(tokens):
    """llama.cpp may count the token that ends the turn."""
    return [token for token in tokens if token not in (0, 4)]


class Agreement:
    """How far a program's answers are the right ones."""

    def __init__(self):
        self.same, self.total, self.gaps = 0, 0, []

    def add(self, found, right, likeliest):
        parted = part(found, right, likeliest)
        self.same += min(len(found), len(right)) if parted is None else parted[0]
        self.total += len(right)
        if parted is not None:
            self.gaps.append(parted[1])
        elif len(found) != len(right):
            self.gaps.append(float("inf"))

    def __str__(self):
        return f"{self.same} of {self.total} | {', '.join(f'{gap:.4f}' for gap in self.gaps) or '-'}"


def compare(kind, folder, args, cases):
    """Prints the type's line; whether decoders and exact answers are right, and the gaps of Hearth and llama.cpp."""
    stored, decoded = Path(folder) / "stored.gguf", Path(folder) / "decoded.gguf"
    differ = export(llama_cpp.MODEL, stored, kind)
    export(llama_cpp.MODEL, decoded, kind, decoded=True)
    prompts, count = cases["cases"][: args.prompts], cases["max_tokens"]
    answers = {}
    for path in (decoded, stored):
        llama = llama_cpp.LlamaCpp(path)
        answers[path] = [llama.greedy(case["ids"], count) for case in prompts]
        del llama
    exact, ours, theirs = Agreement(), Agreement(), Agreement()
    for case, (right, likeliest), (rounded, _) in zip(prompts, answers[decoded], answers[stored]):
        right = without_end(right)
        for agreement, options in ((exact, ["--exact"]), (ours, [])):
            tokens, _ = llama_cpp.hearth_greedy(args.hearth, stored, case["prompt"], count, options)
            agreement.add(tokens, right, likeliest)
        theirs.add(without_end(rounded), right, likeliest)
    print(f"| {kind.name} | {differ} | {exact} | {ours} | {theirs} |", flush=True)
    return differ == 0 and all(gap < EXACT_NATS for gap in exact.gaps), ours.gaps, theirs.gaps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hearth", default=str(Path(__file__).resolve().parents[2] / "target" / "release" / "hearth"))
    parser.add_argument("--prompts", type=int, default=5, help="how many of the prompts")
    parser.add_argument("--types", nargs="*", default=[kind.name for kind in TYPES])
    args = parser.parse_args()
    cases = json.loads(llama_cpp.CASES.read_text("utf-8"))
    print("| type | decoded otherwise | exact: same tokens | gaps, nats | rounded: same tokens | gaps, nats "
          "| llama.cpp, rounded: same tokens | gaps, nats |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        rows = [compare(Type[name], folder, args, cases) for name in args.types]
    texts = len(rows) * min(args.prompts, len(cases["cases"]))
    ours, theirs = ([gap for row in rows for gap in row[side]] for side in (1, 2))
    most, mean = [max(gaps, default=0) for gaps in (ours, theirs)], [sum(gaps) / texts for gaps in (ours, theirs)]
    print(f"\nlargest gap: {most[0]:.4f} nats, llama.cpp's {most[1]:.4f}; "
          f"mean of {texts} texts: {mean[0]:.4f}, llama.cpp's {mean[1]:.4f}")
    well = all(row[0] for row in rows) and all(ours <= TIMES * theirs for ours, theirs in (most, mean))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
