"""Weights of about two bits while they are trained: rounded in the forward pass, whole in the backward pass.

The matrices keep their full-precision values ("latent") and are used as they would be
stored: the gradient goes past the rounding as if it were not there (Bengio et al. 2013,
"straight-through"). A row's scale follows its root mean square, times a gain that is
trained. What is stored is what Hearth reads: LEVELS2, TQ1_0 and Q4_0
(docs/formats of the repository say it byte by byte; `pack.py` writes them).
"""

import torch
import torch.nn.functional as F
from torch import nn

# Scales of least squared error for a normal distribution of deviation 1.
FOUR_LEVELS = 0.498  # levels -3, -1, 1, 3
THREE_LEVELS = 1.224  # levels -1, 0, 1; halfway to the outer ones it rounds to nothing

# Bits a weight: 2 + 16 / columns and 1.6875. Ternary gates bring the average of all linear layers below 2.
FORMATS = {
    "q_proj": "LEVELS2", "k_proj": "LEVELS2", "v_proj": "LEVELS2", "o_proj": "LEVELS2",
    "gate_proj": "TQ1_0", "up_proj": "LEVELS2", "down_proj": "LEVELS2",
}


def straight_through(rounded, latent):
    return latent + (rounded - latent).detach()


def row_scale(latent, gain, unit):
    return gain * unit * latent.square().mean(1, keepdim=True).add(1e-12).sqrt()


def indices(latent, scale, levels):
    """Which level each weight is rounded to: 0 to 3, or -1 to 1."""
    if levels == 4:
        return torch.clamp(torch.floor(latent / (2 * scale)) + 2, 0, 3)
    return torch.clamp(torch.round(latent / scale), -1, 1)


class LowBits(nn.Module):
    """A linear layer without a bias whose weights have four levels, or three."""

    def __init__(self, linear, levels):
        super().__init__()
        self.levels, self.unit = levels, FOUR_LEVELS if levels == 4 else THREE_LEVELS
        self.latent = nn.Parameter(linear.weight.detach().float().clone())
        self.gain = nn.Parameter(torch.ones(len(self.latent), 1, device=self.latent.device))

    @property
    def weight(self):
        scale = row_scale(self.latent, self.gain, self.unit)
        index = indices(self.latent, scale, self.levels).detach()
        level = 2 * index - 3 if self.levels == 4 else index
        # Past the outer levels a weight has nothing to gain from going on, so it gets no gradient there.
        inside = (self.latent.abs() <= scale * (4 if self.levels == 4 else 1.5)).float().detach()
        return scale * level + (self.latent - self.latent.detach()) * inside

    def forward(self, x):
        return F.linear(x, self.weight)


def q4_0(table):
    """Q4_0 as llama.cpp rounds it: blocks of 32, the number farthest from zero becomes -8."""
    blocks = table.float().reshape(-1, 32)
    far = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    d = (far / -8).half().float()
    inverse = torch.where(far == 0, torch.zeros_like(far), 1 / torch.where(far == 0, torch.ones_like(far), far / -8))
    index = torch.clamp(torch.floor(blocks * inverse + 8.5), 0, 15)
    return d, index


def rounded_table(table):
    d, index = q4_0(table.detach())
    return straight_through((d * (index - 8)).view_as(table), table)


def lower(model):
    """Replaces the linear layers of a `Llama` in place. Its table is rounded where it is used."""
    for layer in model.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name, child in list(part.named_children()):
                setattr(part, name, LowBits(child, 4 if FORMATS[name] == "LEVELS2" else 3))
    return model
