"""Compares Hearth with llama.cpp on every type that llama.cpp's own quantizer writes.

    python -m venv venv && venv/bin/pip install -r ../golden/requirements.txt xllamacpp==2026.10.11549
    cargo build --release --package hearth-host --bin hearth
    venv/bin/python llama_quantize.py --hearth ../../target/release/hearth

The bundled model's matrices are quantized by `ggml_quantize_chunk`, the function behind llama.cpp's `quantize`, and
put into a GGUF file by gguf-py. First llama.cpp's own decoder (`to_float`) and gguf-py, to which Hearth's decoders
are equal to the last bit, must agree on every block. Then both programs continue the five prompts of
`../cases/hearth-tiny.json` greedily, as in `llama_cpp.py`, and the agreement of each type is printed.

llama.cpp rounds the activations to 8 bits for these types, which Hearth does not, and a model of this size in two or
three bits is often undecided: where the programs part, the gap is printed that llama.cpp sees between the two tokens,
and what follows is not compared. A gap of `--gap` nats or more is a failure. The types that cannot do without an
importance matrix get one in which every column weighs the same; the others none.
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


def export(folder, out, kind):
    """Writes the GGUF file; how many numbers the decoders differ in."""
    config, state = gguf_export.load(folder)
    writer = gguf.GGUFWriter(out, "llama")
    gguf_export.add_hyperparameters(writer, config, folder.name)
    gguf_export.add_tokenizer(writer, folder, config["vocab_size"])
    differ = 0
    for name, weights in state.items():
        heads = gguf_export.heads_of(name, config)
        weights = np.ascontiguousarray(gguf_export.permute(weights, heads) if heads else weights)
        if weights.ndim == 1:
            writer.add_tensor(gguf_export.gguf_name(name), weights)
            continue
        stored = quantize(weights, kind)
        differ += decoders_differ(stored, kind)
        writer.add_tensor(gguf_export.gguf_name(name), stored, raw_dtype=kind)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hearth", default=str(Path(__file__).resolve().parents[2] / "target" / "release" / "hearth"))
    parser.add_argument("--gap", type=float, default=0.5)
    parser.add_argument("--types", nargs="*", default=[kind.name for kind in TYPES])
    args = parser.parse_args()
    cases = json.loads(llama_cpp.CASES.read_text("utf-8"))
    failed = False
    print("| type | tokens the same | prompts all the same | gaps where they part, in nats |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kind in (Type[name] for name in args.types):
            path = Path(folder) / f"{kind.name}.gguf"
            differ = export(llama_cpp.MODEL, path, kind)
            failed |= differ > 0
            llama = llama_cpp.LlamaCpp(path)
            same, total, gaps = 0, 0, []
            for case in cases["cases"]:
                ours, _ = llama_cpp.hearth_greedy(args.hearth, path, case["prompt"], cases["max_tokens"])
                theirs, likeliest = llama.greedy(case["ids"], cases["max_tokens"])
                # llama.cpp may count the token that ends the turn.
                theirs = [token for token in theirs if token not in (0, 4)]
                parted = part(ours, theirs, likeliest)
                at = min(len(ours), len(theirs)) if parted is None else parted[0]
                same, total = same + at, total + (at if parted is None else len(theirs))
                if parted is not None:
                    gaps.append(parted[1])
                elif len(ours) != len(theirs):
                    gaps.append(float("inf"))
            del llama
            path.unlink()
            failed |= any(gap >= args.gap for gap in gaps)
            note = f"; decoders differ in {differ} numbers" if differ else ""
            shown = ", ".join(f"{gap:.3f}" for gap in gaps) or "-"
            print(f"| {kind.name} | {same} of {total} | {5 - len(gaps)} of 5 | {shown}{note} |", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
