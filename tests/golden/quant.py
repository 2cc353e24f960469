"""Writes `quant.gguf`: stored blocks of every format, and what the `gguf` package makes of them.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python quant.py

For each format there are four tensors: `<format>.stored` and `<format>.decoded` (F32), random blocks and extreme ones;
`<format>.source` (F32) and `<format>.encoded`, numbers that fall on the edges of rounding. The metadata holds a value
of each type. The engine's tests read the file with the engine's own reader, decoder and encoder.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Value

COLUMNS = 64
ROWS = 16
BLOCK = 32
# F16: zeros, least and greatest subnormals, least normal, one, greatest, and their negatives.
SCALES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF]

random = np.random.default_rng(20261123)


def finite_halves(count):
    """Random F16 bit patterns without infinities and NaN, behind the extreme ones."""
    bits = random.integers(0, 1 << 16, count, dtype=np.uint16)
    bits = np.where((bits & 0x7C00) == 0x7C00, bits & 0x83FF, bits)
    bits[: len(SCALES)] = SCALES
    return bits


def stored(format):
    """(rows, bytes a row) of blocks that no encoder would make."""
    count = ROWS * COLUMNS
    if format == Type.F32:
        bits = random.integers(0, 1 << 32, count, dtype=np.uint32)
        bits = np.where((bits & 0x7F800000) == 0x7F800000, bits & 0x807FFFFF, bits)
        return bits.view(np.uint8).reshape(ROWS, -1)
    if format == Type.F16:
        return finite_halves(count).view(np.uint8).reshape(ROWS, -1)
    if format == Type.BF16:
        bits = random.integers(0, 1 << 16, count, dtype=np.uint16)
        bits = np.where((bits & 0x7F80) == 0x7F80, bits & 0x807F, bits)
        return bits.view(np.uint8).reshape(ROWS, -1)
    quants = random.integers(0, 256, (count // BLOCK, 32 if format == Type.Q8_0 else 16), dtype=np.uint8)
    quants[0], quants[1], quants[2] = 0x00, 0xFF, 0x80
    quants[12:24] = [[(17 * row + column) % 256 for column in range(quants.shape[1])] for row in range(12)]
    scales = finite_halves(count // BLOCK).view(np.uint8).reshape(-1, 2)
    return np.concatenate([scales, quants], axis=1).reshape(ROWS, -1)


def source():
    """(rows, columns) of numbers that fall on the edges of rounding."""
    rows = random.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    rows[0] = 0
    rows[1] = 1.5
    rows[2] = -np.arange(COLUMNS) / 8
    rows[3] = (np.arange(COLUMNS) - 31.5) / 2
    rows[3, [0, 32]] = [127, -127]
    rows[4] = 0
    rows[4, [5, 40]] = [-3.25, 1e-3]
    rows[5] = np.where(np.arange(COLUMNS) % 2, 8, -8)
    rows[6] = np.where(np.arange(COLUMNS) % 2, -8, 8)
    rows[7] *= 20000
    rows[8] *= 1e-4
    rows[9] = 1 + np.arange(COLUMNS) / 4096
    rows[10] = 1 + np.arange(COLUMNS) / 512
    return rows


def main():
    writer = gguf.GGUFWriter(Path(__file__).with_name("quant.gguf"), "quant")
    for key, value, type in [
        ("u8", 255, Value.UINT8), ("i8", -128, Value.INT8), ("u16", 65535, Value.UINT16), ("i16", -32768, Value.INT16),
        ("u32", 2**32 - 1, Value.UINT32), ("i32", -(2**31), Value.INT32), ("u64", 2**64 - 1, Value.UINT64),
        ("i64", -(2**63), Value.INT64), ("f32", 0.1, Value.FLOAT32), ("f64", 0.1, Value.FLOAT64),
        ("bool", True, Value.BOOL), ("string", "héarth", Value.STRING),
    ]:
        writer.add_key_value(f"one.{key}", value, type)
    for key, values in [("i32s", [-1, 0, 1]), ("f32s", [0.5, -0.25]), ("strings", ["", "a", "héarth"]),
                        ("bools", [True, False]), ("nested", [[1, 2], [3]])]:
        writer.add_array(f"many.{key}", values)
    for format in [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0]:
        name = format.name
        blocks = stored(format)
        writer.add_tensor(f"{name}.stored", blocks, raw_dtype=format)
        writer.add_tensor(f"{name}.decoded", gguf.dequantize(blocks, format).astype(np.float32))
        numbers = source()
        writer.add_tensor(f"{name}.source", numbers)
        writer.add_tensor(f"{name}.encoded", gguf.quantize(numbers, format).view(np.uint8), raw_dtype=format)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
