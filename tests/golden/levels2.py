"""Writes `levels2.safetensors`: random strips of LEVELS2, and the weights that they stand for.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python levels2.py

Written from `docs/formats/levels2.md`, one weight at a time on Python's whole numbers, and never from the engine. Beside
`levels2.stored` (U8) there is `levels2.weights` (F32, ROWS x COLUMNS). The last strip has rows that no matrix has.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

ROWS, COLUMNS = 37, 80
LEVELS = [-3, -1, 1, 3]
# F16: zeros, least and greatest subnormals, least normal, one, greatest, and their negatives.
SCALES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF]


def strip(random):
    """Random bits behind finite scales."""
    scales = random.integers(0, 0x7C00, 16, dtype=np.uint16)
    scales[: len(SCALES)] = SCALES
    random.shuffle(scales)
    return scales.tobytes() + random.bytes(4 * COLUMNS)


def weight(strips, row, column):
    """One weight of a matrix."""
    stored = strips[row // 16]
    scale = float(np.frombuffer(stored[:32], dtype="<f2")[row % 16])
    word = 32 + 64 * (column // 16) + 4 * (row % 16)
    # A byte holds four columns that are four apart.
    byte = stored[word + column % 4]
    return scale * LEVELS[byte // 4 ** (column % 16 // 4) % 4]


def main():
    random = np.random.default_rng(20261125)
    strips = [strip(random) for _ in range(-(-ROWS // 16))]
    exact = np.array([[weight(strips, row, column) for column in range(COLUMNS)] for row in range(ROWS)])
    rounded = exact.astype(np.float32)
    assert (rounded == exact).all(), "a weight needs more bits than an F32 has"
    stored = np.stack([np.frombuffer(strip, dtype=np.uint8) for strip in strips])
    save_file({"levels2.stored": stored, "levels2.weights": rounded}, Path(__file__).with_name("levels2.safetensors"))


if __name__ == "__main__":
    main()
