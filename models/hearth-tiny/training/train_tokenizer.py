"""Trains the byte-level BPE tokenizer and writes the model's small Hugging Face files.

    python train_tokenizer.py --books DIR --dialogues train.txt.xz --out MODEL_DIR

The pre-tokenizer is GPT-2's (ByteLevel with its own regex), so runtimes that know
"gpt-2" cut text into the same pieces. Nothing is normalised: any bytes come back.
"""

import argparse
import json
import os
import random

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from chat_format import BOS, END, SPECIAL_TOKENS, TEMPLATE
from corpus import book_names, read_book, read_dialogues, read_list
from model import CONFIG

HERE = os.path.dirname(os.path.abspath(__file__))


def sample_text(books, dialogues, held_out, megabytes):
    """Whole books in random order up to the size wanted, then every dialogue."""
    names = [name for name in book_names(books) if name not in held_out]
    random.Random(0).shuffle(names)
    left = megabytes * 1_000_000
    for name in names:
        if left <= 0:
            break
        text = "\n\n".join(read_book(books, name))
        left -= len(text)
        yield text
    for turns in read_dialogues(dialogues):
        for turn in turns:
            yield turn["content"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", required=True)
    parser.add_argument("--dialogues", required=True)
    parser.add_argument("--held-out", default=os.path.join(HERE, "held_out.txt"))
    parser.add_argument("--megabytes", type=int, default=80)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=CONFIG["vocab_size"], min_frequency=2, show_progress=False,
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    held_out = set(read_list(args.held_out))
    tokenizer.train_from_iterator(
        sample_text(args.books, args.dialogues, held_out, args.megabytes), trainer)
    assert tokenizer.get_vocab_size() == CONFIG["vocab_size"]
    # Every text the model read began with this token, so every text it continues shall begin with it too.
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B:1", special_tokens=[(BOS, tokenizer.token_to_id(BOS))])

    os.makedirs(args.out, exist_ok=True)
    tokenizer.save(os.path.join(args.out, "tokenizer.json"))
    bos, end = (tokenizer.token_to_id(t) for t in (BOS, END))
    files = {
        "config.json": CONFIG,
        "generation_config.json": {
            "bos_token_id": bos, "eos_token_id": [end, bos], "pad_token_id": tokenizer.token_to_id("<|pad|>"),
            "do_sample": True, "temperature": 0.7, "top_p": 0.9,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": CONFIG["max_position_embeddings"],
            "bos_token": BOS, "eos_token": END, "pad_token": "<|pad|>",
            "add_bos_token": True, "clean_up_tokenization_spaces": False,
            "additional_special_tokens": SPECIAL_TOKENS[1:4] + SPECIAL_TOKENS[6:],
            "chat_template": TEMPLATE,
        },
    }
    for name, content in files.items():
        with open(os.path.join(args.out, name), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, ensure_ascii=False)
            file.write("\n")


if __name__ == "__main__":
    main()
