"""Scores a finished model on text it has not seen, through transformers.

    python evaluate.py --model MODEL_DIR --books DIR --dev-dialogues dev.txt.xz [--wikitext wiki.test.raw]

Plain text is cut into windows of --context tokens, each behind a separator, and every
token is scored once; dialogues are scored one by one. --most takes that many windows of
each text, and that many dialogues, spread evenly: a slow machine needs hours for all. Bits per byte divide by the UTF-8
bytes of the text itself, so that models with other tokenizers can be compared.
"""

import argparse
import json
import math
import os

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from chat_format import ASSISTANT, END, render
from corpus import read_book, read_dialogues, read_list

HERE = os.path.dirname(os.path.abspath(__file__))


@torch.no_grad()
def score(model, windows, at_once):
    """Nats of every token after the first in each window, in the order given."""
    out = []
    for i in range(0, len(windows), at_once):
        chunk = windows[i : i + at_once]
        width = max(map(len, chunk))
        ids = torch.zeros(len(chunk), width, dtype=torch.long)
        for row, window in zip(ids, chunk):  # padded on the right, where causal attention cannot see it
            row[: len(window)] = torch.tensor(window)
        ids = ids.to(model.device)
        logits = model(ids[:, :-1]).logits
        nats = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(chunk), -1)
        out += [row[: len(window) - 1].cpu() for row, window in zip(nats, chunk)]
    return out


def summary(nats, tokens, size):
    return {"tokens": tokens, "bytes": size, "loss": round(nats / tokens, 4), "perplexity": round(math.exp(nats / tokens), 2),
            "bits_per_byte": round(nats / math.log(2) / size, 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--books", required=True)
    parser.add_argument("--dev-dialogues", required=True)
    parser.add_argument("--wikitext")
    parser.add_argument("--held-out", default=os.path.join(HERE, "held_out.txt"))
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--most", type=int, default=10**9)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out")
    args = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = LlamaForCausalLM.from_pretrained(args.model, dtype=torch.float32).to(args.device).eval()
    bos = tokenizer.bos_token_id

    def spread(items):
        """At most args.most of the items, evenly spaced."""
        count = min(args.most, len(items))
        return [items[i * len(items) // count] for i in range(count)]

    def text(content):
        ids = tokenizer.encode(content, add_special_tokens=False)
        pieces = spread([ids[i : i + args.context] for i in range(0, len(ids), args.context)])
        nats = score(model, [[bos] + piece for piece in pieces], args.at_once)
        # Byte-level tokens stand for their bytes one to one, so pieces can be measured alone.
        size = sum(len(token) for piece in pieces for token in tokenizer.convert_ids_to_tokens(piece))
        return sum(n.sum().item() for n in nats), sum(map(len, pieces)), size

    report = {}

    def add(name, *numbers):
        report[name] = summary(*numbers)
        print(name, json.dumps(report[name]), flush=True)

    totals = []
    for name in read_list(args.held_out):
        totals.append(text("\n\n".join(read_book(args.books, name))))
        add(name, *totals[-1])
    add("all held-out books", *map(sum, zip(*totals)))

    dialogues = sorted(spread(list(read_dialogues(args.dev_dialogues))), key=lambda d: sum(len(t["content"]) for t in d))
    windows = [tokenizer.encode(render(d), add_special_tokens=False) for d in dialogues]
    assistant, end = (tokenizer.convert_tokens_to_ids(t) for t in (ASSISTANT, END))
    everything, replies = [0.0, 0, 0], [0.0, 0, 0]
    for dialogue, window, nats in zip(dialogues, windows, score(model, windows, args.at_once)):
        inside, mask = False, []
        for token in window:  # a reply is what follows <|assistant|>, its <|end|> included
            mask.append(inside)
            inside = token == assistant or (inside and token != end)
        mask = torch.tensor(mask[1:])
        size = [sum(len(t["content"].encode()) for t in dialogue if t["role"] in roles) for roles in (("user", "assistant"), ("assistant",))]
        for total, picked, bytes_ in ((everything, nats, size[0]), (replies, nats[mask], size[1])):
            total[0] += picked.sum().item()
            total[1] += len(picked)
            total[2] += bytes_
    add("dev dialogues, every token", *everything)
    add("dev dialogues, replies alone", *replies)

    if args.wikitext:
        with open(args.wikitext, encoding="utf-8") as file:
            add("WikiText-2 test, raw", *text(file.read()))
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1, ensure_ascii=False)


if __name__ == "__main__":
    main()
