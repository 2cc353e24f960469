"""Writes small, whole files for the fuzzers to start from.

    pip install gguf numpy && python seeds.py

They go to `corpus/<target>/`, which is not kept. Small, because a fuzzer that changes a byte of a large tensor learns
nothing.
"""

import json
import shutil
from pathlib import Path

import gguf
import numpy as np

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "tests" / "fixtures"
TENSORS = {
    "token_embd": (16, 8), "output_norm": (8,), "blk.0.attn_norm": (8,), "blk.0.attn_q": (8, 8), "blk.0.attn_k": (4, 8),
    "blk.0.attn_v": (4, 8), "blk.0.attn_output": (8, 8), "blk.0.ffn_norm": (8,), "blk.0.ffn_gate": (16, 8),
    "blk.0.ffn_up": (16, 8), "blk.0.ffn_down": (8, 16),
}


def folder(target):
    path = HERE / "corpus" / target
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_gguf(path, kind):
    """A decoder of one layer whose tokenizer is of that kind."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(32)
    writer.add_embedding_length(8)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(kind)
    tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab", "\u2581", "\u2581a", "\u0120a", "\u0120", "c", "ca", "<0x0A>", "[CLS]", "[SEP]", "##b"]
    writer.add_token_list(tokens)
    writer.add_token_types([2, 3, 3] + [1] * (len(tokens) - 4) + [1])
    if kind == "gpt2":
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_merges(["a b", "c a"])
    else:
        writer.add_token_scores([-float(i) for i in range(len(tokens))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{% for m in messages %}<s>{{ m.role }}{{ m.content }}</s>{% endfor %}")
    for name, shape in TENSORS.items():
        writer.add_tensor(name + ".weight", np.full(shape, 0.5, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def safetensors():
    """A whole file behind the byte that names it, and the JSON documents behind theirs."""
    config = json.loads((FIXTURES / "tiny-llama" / "config.json").read_text())
    header, data = {}, b""
    for name, shape in {"model.norm.weight": [8], "model.embed_tokens.weight": [4, 8]}.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + size]}
        data += bytes(size)
    text = json.dumps(header).encode()
    out = folder("safetensors")
    (out / "weights").write_bytes(b"\0" + len(text).to_bytes(8, "little") + text + data)
    (out / "config").write_bytes(b"\1" + json.dumps(config).encode())
    (out / "index").write_bytes(b"\2" + (FIXTURES / "tiny-llama-sharded" / "model.safetensors.index.json").read_bytes())
    (out / "quantised").write_bytes(quantised(config))
    (out / "generation").write_bytes(b'\3{"eos_token_id": [1, 2]}')


def quantised(config):
    """A configuration, its length in front, and strips of zeros that fit it."""
    hidden, wide, vocab = 16, 32, 16
    sizes = {"hidden_size": hidden, "intermediate_size": wide, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = config | sizes | {"num_key_value_heads": 1, "head_dim": 16, "vocab_size": vocab, "tie_word_embeddings": True}
    shapes = {f"self_attn.{name}_proj": [hidden, hidden] for name in "qkvo"}
    shapes |= {"mlp.gate_proj": [wide, hidden], "mlp.up_proj": [wide, hidden], "mlp.down_proj": [hidden, wide]}
    plain = {"model.norm.weight": [hidden], "model.embed_tokens.weight": [vocab, hidden]}
    plain |= {f"model.layers.0.{name}_layernorm.weight": [hidden] for name in ("input", "post_attention")}
    header, size, tensors = {}, 0, {}
    for name, shape in plain.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [size, size := size + 2 * int(np.prod(shape))]}
    for nth, (name, (rows, columns)) in enumerate(shapes.items()):
        bits, name = nth % 5 + 2, f"model.layers.0.{name}.weight"
        stored = [rows // 16, 32 + 2 * bits * columns]
        header[name] = {"dtype": "U8", "shape": stored, "data_offsets": [size, size := size + int(np.prod(stored))]}
        tensors[name] = {"format": "LEVELS2" if nth == 5 else f"TRELLIS{bits}", "shape": [rows, columns]}
    rotation = {"seed": 0, "residual": True, "values": True, "down_block": 32}
    own = {"quant_method": "hearth", "version": 1, "codebook": "sum7", "window_bits": 16}
    config["quantization_config"] = own | {"rotation": rotation, "tensors": tensors}
    written, text = json.dumps(config).encode(), json.dumps(header).encode()
    return b"\4" + len(written).to_bytes(2, "little") + written + len(text).to_bytes(8, "little") + text + bytes(size)


def documents():
    """A PDF of one page, which readers open although it has no table of its objects' places, and two texts."""
    page = b"BT /F1 12 Tf 20 100 Td (Hearth and home.) Tj T* [(two) -250 (lines)] TJ ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(page), page),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    pdf, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(pdf))
        pdf += b"%d 0 obj%sendobj\n" % (number, body)
    table = len(pdf)
    pdf += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(b"%010d 00000 n \n" % place for place in places)
    pdf += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, table)
    out = folder("document")
    (out / "pdf").write_bytes(b"\0" + pdf)
    (out / "markdown").write_bytes("\1# A\n\nText. *More*\n\n## B\n\n```\ncode\n```\n- one\n- zwei\n".encode())
    (out / "text").write_bytes("\2One. Two! Three?\n\n中文。\u200d\n".encode())


def main():
    documents()
    for path in (FIXTURES / "tokenizers").glob("*.model"):
        shutil.copy(path, folder("sentence_piece") / path.stem)
    for kind in ("gpt2", "llama", "bert", "t5"):
        write_gguf(folder("gguf") / kind, kind)
    safetensors()
    for path in FIXTURES.glob("*/tokenizer.json"):
        shutil.copy(path, folder("tokenizer") / path.parent.name)
    tiny = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "decoder": None, "normalizer": None,
            "post_processor": None, "truncation": None, "padding": None,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "the": 1, "##e": 2}}}
    (folder("tokenizer") / "wordpiece").write_text(json.dumps(tiny))
    template = folder("template")
    (template / "loop").write_text("{% for m in messages %}{{ m['role'] + ': ' + m.content | trim }}\n{% endfor %}")
    (template / "raise").write_text("{% if messages[0].role != 'user' %}{{ raise_exception('no') }}{% endif %}")
    (template / "macro").write_text("{% macro f(x, y=1) %}{{ x ~ y }}{% endmacro %}{{ f(messages|length) }}{{ [1,2][::-1]|tojson }}")
    (template / "time").write_text("{% set ns = namespace(n=0) %}{{ strftime_now('%d %b %Y') }}{{ range(3)|list }}{{ 'a'.split('b') }}")


main()
