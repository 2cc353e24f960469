"""Makes tiny decoders that turn texts into vectors, with random weights, and their golden vectors. The files are
committed.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python decoder_embedder.py

It writes
- `../fixtures/tiny-qwen3-embedding/`: as Qwen3-Embedding is published: Qwen3 in BF16 without a head, names without
  "model." in front, a token behind each text, the last token's vector, an instruction before a question;
- `../fixtures/tiny-qwen3-embedding.gguf`: the same numbers as llama.cpp's converter lays them down;
- `../fixtures/tiny-gte-qwen2/`: as gte-Qwen2 is: Qwen2 whose tokens see the whole text (`is_causal` false), with its
  head, which is not read;
- `<name>.safetensors`: `<text>.mean`, `<text>.cls`, `<text>.last`, not normalised, as transformers computes them in
  float32;
- `../cases/decoder_embedders.json`: the texts, their ids, and whether they were cut.
"""

import json
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import safetensors.numpy
import torch
from tokenizers import processors
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures"
sys.path += [str(HERE), str(FIXTURES), str(HERE.parent / "conformance")]

import architectures  # noqa: E402
import encoder  # noqa: E402
import gguf_architectures  # noqa: E402
import make  # noqa: E402
from gguf_export import add_tokenizer, encode  # noqa: E402

TOKENS_MAX = encoder.TOKENS_MAX
PROMPTS = {"query": "Instruct: Find it\nQuery:", "document": ""}
QWEN3 = architectures.BASE | {
    "model_type": "qwen3", "head_dim": 24, "num_hidden_layers": 2, "tie_word_embeddings": True,
    "rope_parameters": {"rope_theta": 1e6}}
QWEN2 = architectures.BASE | {
    "model_type": "qwen2", "num_hidden_layers": 2, "is_causal": False, "rope_parameters": {"rope_theta": 1e6}}


def tokenizer_with_end():
    """Behind each text stands the token of number 0."""
    tokenizer = make.make_tokenizer(architectures.BASE["vocab_size"], make.pre_tokenizers.ByteLevel.alphabet())
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", pair="$A <|endoftext|> $B:1 <|endoftext|>:1", special_tokens=[("<|endoftext|>", 0)])
    return tokenizer


def save(folder, config, kind):
    model = kind.from_config(AutoConfig.for_model(**config), attn_implementation="eager").to(torch.float32).eval()
    architectures.randomise(model, config, 7)
    with tempfile.TemporaryDirectory() as saved:
        model.to(torch.bfloat16).save_pretrained(saved)
        (folder / "model.safetensors").write_bytes((Path(saved) / "model.safetensors").read_bytes())
        settings = json.loads((Path(saved) / "config.json").read_text("utf-8"))
    settings.pop("transformers_version")
    (folder / "config.json").write_text(json.dumps(settings, indent=1) + "\n", "utf-8")


def write_sentence_files(folder, hidden):
    encoder.write_json(folder, "modules.json", [
        {"idx": index, "name": str(index), "path": f"{index}_{kind}" if index else "",
         "type": f"sentence_transformers.models.{kind}"} for index, kind in enumerate(["Transformer", "Pooling", "Normalize"])])
    encoder.write_json(folder, "1_Pooling/config.json", {
        "word_embedding_dimension": hidden, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False,
        "pooling_mode_lasttoken": True, "include_prompt": True})
    encoder.write_json(folder, "sentence_bert_config.json", {"max_seq_length": TOKENS_MAX, "do_lower_case": False})
    encoder.write_json(folder, "config_sentence_transformers.json", {"prompts": PROMPTS, "default_prompt_name": None})


def golden(name, folder, texts):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tensors, cases = {}, {}
    for case, text in texts.items():
        whole = tokenizer(text).input_ids
        # What is cut is the text, never the token behind it.
        ids = whole if len(whole) <= TOKENS_MAX else whole[:TOKENS_MAX - 1] + whole[-1:]
        hidden = model(torch.tensor([ids])).last_hidden_state[0].numpy()
        vectors = {"mean": hidden.astype(np.float64).mean(axis=0), "cls": hidden[0], "last": hidden[-1]}
        tensors |= {f"{case}.{pooling}": vector.astype(np.float32) for pooling, vector in vectors.items()}
        cases[case] = {"text": text, "ids": ids, "truncated": len(whole) > len(ids)}
    assert [case["truncated"] for case in cases.values()].count(True) >= 1
    safetensors.numpy.save_file(tensors, HERE / f"{name}.safetensors")
    print(f"{name}: {sum(case.stat().st_size for case in folder.rglob('*') if case.is_file())} bytes")
    return cases


def write_gguf(folder, out):
    config, state = gguf_architectures.load(folder)
    writer = gguf.GGUFWriter(out, "qwen3")
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    gguf_architectures.add_sizes(writer, config)
    gguf_architectures.add_rope(writer, config)
    writer.add_pooling_type(gguf.PoolingType.LAST)
    add_tokenizer(writer, folder, config["vocab_size"])
    writer.add_add_eos_token(True)
    named = {f"model.{name}": weights for name, weights in state.items()}
    for name, weights in gguf_architectures.tensors(config, named):
        stored, kind = encode(weights, gguf.GGMLQuantizationType.BF16)
        writer.add_tensor(name, stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{out.name}: {out.stat().st_size} bytes")


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    tokenizer = tokenizer_with_end()
    cases = {}
    for name, config, kind in [
        ("tiny-qwen3-embedding", QWEN3, AutoModel), ("tiny-gte-qwen2", QWEN2, AutoModelForCausalLM),
    ]:
        folder = make.write_folder(name, config, tokenizer)
        settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        # The token behind each text is EOS, as in the files of these models.
        settings["eos_token"] = "<|endoftext|>"
        encoder.write_json(folder, "tokenizer_config.json", settings)
        save(folder, config, kind)
        write_sentence_files(folder, config["hidden_size"])
        texts = encoder.TEXTS | {"query": PROMPTS["query"] + encoder.TEXTS["question"]}
        cases[name] = golden(name, folder, texts)
    write_gguf(FIXTURES / "tiny-qwen3-embedding", FIXTURES / "tiny-qwen3-embedding.gguf")
    text = json.dumps(cases, indent=1, ensure_ascii=False) + "\n"
    (HERE.parent / "cases" / "decoder_embedders.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
