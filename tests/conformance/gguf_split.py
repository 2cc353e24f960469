"""Writes a tiny model as a split GGUF, with gguf-py's own writer: the independent proof that parts are read right.

    python tests/conformance/gguf_split.py

makes tests/fixtures/tiny-llama-split-0000N-of-00003.gguf from tests/fixtures/tiny-llama-q8_0.gguf. Needs gguf 0.17 or
newer. As in files of llama.cpp's own splitter, the model's description stands in the first part alone.
"""

from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter

FIXTURES = Path(__file__).parent.parent / "fixtures"
WHOLE = FIXTURES / "tiny-llama-q8_0.gguf"
PARTS = 3


def main() -> None:
    reader = GGUFReader(WHOLE)
    per_part = -(-len(reader.tensors) // PARTS)
    architecture = reader.fields["general.architecture"].contents()
    writer = GGUFWriter(FIXTURES / "tiny-llama-split.gguf", architecture, split_max_tensors=per_part)
    for key, field in reader.fields.items():
        # The first are the file's own; the writer has written the architecture.
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        value_type = field.types[0]
        sub_type = field.types[-1] if value_type == GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), value_type, sub_type=sub_type)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts = sorted(FIXTURES.glob("tiny-llama-split-*.gguf"))
    assert len(parts) == PARTS, parts
    for part in parts:
        read = GGUFReader(part)
        split = {key: read.fields[key].contents() for key in read.fields if key.startswith("split.")}
        print(part.name, part.stat().st_size, "bytes,", len(read.tensors), "tensors,", split)


if __name__ == "__main__":
    main()
