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
    new, margin = [], float("inf")
    for _ in range(count):
        # The whole text anew for each token: slower than a cache, and one thing less to trust.
        last = logits(model, ids + new)[-1]
        second, first = np.sort(last)[-2:]
        margin = min(margin, float(first - second))
        token = int(last.argmax())
        if token in stop:
            return new, margin, token
        new.append(token)
    return new, margin, None
