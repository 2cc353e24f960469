"""Writes text with a finished model, through transformers.

    python sample.py --model MODEL_DIR                          the card's three samples, seeds 1, 2, 3
    python sample.py --model MODEL_DIR --prose "It was late" --seed 7
    python sample.py --model MODEL_DIR --chat "Hello!" "Find me a film" --seed 7

The card's prompts were fixed before any output was read, and nothing was drawn twice.
"""

import argparse

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

CARD = [
    (1, "prose", ["The old house at the end of the lane had been empty for twenty years, and when Margaret saw a light in its window"]),
    (2, "chat", ["Hello!", "Can you help me find a restaurant?", "Italian food in San Jose, please.", "Yes, book a table for two at 7 pm."]),
    (3, "chat", ["Continue this story: The captain came on deck at dawn. There was no wind, and the sea lay flat and grey as far as the eye could reach."]),
]


def generate(model, tokenizer, ids, seed, args):
    torch.manual_seed(seed)
    ids = torch.tensor([ids])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=args.tokens, do_sample=args.temperature > 0,
                         temperature=args.temperature or None, top_p=args.top_p)
    return tokenizer.decode(out[0, ids.shape[1]:], skip_special_tokens=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prose")
    parser.add_argument("--chat", nargs="+")
    parser.add_argument("--system")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--top-p", type=float, default=0.9)
    args = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = LlamaForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    jobs = [(args.seed, "prose", [args.prose])] if args.prose else [(args.seed, "chat", args.chat)] if args.chat else CARD
    for seed, kind, texts in jobs:
        print(f"--- seed {seed}, {kind}")
        if kind == "prose":
            ids = [tokenizer.bos_token_id] + tokenizer.encode(texts[0], add_special_tokens=False)
            print(f"[{texts[0]}]{generate(model, tokenizer, ids, seed, args)}\n")
            continue
        messages = [{"role": "system", "content": args.system}] if args.system else []
        for text in texts:  # the model answers each turn before it sees the next
            messages.append({"role": "user", "content": text})
            prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            reply = generate(model, tokenizer, tokenizer.encode(prompt, add_special_tokens=False), seed, args).strip()
            messages.append({"role": "assistant", "content": reply})
            print(f"user: {text}\nassistant: {reply}")
        print()


if __name__ == "__main__":
    main()
