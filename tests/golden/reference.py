"""The reference: transformers in float32 on a CPU. Everything here is independent of the engine."""

import numpy as np
import torch
from transformers import AutoConfig, LlamaForCausalLM

torch.set_grad_enabled(False)
torch.use_deterministic_algorithms(True)


def build(folder, state=None):
    """The model of a folder in Hugging Face layout in float32; with other weights if `state` is given."""
    if state is None:
        return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model = LlamaForCausalLM(AutoConfig.from_pretrained(folder)).to(torch.float32).eval()
    tensors = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in state.items()}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return model


def logits(model, ids):
    """(positions, vocabulary): the logits at every position of a prompt."""
    return model(torch.tensor([ids])).logits[0].to(torch.float32).numpy()


def greedy(model, ids, count, stop=()):
    """The first `count` greedy tokens, and the least lead that any of them had over the second best, in logits."""
    new, past, fed = [], None, ids
    while len(new) < count:
        out = model(torch.tensor([fed]), past_key_values=past, use_cache=True)
        past, fed = out.past_key_values, [int(out.logits[0, -1].argmax())]
        if fed[0] in stop:
            break
        new += fed
    ended = fed[0] if fed[0] in stop else None
    # Once more without the cache, all tokens at a time: what is written down does not rest on it.
    chosen = new + ([ended] if ended is not None else [])
    rows = logits(model, ids + chosen)[len(ids) - 1:-1]
    assert rows.argmax(axis=-1).tolist() == chosen, "with and without the cache the tokens differ"
    second, first = np.sort(rows, axis=-1)[:, -2:].T
    return new, float((first - second).min()), ended
