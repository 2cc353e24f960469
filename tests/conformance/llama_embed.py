"""Compares vectors of texts with llama.cpp's, from the same GGUF: the tokens that it puts around a text, the pooling that
the file names, and the length of 1.

    python -m venv venv && venv/bin/pip install -r ../golden/requirements.txt xllamacpp==2026.10.11549
    cargo build --package hearth-host --bin hearth
    venv/bin/python llama_embed.py --hearth ../../target/debug/hearth [MODEL.gguf]

Without a model it takes the tiny decoder of `../golden/decoder_embedder.py`. llama.cpp rounds to F16 on the way, so the
vectors agree to a cosine of 0.9999 and not further.
"""

import argparse
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import xllamacpp

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "fixtures" / "tiny-qwen3-embedding.gguf"
COSINE = 0.9999
TEXTS = ["hearth", "A small fire keeps the whole room warm.", "Où est le CAFÉ?  Über\tden Hügeln!", "Where did the ship go?"]


def start(path):
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_gpu_layers = 0
    params.n_ctx = 192
    params.n_parallel = 1
    params.warmup = False
    params.verbosity = 0
    params.embedding = True
    params.cpuparams.n_threads = 1
    return xllamacpp.Server(params)


def theirs(server, text):
    request = urllib.request.Request(
        f"{server.listening_address}/v1/embeddings", json.dumps({"input": text}).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return np.array(json.load(response)["data"][0]["embedding"])


def ours(program, path):
    done = subprocess.run(
        [program, "embed", "--device", "cpu", "--json", "--model", str(path), *TEXTS],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    return [np.array(json.loads(line)["vector"]) for line in done.stdout.splitlines()[:-1]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, default=MODEL)
    parser.add_argument("--hearth", default=str(HERE.parent.parent / "target" / "release" / "hearth"))
    args = parser.parse_args()
    server, worst = start(args.model), 1.0
    for text, own in zip(TEXTS, ours(args.hearth, args.model), strict=True):
        other = theirs(server, text)
        cosine = float(own @ other / np.linalg.norm(own) / np.linalg.norm(other))
        print(f"{cosine:.6f} {text}")
        worst = min(worst, cosine)
    sys.exit(0 if worst >= COSINE else f"a cosine of {worst}")


if __name__ == "__main__":
    main()
