"""Compares this engine's tokenizers with the libraries that others use, on many random texts.

    pip install tokenizers sentencepiece gguf numpy
    python tokenizer_texts.py --hearth HEARTH [--texts 1000000] [--seed 1] [--vocab DIR] [--work DIR]

HEARTH is the built command line. References: `tokenizers` for each `tokenizer.json`, `sentencepiece` for vocabularies
that are trained here from this repository's own words (BPE and unigram, with and without byte fallback, with and
without a map of characters), and the pairs of `.inp` and `.out` beside each `.gguf` of --vocab. Every text is cut
without special tokens. Ends with 1 if anything differs.

A unigram model takes the cut with the highest sum of scores. The same pieces in another order ("5", "55" and "55", "5")
have the same sum, and which of the two comes out is decided by the last bit of the sums, in float32 in `sentencepiece`
and in float64 in `tokenizers`. Such texts count as equal, and are counted.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parent.parent.parent
RANGES = [
    (0x20, 0x7E, 30), (0x61, 0x7A, 30), (0x30, 0x39, 8), (0xA0, 0x17F, 6), (0x300, 0x36F, 3), (0x370, 0x52F, 4), (0x590, 0x6FF, 4),
    (0x900, 0x97F, 3), (0xE00, 0xE7F, 2), (0x1100, 0x11FF, 2), (0x2000, 0x206F, 2), (0x2190, 0x23FF, 1), (0x3040, 0x30FF, 4),
    (0x4E00, 0x9FFF, 6), (0xAC00, 0xD7A3, 3), (0xFE00, 0xFE0F, 1), (0xFF00, 0xFFEF, 2), (0x1D400, 0x1D7FF, 1), (0x1F300, 0x1FAFF, 3),
]
PIECES = ["  ", "   ", "\n", "\n\n", "\r\n", "\t", " \t ", "'s", "'LL", "'ve", "123", "12345678", "3.14", "e\u0301", "\u0130", "ß", "ﬁ", "①",
          "👩\u200d👩\u200d👧", "🇩🇪", "❤️", "<s>", "</s>", "<|im_start|>", "[CLS]", "##ing", "\u2581", "\u00a0", "\u3000", "\u200b", "\ufeff",
          "def f(x):\n    return x", "https://a.b/c?d=e", "$%^&*()", "...", "—", "“”", "\u0000", "\u0001", "\u007f", "İstanbul", "ΑΒΓς", "नमस्ते", "ไทย"]


def texts(count, seed, words):
    """Texts of every kind of character, and of words."""
    rng = random.Random(seed)
    weights = [weight for _, _, weight in RANGES]
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(1, 12)):
            kind = rng.random()
            if kind < 0.35:
                parts.append(rng.choice(words))
            elif kind < 0.5:
                parts.append(" ")
            elif kind < 0.65:
                parts.append(rng.choice(PIECES))
            else:
                low, high, _ = rng.choices(RANGES, weights)[0]
                parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 4))))
        yield "".join(parts)


def ours(hearth, model, batch, work):
    """Each text's ids from the command line, all in one go."""
    file = work / "texts.jsonl"
    file.write_text("".join(json.dumps(text) + "\n" for text in batch), encoding="utf-8")
    command = [hearth, "--model", model, "tokenize", "--no-special", "--file", file]
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def compare(name, hearth, model, batch, work, reference):
    found = ours(hearth, model, batch, work)
    wrong, ties = [], 0
    for text, ids in zip(batch, found, strict=True):
        expected = reference(text)
        if ids == expected:
            continue
        if "unigram" in name and sorted(ids) == sorted(expected):
            ties += 1
        else:
            wrong.append((text, ids, expected))
    note = f", {ties} of them but for the order of the same pieces" if ties else ""
    print(f"{name}: {len(batch) - len(wrong)} of {len(batch)} texts agree{note}", flush=True)
    for text, ids, expected in wrong[:3]:
        print(f"   {text!r}\n      ours      {ids}\n      reference {expected}")
    return len(wrong)


def folder(work, name, files):
    """A model's folder as far as the tokenizer needs one."""
    path = work / name
    path.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "models/hearth-tiny/config.json", path / "config.json")
    shutil.copy(ROOT / "models/hearth-tiny/model.safetensors", path / "model.safetensors")
    for target, source in files.items():
        shutil.copy(source, path / target)
    return path


def sentence_pieces(work):
    """Vocabularies trained on the repository's own words."""
    text = work / "words.txt"
    documents = sorted(ROOT.glob("docs/**/*.md")) + sorted(ROOT.glob("engine/src/**/*.rs"))
    text.write_text("\n".join(path.read_text(encoding="utf-8") for path in documents), encoding="utf-8")
    kinds = {
        "bpe, byte fallback, identity": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
                                             remove_extra_whitespaces=False),
        "bpe, nmt_nfkc": dict(model_type="bpe"),
        "unigram, nmt_nfkc": dict(model_type="unigram"),
        "unigram, byte fallback, nfkc_cf": dict(model_type="unigram", byte_fallback=True, normalization_rule_name="nfkc_cf"),
        "unigram, no prefix": dict(model_type="unigram", add_dummy_prefix=False, user_defined_symbols=["<sep>", "tensor"]),
    }
    for number, (name, options) in enumerate(kinds.items()):
        prefix = work / f"sentence-piece-{number}"
        sentencepiece.SentencePieceTrainer.train(input=str(text), model_prefix=str(prefix), vocab_size=2000, minloglevel=2, **options)
        yield name, prefix.with_suffix(".model")


def pairs(hearth, vocab, work):
    """The texts and ids that come with vocabularies in GGUF."""
    failures = 0
    for gguf in sorted(vocab.glob("ggml-vocab-*.gguf")):
        batch = Path(f"{gguf}.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
        expected = [[int(id) for id in line.split()] for line in Path(f"{gguf}.out").read_text().splitlines()]
        found = ours(hearth, gguf, batch, work)
        wrong = [(text, ids, ids_wanted) for text, ids, ids_wanted in zip(batch, found, expected) if ids != ids_wanted]
        print(f"{gguf.name}: {len(batch) - len(wrong)} of {len(batch)} pairs agree", flush=True)
        for text, ids, ids_wanted in wrong[:3]:
            print(f"   {text!r}\n      ours      {ids}\n      reference {ids_wanted}")
        failures += len(wrong)
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hearth", required=True)
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vocab", type=Path)
    parser.add_argument("--work", type=Path, default=Path("tokenizers-work"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    words = (ROOT / "README.md").read_text(encoding="utf-8").split() + (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8").split()

    jobs = []
    jsons = {"hearth-tiny": ROOT / "models/hearth-tiny/tokenizer.json"}
    if args.vocab:
        jsons |= {path.parent.name: path for path in sorted(args.vocab.glob("*/tokenizer.json"))}
    for name, path in jsons.items():
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.encode_special_tokens = True
        model = folder(args.work, name, {"tokenizer.json": path})
        jobs.append((name, model, lambda text, t=tokenizer: t.encode(text, add_special_tokens=False).ids))
    for name, path in sentence_pieces(args.work):
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        model = folder(args.work, path.stem, {"tokenizer.model": path})
        jobs.append((f"tokenizer.model, {name}", model, lambda text, p=processor: p.encode(text)))

    failures = pairs(args.hearth, args.vocab, args.work) if args.vocab else 0
    for number, (name, model, reference) in enumerate(jobs):
        batch = list(texts(args.texts // len(jobs), args.seed + number, words))
        failures += compare(name, args.hearth, model, batch, args.work, reference)
    sys.exit(failures > 0)


main()
