"""Writes `trellis-encode.safetensors`: tiles of numbers, and the rings that the encoder must find for them.

    venv/bin/python trellis_encode.py

Written from the definition in `docs/quantization.md`, over all windows of every weight, and never from the
quantizer. For each case `<codebook>.<window_bits>.<K>` there are `numbers` (F32, TILES x 256, the rows' scales taken
away) and `rings` (U8, TILES x 32 K).
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

MULTIPLIER = 0x83DCD12D
# The mask of the product, what is taken from the sum of its bytes, and what the number is multiplied with.
CODEBOOKS = {"sum7": (0x7F7F7F7F, 254, 2.0**-6), "sum6": (0x3F3F3F3F, 126, 2.0**-5)}
CASES = [("sum7", 12), ("sum7", 16), ("sum6", 14)]
TILES, WEIGHTS, SEAM = 3, 256, 32
MOST = 0xFFFF
MARGIN = 8192

random = np.random.default_rng(20261125)


def level(number):
    """In steps of 1/4096 around 32768, the nearest or else the even one."""
    return int(min(max(np.rint(np.float32(number) * np.float32(4096) + np.float32(32768)), 0), MOST))


def levels(codebook, window_bits):
    mask, offset, unit = CODEBOOKS[codebook]
    products = [window * MULTIPLIER % 2**32 & mask for window in range(2**window_bits)]
    sums = [sum(product.to_bytes(4, "little")) for product in products]
    return np.array([level((total - offset) * unit) for total in sums], dtype=np.int64)


def saturate(costs):
    return np.minimum(costs, MOST)


def distance(k, target, of_windows):
    apart = np.abs(of_windows - target)
    for _ in range(k - 2):
        apart = saturate(2 * apart)
    return apart * apart // 65536


def recur(k, targets, of_windows, cost):
    """The costs of the first weight's windows, and the best way on from each window of each weight."""
    window_count = len(of_windows)
    groups = window_count // 2**k
    group_of = np.arange(window_count) // 2**k
    ways, least = [], 0
    for target in reversed(targets):
        # A window's ways on: new bits above those that it shares with the next.
        choices = cost.reshape(2**k, groups)
        way = np.argmin(choices, axis=0)
        best = np.maximum(np.min(choices, axis=0) - least, 0)
        cost = saturate(best[group_of] + distance(k, target, of_windows))
        ways.append(way[group_of] * groups + group_of)
        least = int(cost.min())
    return cost, ways[::-1]


def ring(k, numbers, codebook, of_windows):
    _, offset, unit = CODEBOOKS[codebook]
    farthest = int(offset * unit * 4096) + MARGIN // 2 ** (k - 2)
    targets = [min(max(level(number), 32768 - farthest), 32768 + farthest) for number in numbers]
    shared_count = len(of_windows) // 2**k
    # The seam alone, as if there were no ring.
    rolled = targets[-SEAM:] + targets[:SEAM]
    cost, ways = recur(k, rolled, of_windows, np.zeros(len(of_windows), dtype=np.int64))
    window = int(np.argmin(cost))
    for way in ways[:SEAM]:
        window = int(way[window])
    shared = window % shared_count
    # All weights, between windows that share those bits.
    allowed = np.arange(len(of_windows)) % shared_count == shared
    cost, ways = recur(k, targets, of_windows, np.where(allowed, 0, MOST))
    window = int(np.argmin(np.where(allowed, cost, MOST + 1)))
    bits = 0
    for weight, way in enumerate(ways):
        bits |= (window % 2**k) << (weight * k)
        window = int(way[window])
    return np.frombuffer(bits.to_bytes(32 * k, "little"), dtype=np.uint8)


def tiles():
    """What is usual; what is out of reach, with numbers in the middle between two; zeros and what is far out of reach."""
    usual = random.standard_normal(WEIGHTS)
    far = random.standard_normal(WEIGHTS) * np.where(random.random(WEIGHTS) < 0.1, 6, 1)
    far[::5] = np.rint(far[::5] * 4096 + 0.5) / 4096 - 0.5 / 4096
    zeros = np.where(np.arange(WEIGHTS) % 64 < 16, 20 * random.standard_normal(WEIGHTS), 0)
    return np.stack([usual, far, zeros]).astype(np.float32)


def main():
    tensors = {}
    for codebook, window_bits in CASES:
        of_windows = levels(codebook, window_bits)
        for k in range(2, 7):
            numbers = tiles()
            case = f"{codebook}.{window_bits}.{k}"
            tensors[f"{case}.numbers"] = numbers
            tensors[f"{case}.rings"] = np.stack([ring(k, row, codebook, of_windows) for row in numbers])
    save_file(tensors, Path(__file__).parent / "trellis-encode.safetensors")


if __name__ == "__main__":
    main()
