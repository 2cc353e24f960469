"""Turns books, dialogues and small talk into streams of token ids.

    python prepare.py --books DIR --dialogues train.txt.xz --dev-dialogues dev.txt.xz \
                      --tokenizer MODEL_DIR/tokenizer.json --out TOKENS_DIR

Every stream is a flat uint16 file with, beside it, the places where a training
window may begin: the start of a paragraph for books, of a chat for chats.
"""

import argparse
import functools
import json
import multiprocessing
import os
import random
import re

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one process a core instead

import jinja2
import numpy as np
from tokenizers import Tokenizer

from chat_format import BOS, TEMPLATE, render
from corpus import BREAK, book_names, read_book, read_dialogues, read_list
from small_chats import as_messages, greeting, small_chats, system_turn

HERE = os.path.dirname(os.path.abspath(__file__))
CONTINUE = [
    "Continue this story:\n\n{p}", "Continue this story: {p}", "Continue: {p}", "Please continue the following passage.\n\n{p}", "{p}\n\nWhat happens next?",
    "Write the next paragraph.\n\n{p}", "Go on from here: {p}", "{p}", "Carry on with this story:\n\n{p}", "{p}\n\nContinue.",
]
ABOUT = [
    "Tell me a story about {k}", "Write a passage about {k}.", "Write a paragraph about {k}", "Write something about {k}", "Tell me a story with {k} in it.",
    "Write a short scene about {k}.", "Can you write about {k}?", "Tell me about {k}.",
]
OPEN = ["Tell me a story.", "Write the opening of a novel.", "Begin a story.", "Write a short scene.", "Start a story for me", "How does the story begin?", "Write the first paragraph of a story.", "Tell me a long story"]
KEYWORDS = """sea ship night horse forest king queen rain garden letter house river dog cat moon castle snow train storm island mountain desert boat fire
music war gold soldier doctor captain ghost door window road winter summer church mother father brother sister wedding money village city street dinner tea
bird wolf lion rose tree sword gun knife book picture dream voice stranger prisoner murder detective planet rocket robot machine Mars""".split()


def gather(paragraphs, start, least, most):
    """Whole paragraphs from start on, until they make `least` words; None over `most` or across a break."""
    words = 0
    for end in range(start, len(paragraphs)):
        if paragraphs[end] == BREAK:
            return None
        words += paragraphs[end].count(" ") + 1
        if words > most:
            return None
        if words >= least:
            return end + 1
    return None


