"""Writes a Llama of a given shape with random weights as GGUF: for measuring time, not for reading.

    python make_gguf.py 0.5b Q4_K OUT.gguf

Blocks are random bits with constant scales, so that every format can be written without searching for scales. The
vocabulary is bytes and made-up words: enough for both programs to open the file and to take a prompt.
"""

import argparse

import gguf
import numpy as np
from gguf import GGMLQuantizationType, TokenType

# dim, layers, heads, heads of keys and values, feed-forward width, vocabulary.
SHAPES = {
    "0.5b": (2048, 8, 32, 8, 5632, 32768),
    "1b": (2048, 16, 32, 8, 8192, 128256),
}
# Where a block has F16 scales, and their values: as large as makes the weights about 0.02.
HALVES = {
    "Q4_0": {0: 0.004},
    "Q8_0": {0: 0.0003},
    "Q4_K": {0: 0.0001, 2: 0.0008},
    "Q5_K": {0: 0.00005, 2: 0.0008},
    "Q6_K": {208: 0.00002},
    "IQ4_XS": {0: 0.00002},
}


def weights(random, kind, rows, columns):
    """Rows of random blocks."""
    elements, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    if kind.name == "F16":
        return (random.standard_normal((rows, columns), dtype=np.float32) * 0.02).astype(np.float16)
    if kind.name == "BF16":
        values = random.standard_normal((rows, columns), dtype=np.float32) * 0.02
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(rows, -1)
    blocks = random.integers(0, 256, (rows * columns // elements, block_bytes), dtype=np.uint8)
    for start, value in HALVES[kind.name].items():
        blocks[:, start:start + 2] = np.frombuffer(np.float16(value).tobytes(), np.uint8)
    return blocks.reshape(rows, -1)


def byte_tokens():
    """The characters that stand for the 256 bytes in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    characters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + nth) for nth, byte in enumerate(others)}
    return [characters[byte] for byte in range(256)]


def write(shape, format_name, out):
    """Writes the file."""
    dim, layers, heads, kv_heads, wide, vocab = SHAPES[shape]
    kind = GGMLQuantizationType[format_name]
    head_dim = dim // heads
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name(f"random-{shape}-{format_name}")
    writer.add_context_length(4096)
    writer.add_embedding_length(dim)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(wide)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(500000.0)
    writer.add_vocab_size(vocab)
    words = byte_tokens()
    tokens = [*words, "Ġw", *(f"Ġw{nth}" for nth in range(vocab - 259)), "<s>", "</s>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.NORMAL] * (vocab - 2) + [TokenType.CONTROL] * 2)
    writer.add_token_merges(["Ġ w"])
    writer.add_bos_token_id(vocab - 2)
    writer.add_eos_token_id(vocab - 1)
    writer.add_add_bos_token(False)

    def put(name, rows, columns):
        writer.add_tensor(name, weights(random, kind, rows, columns), raw_dtype=kind)

    def ones(name):
        writer.add_tensor(name, np.ones(dim, np.float32))

    put("token_embd.weight", vocab, dim)
    ones("output_norm.weight")
    for layer in range(layers):
        prefix = f"blk.{layer}."
        ones(prefix + "attn_norm.weight")
        ones(prefix + "ffn_norm.weight")
        put(prefix + "attn_q.weight", heads * head_dim, dim)
        put(prefix + "attn_k.weight", kv_heads * head_dim, dim)
        put(prefix + "attn_v.weight", kv_heads * head_dim, dim)
        put(prefix + "attn_output.weight", dim, heads * head_dim)
        put(prefix + "ffn_gate.weight", wide, dim)
        put(prefix + "ffn_up.weight", wide, dim)
        put(prefix + "ffn_down.weight", dim, wide)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("format", choices=[*HALVES, "F16", "BF16"])
    parser.add_argument("out")
    args = parser.parse_args()
    write(args.shape, args.format, args.out)


if __name__ == "__main__":
    main()
