"""Times llama.cpp on a CPU, through its C API.

    npm pack @node-llama-cpp/linux-x64 && tar xzf node-llama-cpp-linux-x64-*.tgz
    python llama_cpp.py package/bins/linux-x64 MODEL.gguf --threads 1 [--variant sapphirerapids]

The package holds llama.cpp built for each generation of processors; `--variant` picks one, else llama.cpp picks the
best. Printed are the best of some runs: tokens a second of wall time, and milliseconds of processor time, which other
programs on the machine disturb less.
"""

import argparse
import ctypes
import os
import resource
import tempfile
import time
from pathlib import Path

PREFILL = 512
DECODE = 32


class Blob(ctypes.Structure):
    """Parameters, passed by value. Only their first fields, which are stable, are set."""

    _fields_ = [("bytes", ctypes.c_uint8 * 1024)]


class Batch(ctypes.Structure):
    """llama_batch."""

    _fields_ = [
        ("tokens", ctypes.c_int32), ("ids", ctypes.c_void_p), ("embeddings", ctypes.c_void_p),
        ("positions", ctypes.c_void_p), ("sequences", ctypes.c_void_p), ("sequence_ids", ctypes.c_void_p),
        ("logits", ctypes.c_void_p),
    ]


def load(folder, prefix):
    """The library whose name begins so."""
    return ctypes.CDLL(str(sorted(folder.glob(prefix + "*"))[0]), mode=ctypes.RTLD_GLOBAL)


def processor_ms():
    """Of all threads of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1e3


class LlamaCpp:
    """A model with a context."""

    def __init__(self, folder, variant, path, threads):
        load(folder, "libggml-base")
        ggml = load(folder, "libggml.")
        self.library = load(folder, "libllama.")
        with tempfile.TemporaryDirectory() as chosen:
            for backend in folder.glob(f"libggml-cpu-{variant or '*'}.so"):
                (Path(chosen) / backend.name).symlink_to(backend.resolve())
            ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
            ggml.ggml_backend_load_all_from_path(chosen.encode())
        callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        self.log = callback(lambda level, text, _: print(text.decode(), end="") if os.environ.get("VERBOSE") else None)
        self.library.llama_log_set.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.library.llama_log_set(ctypes.cast(self.log, ctypes.c_void_p), None)
        self.library.llama_backend_init()
        for name in ("llama_model_default_params", "llama_context_default_params"):
            getattr(self.library, name).restype = Blob
        self.library.llama_model_load_from_file.restype = ctypes.c_void_p
        self.library.llama_model_load_from_file.argtypes = [ctypes.c_char_p, Blob]
        self.library.llama_init_from_model.restype = ctypes.c_void_p
        self.library.llama_init_from_model.argtypes = [ctypes.c_void_p, Blob]
        self.library.llama_batch_get_one.restype = Batch
        self.library.llama_batch_get_one.argtypes = [ctypes.POINTER(ctypes.c_int32), ctypes.c_int32]
        self.library.llama_decode.argtypes = [ctypes.c_void_p, Batch]
        self.library.llama_get_memory.restype = ctypes.c_void_p
        self.library.llama_get_memory.argtypes = [ctypes.c_void_p]
        self.library.llama_memory_clear.argtypes = [ctypes.c_void_p, ctypes.c_bool]
        model = self.library.llama_model_load_from_file(path.encode(), self.library.llama_model_default_params())
        params = self.library.llama_context_default_params()
        ints = (ctypes.c_int32 * 16).from_buffer(params)
        ints[0], ints[2] = 1024, PREFILL
        # Both numbers of threads are 4 by default.
        at = next(at for at in range(4, 12) if ints[at] == 4 and ints[at + 1] == 4)
        ints[at] = ints[at + 1] = threads
        self.context = self.library.llama_init_from_model(model, params)

    def decode(self, ids):
        """Runs one batch."""
        array = (ctypes.c_int32 * len(ids))(*ids)
        if self.library.llama_decode(self.context, self.library.llama_batch_get_one(array, len(ids))):
            raise SystemExit("llama_decode failed")

    def run(self):
        """Wall and processor milliseconds of a prompt and of some tokens after it."""
        self.library.llama_memory_clear(self.library.llama_get_memory(self.context), True)
        times = [(time.perf_counter() * 1e3, processor_ms())]
        self.decode([nth * 7 % 8000 + 1 for nth in range(PREFILL)])
        times.append((time.perf_counter() * 1e3, processor_ms()))
        for nth in range(DECODE):
            self.decode([nth])
        times.append((time.perf_counter() * 1e3, processor_ms()))
        return [(b[0] - a[0], b[1] - a[1]) for a, b in zip(times, times[1:], strict=False)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", type=Path)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variant")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    llama = LlamaCpp(args.libraries, args.variant, args.model, args.threads)
    llama.decode([1])
    runs = [llama.run() for _ in range(args.runs)]
    (prefill, prefill_cpu), (decode, decode_cpu) = ([min(column) for column in zip(*phase, strict=True)]
                                                    for phase in zip(*runs, strict=True))
    print(f"{Path(args.model).stem} llama.cpp {args.variant or 'best'}, {args.threads} threads: "
          f"prefill {PREFILL / prefill * 1e3:.1f} tok/s, {prefill_cpu:.0f} ms of processor; "
          f"decode {DECODE / decode * 1e3:.2f} tok/s, {decode_cpu / DECODE:.1f} ms of processor a token")


if __name__ == "__main__":
    main()
