"""Writes `trellis.safetensors`: random strips of every trellis format, and the weights that the formula gives.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python trellis.py

Written from the formula in `docs/formats/trellis.md`, one weight at a time on Python's whole numbers, and never from
the engine: slow, and hard to get wrong. Besides `trellis<K>.stored` (U8) there is for each codebook and width of the
window `trellis<K>.<codebook>.<window_bits>` (F32, ROWS x COLUMNS). The last strip has rows that no matrix has.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

ROWS, COLUMNS = 20, 48
MULTIPLIER = 0x83DCD12D
# The mask of the product, what is taken from the sum of its bytes, and what the number is multiplied with.
CODEBOOKS = {"sum7": (0x7F7F7F7F, 254, 2.0**-6), "sum6": (0x3F3F3F3F, 126, 2.0**-5)}
# F16: zeros, least and greatest subnormals, least normal, one, greatest, and their negatives.
SCALES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF]

random = np.random.default_rng(20261124)


def strip(k):
    """Random bits behind finite scales."""
    scales = random.integers(0, 0x7C00, 16, dtype=np.uint16)
    scales[: len(SCALES)] = SCALES
    random.shuffle(scales)
    tiles = random.integers(0, 256, COLUMNS // 16 * 32 * k, dtype=np.uint8)
    return np.concatenate([scales.view(np.uint8), tiles])


def weight(strips, k, codebook, window_bits, row, column):
    """One weight of a matrix."""
    mask, offset, unit = CODEBOOKS[codebook]
    stored = strips[row // 16]
    scale = float(stored[:32].view(np.float16)[row % 16])
    tile = stored[32 + column // 16 * 32 * k :][: 32 * k]
    ring = int.from_bytes(tile.tobytes(), "little")
    ring |= ring << (256 * k)
    t = 16 * (column % 16) + row % 16
    window = (ring >> (t * k)) % 2**window_bits
    product = window * MULTIPLIER % 2**32 & mask
    return scale * (sum(product.to_bytes(4, "little")) - offset) * unit


def main():
    tensors = {}
    for k in range(2, 7):
        strips = np.stack([strip(k) for _ in range(-(-ROWS // 16))])
        tensors[f"trellis{k}.stored"] = strips
        for codebook in CODEBOOKS:
            for window_bits in (12, 14, 16):
                place = (strips, k, codebook, window_bits)
                weights = [[weight(*place, row, column) for column in range(COLUMNS)] for row in range(ROWS)]
                exact = np.array(weights, dtype=np.float64)
                rounded = exact.astype(np.float32)
                assert (rounded == exact).all(), "a weight needs more bits than an F32 has"
                tensors[f"trellis{k}.{codebook}.{window_bits}"] = rounded
    save_file(tensors, Path(__file__).with_name("trellis.safetensors"))


if __name__ == "__main__":
    main()