def prose_chats(paragraphs, rng):
    """Chats made of a book's own text, so that asking for prose in a chat works too."""
    chats = []
    words = sum(p.count(" ") + 1 for p in paragraphs)
    for _ in range(words // 2500):
        start = rng.randrange(len(paragraphs))
        kind = rng.random()
        if kind < 0.6:  # continue what is given
            middle = gather(paragraphs, start, rng.choice([12, 40, 80]), 220)
            end = middle and gather(paragraphs, middle, rng.choice([60, 100, 150]), 260)
            if not end:
                continue
            ask = rng.choice(CONTINUE).format(p="\n\n".join(paragraphs[start:middle]))
            answer = "\n\n".join(paragraphs[middle:end])
        else:
            end = gather(paragraphs, start, rng.choice([60, 100, 150]), 260)
            if not end or paragraphs[start].startswith('"'):
                continue
            answer = "\n\n".join(paragraphs[start:end])
            present = [k for k in KEYWORDS if len(re.findall(rf"\b{k}s?\b", answer)) >= 2]
            if present:
                k = rng.choice(present)
                ask = rng.choice(ABOUT).format(k=k if k == "Mars" else rng.choice(["the ", "a "]) + k)
            elif kind < 0.7:
                ask = rng.choice(OPEN)
            else:
                continue
        chats.append((system_turn(rng) if rng.random() < 0.25 else []) + as_messages([(ask, answer)]))
    return chats


@functools.cache
def load(path):
    return Tokenizer.from_file(path)


def encode(tokenizer, texts):
    return [np.array(e.ids, np.uint16) for e in load(tokenizer).encode_batch(texts, add_special_tokens=False)]


def encode_book(job):
    tokenizer, name, paragraphs = job
    text = BOS + "\n\n".join(paragraphs)
    chats = [render(c) for c in prose_chats(paragraphs, random.Random(name))]
    return encode(tokenizer, [text])[0], encode(tokenizer, chats)


def encode_chats(job):
    tokenizer, chats = job
    return encode(tokenizer, [render(c) for c in chats])


def dress(turns, rng):
    """A dialogue, now and then behind a greeting or a system prompt."""
    hello = as_messages([greeting(rng)]) if rng.random() < 0.3 else []
    return (system_turn(rng) if rng.random() < 0.3 else []) + hello + turns


def paragraph_starts(ids, newline):
    """Where a book's paragraphs begin: after two newlines, each a token of its own."""
    return np.concatenate(([1], np.flatnonzero((ids[:-1] == newline) & (ids[1:] == newline)) + 2))


def save(out, name, pieces, starts=None):
    lengths = np.array([len(p) for p in pieces])
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    if starts is None:
        positions = offsets[:-1]
    else:
        positions = np.concatenate([o + s for o, s in zip(offsets, starts)])
    np.concatenate(pieces).tofile(os.path.join(out, name + ".bin"))
    np.save(os.path.join(out, name + ".starts.npy"), positions.astype(np.int64))
    print(f"{name}: {offsets[-1]:,} tokens, {len(pieces):,} documents, {len(positions):,} starts", flush=True)
    return int(offsets[-1])


def check_template():
    """The template that ships and the renderer used here must agree to the byte."""
    chat = [{"role": "system", "content": " s "}] + as_messages([("a\n", "b"), ("c", "d")])
    template = jinja2.Environment().from_string(TEMPLATE)
    for flag in (False, True):
        assert template.render(messages=chat, bos_token=BOS, add_generation_prompt=flag) == render(chat, flag)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", required=True)
    parser.add_argument("--dialogues", required=True)
    parser.add_argument("--dev-dialogues", required=True)
    parser.add_argument("--held-out", default=os.path.join(HERE, "held_out.txt"))
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--share", type=float, default=1.0, help="of the training books, drawn at random")
    parser.add_argument("--small-chats", type=int, default=20000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    check_template()
    os.makedirs(args.out, exist_ok=True)
    newline = load(args.tokenizer).encode("\n", add_special_tokens=False).ids[0]
    held_out = set(read_list(args.held_out))
    rng = random.Random(0)
    sizes = {"tokens": {}, "held_out": []}
    with multiprocessing.Pool(args.workers) as pool:
        cleaned = pool.imap(functools.partial(clean_one, args.books), book_names(args.books), chunksize=4)
        training, dev = [], []
        for name, paragraphs in cleaned:
            if paragraphs:
                (dev if name in held_out else training).append((args.tokenizer, name, paragraphs))
        training = sorted(shuffled(training, rng)[: round(args.share * len(training))], key=lambda job: job[1])
        results = pool.map(encode_book, training, chunksize=4)
        books = [ids for ids, _ in results]
        sizes["tokens"]["books"] = save(args.out, "books", books, [paragraph_starts(b, newline) for b in books])
        sizes["tokens"]["prose_chats"] = save(args.out, "prose_chats", shuffled([c for _, chats in results for c in chats], rng))
        dev_ids = [ids for ids, _ in pool.map(encode_book, dev)]
        sizes["tokens"]["dev_books"] = save(args.out, "dev_books", dev_ids)
        for (_, name, paragraphs), ids in zip(dev, dev_ids):
            sizes["held_out"].append({"name": name, "tokens": len(ids) - 1, "bytes": len("\n\n".join(paragraphs).encode())})

        def chats(name, items):
            parts = [(args.tokenizer, items[i : i + 500]) for i in range(0, len(items), 500)]
            pieces = [c for part in pool.map(encode_chats, parts) for c in part]
            sizes["tokens"][name] = save(args.out, name, pieces)

        chats("dialogues", shuffled([dress(d, rng) for d in read_dialogues(args.dialogues)], rng))
        dev_dialogues = list(read_dialogues(args.dev_dialogues))
        chats("dev_dialogues", dev_dialogues)
        sizes["dev_dialogue_bytes"] = sum(len(t["content"].encode()) for d in dev_dialogues for t in d)
        chats("small_chats", small_chats(args.small_chats))
    with open(os.path.join(args.out, "sizes.json"), "w", encoding="utf-8") as file:
        json.dump(sizes, file, indent=1, ensure_ascii=False)


def clean_one(folder, name):
    return name, read_book(folder, name)


def shuffled(items, rng):
    rng.shuffle(items)
    return items


if __name__ == "__main__":
    main()
