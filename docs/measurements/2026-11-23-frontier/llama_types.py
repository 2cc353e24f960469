"""Writes a Llama model as GGUF files of llama.cpp's types, mixed and rounded by llama.cpp itself.

    python llama_types.py MODEL_FOLDER calibrate.txt LIBRARIES OUT_FOLDER Q4_K_M Q3_K_M Q2_K IQ2_XS Q8_0 Q4_0

LIBRARIES is a folder with llama.cpp's shared libraries, as npm's `@node-llama-cpp/linux-x64` brings them under
`bins/linux-x64`. What writes each file is `llama_model_quantize`, the function behind `llama-quantize`: which tensor
gets which type is its own affair. The importance matrix is what `llama-imatrix` gathers, the mean square of each input
of each layer's matrices over the text in windows of 512 tokens, taken by PyTorch.
"""

import ctypes
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "conformance"))
import gguf_export  # noqa: E402

# `llama_ftype`.
TYPES = {"Q4_0": 2, "Q8_0": 7, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_M": 17,
         "Q6_K": 18, "IQ2_XXS": 19, "IQ2_XS": 20, "IQ3_XXS": 23, "IQ3_S": 26, "IQ4_XS": 30}


class Importance(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)), ("size", ctypes.c_size_t)]


class Params(ctypes.Structure):
    """`llama_model_quantize_params`."""

    _fields_ = [
        ("nthread", ctypes.c_int32), ("ftype", ctypes.c_int), ("output_tensor_type", ctypes.c_int),
        ("token_embedding_type", ctypes.c_int), ("allow_requantize", ctypes.c_bool),
        ("quantize_output_tensor", ctypes.c_bool), ("only_copy", ctypes.c_bool), ("pure", ctypes.c_bool),
        ("keep_split", ctypes.c_bool), ("dry_run", ctypes.c_bool), ("imatrix", ctypes.POINTER(Importance)),
        ("kv_overrides", ctypes.c_void_p), ("tt_overrides", ctypes.c_void_p), ("prune_layers", ctypes.c_void_p)]


@torch.no_grad()
def importance(folder, text):
    """By GGUF name, each column's mean square."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sums, counts = {}, {}

    def gather(name):
        def hook(_module, inputs):
            x = inputs[0].reshape(-1, inputs[0].shape[-1])
            sums[name] = sums.get(name, 0) + x.square().sum(0, dtype=torch.float64)
            counts[name] = counts.get(name, 0) + len(x)
        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and ".layers." in name:
            module.register_forward_pre_hook(gather(gguf_export.gguf_name(f"{name}.weight")))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    for start in range(0, len(ids), 511):
        model(torch.tensor([[tokenizer.bos_token_id, *ids[start : start + 511]]]))
    return {name: (total / counts[name]).to(torch.float32).numpy() for name, total in sums.items()}


def libraries(folder):
    """llama.cpp, with what it needs loaded before it."""
    for pattern in ("libggml-base.so*", "libggml-cpu-x64.so*", "libggml.*so*"):
        for path in sorted(Path(folder).glob(pattern)):
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    llama = ctypes.CDLL(str(next(Path(folder).glob("libllama.*so*"))))
    llama.llama_model_quantize_default_params.restype = Params
    llama.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Params)]
    llama.llama_model_quantize.restype = ctypes.c_uint32
    return llama


def main():
    folder, text, shared, out = map(Path, sys.argv[1:5])
    full = out / "full-F32.gguf"
    gguf_export.export(folder, full, "F32")
    found = importance(folder, text.read_text("utf-8"))
    entries = (Importance * (len(found) + 1))()
    for entry, (name, columns) in zip(entries, sorted(found.items())):
        entry.name, entry.size = name.encode(), columns.size
        entry.data = columns.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    llama = libraries(shared)
    llama.llama_backend_init()
    for name in sys.argv[5:]:
        params = llama.llama_model_quantize_default_params()
        assert (params.only_copy, params.quantize_output_tensor, params.imatrix) == (False, True, None) or not params.imatrix
        params.ftype, params.nthread, params.imatrix = TYPES[name], 1, entries
        code = llama.llama_model_quantize(bytes(full), bytes(out / f"{name}.gguf"), ctypes.byref(params))
        assert code == 0, f"{name}: llama.cpp's quantizer returned {code}"


if __name__ == "__main__":
    main()
