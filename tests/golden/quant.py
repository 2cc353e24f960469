"""Writes `quant.gguf` and `quant_256.gguf`: stored blocks of every format, and what the `gguf` package makes of them.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python quant.py

For each format there are two tensors, `<format>.stored` and `<format>.decoded` (F32): random blocks and extreme ones. For
those that the engine writes there is `<format>.encoded` too, made of `source` (F32), numbers that fall on the edges of
rounding. The second file has the formats whose blocks hold 256 elements. The metadata of the first holds a value of each
type. The engine's tests read the files with the engine's own reader, decoder and encoder.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Value

COLUMNS = 64
ROWS = 16
# Where a block has its F16 scales, in bytes; other bytes are random.
SCALES_AT = {
    Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.IQ4_NL: [0], Type.MXFP4: [],
    Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208], Type.IQ4_XS: [0],
    Type.IQ3_XXS: [0], Type.IQ3_S: [0], Type.IQ2_XXS: [0], Type.IQ2_XS: [0], Type.IQ2_S: [0], Type.TQ1_0: [52],
    Type.TQ2_0: [64],
}
WRITTEN = [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.TQ1_0, Type.TQ2_0,
           Type.MXFP4]
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
    elements, size = gguf.GGML_QUANT_SIZES[format]
    count = 20 if elements == 256 else count // elements
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    blocks[0], blocks[1], blocks[2] = 0x00, 0xFF, 0x80
    blocks[12:16] = [[(17 * row + column) % 256 for column in range(size)] for row in range(4)]
    blocks[16], blocks[17] = 0xFF, 0x00
    if format == Type.MXFP4:
        # The exponents at the edges: subnormal, and so large that products overflow.
        blocks[:16, 0] = [0, 0, 1, 1, 2, 2, 3, 126, 127, 128, 200, 252, 253, 254, 255, 255]
    for place, at in enumerate(SCALES_AT[format]):
        # The second scale of a block is another extreme than the first.
        scales = np.roll(finite_halves(count), 5 * place) if place else finite_halves(count)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(4 if elements == 256 else ROWS, -1)


def source():
    """(ROWS, COLUMNS) of numbers that fall on the edges of rounding."""
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
    add_formats(writer, [Type.F32, Type.F16, Type.BF16, *(f for f in SCALES_AT if gguf.GGML_QUANT_SIZES[f][0] == 32)], source())
    finish(writer)
    writer = gguf.GGUFWriter(Path(__file__).with_name("quant_256.gguf"), "quant")
    add_formats(writer, [f for f in SCALES_AT if gguf.GGML_QUANT_SIZES[f][0] == 256], source().reshape(-1, 256))
    finish(writer)


def add_formats(writer, formats, numbers):
    writer.add_tensor("source", numbers)
    for format in formats:
        name = format.name
        blocks = stored(format)
        writer.add_tensor(f"{name}.stored", blocks, raw_dtype=format)
        writer.add_tensor(f"{name}.decoded", gguf.dequantize(blocks, format).astype(np.float32))
        if format in WRITTEN:
            writer.add_tensor(f"{name}.encoded", gguf.quantize(numbers, format).view(np.uint8), raw_dtype=format)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
