"""Makes the golden logits and the greedy cases of the bundled model. Run it again whenever its weights change.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python hearth_tiny.py

It writes
- `../cases/hearth-tiny.json`: five prompts as a client sends them, their tokens, and the first 64 greedy tokens (fewer
  where the model ends its turn). Every route must give exactly these;
- `hearth-tiny.safetensors`: `<name>.ids`, `<name>.positions`, `<name>.logits` for 32 positions in all.

Devices add up in different orders, so a token may only be expected where no rounding can turn the choice: of the
candidates below those are taken whose closest decision is the clearest, and it must be clearer than 1e-3 logits.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from transformers import AutoTokenizer

import reference

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "models" / "hearth-tiny"
TOKENS = 64
MARGIN_MIN = 1e-3
LONG_TOKENS = 400

TEXTS = {
    "harbour": "The harbour lay quite still that morning, and the old man who kept the light came down the steps with "
               "his lantern still burning in his hand. He had seen something in the night,",
    "letter": "When the letter came at last, she did not open it. She set it upon the table beside the candle, and "
              "walked twice about the room before she",
    "inn": "It was past midnight when we reached the inn. The landlord, a stout and silent person, looked at our wet "
           "coats and said",
    "snow": "All that winter the snow lay deep upon the fields, and no one came up the road from the village except",
    "garden": "There was a garden behind the house, with a wall about it, and in the wall a small green door which "
              "had not been opened since",
    "captain": "The captain turned to his men. \"If any of you would go back,\" said he, \"let him go now, for "
               "to-morrow",
    "brother": "My brother and I were born in the same year, in a country where the rivers run north; but he was the "
               "elder, and so it was he who",
    "fire": "They sat a long while by the fire without speaking. At last the stranger raised his head and",
    "river": "On the other side of the river stood a mill, whose wheel had long ago ceased to turn. The people of the "
             "place believed that",
    "king": "Once there was a king who had three daughters, and the youngest of them was so wise that",
}
# One turn each, so that the command line can be asked the same.
CHATS = {
    "restaurant": "I would like to book a table for two in San Jose tonight.",
    "bus": "Can you find me a bus to Fresno?",
    "greeting": "Hello! Who are you?",
    "weather": "What will the weather be like in London tomorrow?",
    "film": "I want to see a comedy this evening in Oakland.",
    "doctor": "I need to find a dentist in Berkeley.",
    "thanks": "Thank you, that is all for today.",
    "music": "Please play a song for me.",
}


def prompts(tokenizer):
    """Every candidate: its name, the prompt as the protocol has it, and its tokens."""
    for name, text in TEXTS.items():
        yield name, {"kind": "text", "text": text}, tokenizer(text).input_ids
    for name, text in CHATS.items():
        messages = [{"role": "user", "content": text}]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        yield name, {"kind": "chat", "messages": messages}, list(ids)


def candidates(model, tokenizer, stop):
    """Every candidate with its greedy continuation, the clearest first."""
    found = []
    for name, prompt, ids in prompts(tokenizer):
        new, margin, ended = reference.greedy(model, ids, TOKENS, stop)
        print(f"{name}: {len(ids)} + {len(new)} tokens, least margin {margin:.4f}: {tokenizer.decode(new)!r}")
        found.append({
            "name": name, "prompt": prompt, "ids": ids, "greedy": new, "ends": ended is not None,
            "margin_min": round(margin, 5), "text": tokenizer.decode(new, skip_special_tokens=True)})
    return sorted(found, key=lambda case: -case["margin_min"])


def choose(found):
    """Three texts and two conversations. Short answers decide less often, so long ones come first."""
    def best(kind, count):
        of_kind = [case for case in found if case["prompt"]["kind"] == kind and case["margin_min"] > MARGIN_MIN]
        long = [case for case in of_kind if len(case["greedy"]) >= 16]
        chosen = (long + [case for case in of_kind if case not in long])[:count]
        assert len(chosen) == count, f"too few clear candidates of kind {kind}: write more of them"
        return chosen
    return best("text", 3) + best("chat", 2)


def sampled(model, ids, count):
    """A long text: the model's own, drawn with a fixed seed."""
    generator = torch.Generator().manual_seed(1)
    past, fed = None, torch.tensor([ids])
    while len(ids) < count:
        out = model(fed, past_key_values=past, use_cache=True)
        past = out.past_key_values
        token = int(torch.multinomial(torch.softmax(out.logits[0, -1], 0), 1, generator=generator))
        ids, fed = [*ids, token], torch.tensor([[token]])
    return ids


def golden(model, cases):
    """Logits at 32 positions: four or five of each case and eight of a long text."""
    tensors = {}
    sequences = [(case["name"], case["ids"] + case["greedy"], 5 - (index == 4)) for index, case in enumerate(cases)]
    sequences.append(("long", sampled(model, cases[0]["ids"], LONG_TOKENS), 8))
    for name, ids, count in sequences:
        positions = np.linspace(0, len(ids) - 1, count).round().astype(np.uint32)
        tensors[f"{name}.ids"] = np.array(ids, dtype=np.uint32)
        tensors[f"{name}.positions"] = positions
        tensors[f"{name}.logits"] = reference.logits(model, ids)[positions]
    assert sum(len(values) for name, values in tensors.items() if name.endswith(".positions")) == 32
    return tensors


def main():
    torch.set_num_threads(1)
    model = reference.build(MODEL)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    generation = json.loads((MODEL / "generation_config.json").read_text("utf-8"))
    ends = generation["eos_token_id"]
    cases = choose(candidates(model, tokenizer, ends if isinstance(ends, list) else [ends]))
    safetensors.numpy.save_file(golden(model, cases), HERE / "hearth-tiny.safetensors")
    content = {
        "model": "models/hearth-tiny",
        "weights_sha256": hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest(),
        "max_tokens": TOKENS,
        "cases": cases,
    }
    path = HERE.parent / "cases" / "hearth-tiny.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"chosen: {', '.join(case['name'] for case in cases)}; "
          f"least margin {min(case['margin_min'] for case in cases)}")


if __name__ == "__main__":
    main()
