"""Makes the tiny encoders with random weights and their golden vectors. The files are committed.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python encoder.py

It writes
- `../fixtures/tiny-bert/`: WordPiece, exact GELU, F16, with the files of sentence-transformers (first token, at most 40
  tokens, words before a question);
- `../fixtures/tiny-bert.gguf`: the same numbers under GGUF's names;
- `../fixtures/tiny-roberta/`: byte-level BPE, GELU by tanh, F32, positions behind the padding token's, names with a
  prefix, and nothing said about pooling;
- `tiny-bert.safetensors`, `tiny-roberta.safetensors`: `<text>.mean`, `<text>.cls`, `<text>.last`, not normalised, as
  transformers computes them in float32;
- `../cases/encoders.json`: the texts, their ids, and whether they were cut.
"""

import json
from pathlib import Path

import gguf
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModel, AutoTokenizer

torch.set_grad_enabled(False)
torch.use_deterministic_algorithms(True)

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures"

TEXTS = {
    "empty": "",
    "word": "hearth",
    "sentence": "A small fire keeps the whole room warm.",
    "accents": "Où est le CAFÉ?  Über\tden Hügeln!",
    "scripts": "火と水 \U0001f525 and 3,5 %",
    "question": "Where did the ship go?",
    "long": "The ship had left the harbour in the night, and with it went the letters, the lanterns and the two men who "
            "had kept the light; and nobody on the hill, who saw the sails go down behind the sea, said a word of it "
            "until the morning came and the rain with it.",
}
# With the tokens around the text; a text of `long`'s length is cut.
TOKENS_MAX = 40
PROMPTS = {"query": "query: ", "passage": ""}

BERT = {
    "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "vocab_size": 160, "hidden_size": 60,
    "num_hidden_layers": 3, "num_attention_heads": 5, "intermediate_size": 100, "max_position_embeddings": 64,
    "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0, "torch_dtype": "float16",
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}
ROBERTA = BERT | {
    "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "hidden_act": "gelu_new", "vocab_size": 300,
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": TOKENS_MAX + 2, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1,
    "bos_token_id": 0, "eos_token_id": 2, "torch_dtype": "float32",
}


# Beside single letters; other scripts become [UNK].
WORDS = ["the", "and", "it", "with", "who", "##ed", "##ing", "##er", "ship", "sea", "night", "fire", "room",
         "##room", "small", "warm", "where", "did", "go", "query", "light", "morn", "hea", "##rth", "had", "men", "two",
         "##le", "whole", "said", "word", "of"]


def specials(names):
    return [AddedToken(name, special=True, normalized=False) for name in names]


def bert_tokenizer():
    # Not trained: the trainer orders pieces that are equally frequent differently each time.
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = [*names, *letters, *("##" + letter for letter in letters), *".,:;?!%35", *WORDS]
    pieces += [f"[unused{index}]" for index in range(BERT["vocab_size"] - len(pieces))]
    assert len(set(pieces)) == BERT["vocab_size"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens(specials(names))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def roberta_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=ROBERTA["vocab_size"], min_frequency=1, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=specials(["<s>", "<pad>", "</s>", "<unk>"]))
    tokenizer.train_from_iterator(TEXTS.values(), trainer)
    assert tokenizer.get_vocab_size() == ROBERTA["vocab_size"]
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return tokenizer


def make_weights(config, seed):
    """Random numbers of a size that lets every part matter; F16 holds them exactly."""
    torch.manual_seed(seed)
    hidden, ffn = config["hidden_size"], config["intermediate_size"]

    def linear(name, rows, columns, gain=1.0):
        return {f"{name}.weight": torch.randn(rows, columns) * (gain / columns**0.5),
                f"{name}.bias": 0.3 * torch.randn(rows)}

    def norm(name):
        return {f"{name}.weight": 1.0 + 0.3 * torch.randn(hidden), f"{name}.bias": 0.3 * torch.randn(hidden)}

    state = {f"embeddings.{name}.weight": torch.randn(rows, hidden) for name, rows in {
        "word_embeddings": config["vocab_size"], "position_embeddings": config["max_position_embeddings"],
        "token_type_embeddings": config["type_vocab_size"]}.items()} | norm("embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        state |= linear(f"{at}.attention.self.query", hidden, hidden, 2.0)
        state |= linear(f"{at}.attention.self.key", hidden, hidden, 2.0)
        state |= linear(f"{at}.attention.self.value", hidden, hidden)
        state |= linear(f"{at}.attention.output.dense", hidden, hidden)
        state |= norm(f"{at}.attention.output.LayerNorm")
        state |= linear(f"{at}.intermediate.dense", ffn, hidden, 2.0)
        state |= linear(f"{at}.output.dense", hidden, ffn)
        state |= norm(f"{at}.output.LayerNorm")
    return {name: tensor.half().float() for name, tensor in state.items()}


def write_json(folder, file, content):
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def write_folder(name, config, tokenizer, settings):
    folder = FIXTURES / name
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(folder, "config.json", config)
    write_json(folder, "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"} | settings)
    return folder


def write_sentence_files(folder):
    kinds = ["Transformer", "Pooling", "Normalize"]
    write_json(folder, "modules.json", [
        {"idx": index, "name": str(index), "path": f"{index}_{kind}" if index else "",
         "type": f"sentence_transformers.models.{kind}"} for index, kind in enumerate(kinds)])
    write_json(folder, "1_Pooling/config.json", {
        "word_embedding_dimension": BERT["hidden_size"], "pooling_mode_cls_token": True,
        "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": False})
    write_json(folder, "sentence_bert_config.json", {"max_seq_length": TOKENS_MAX, "do_lower_case": False})
    write_json(folder, "config_sentence_transformers.json", {"prompts": PROMPTS, "default_prompt_name": None})


def golden(name, folder, texts):
    """Writes every text's vectors, and returns the cases."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                      add_pooling_layer=False).eval()
    tensors, cases = {}, {}
    for case, text in texts.items():
        whole = tokenizer(text).input_ids
        ids = tokenizer(text, truncation=True, max_length=TOKENS_MAX).input_ids
        hidden = model(torch.tensor([ids])).last_hidden_state[0].numpy()
        vectors = {"mean": hidden.astype(np.float64).mean(axis=0), "cls": hidden[0], "last": hidden[-1]}
        tensors |= {f"{case}.{pooling}": vector.astype(np.float32) for pooling, vector in vectors.items()}
        cases[case] = {"text": text, "ids": ids, "truncated": len(whole) > len(ids)}
    assert [case["truncated"] for case in cases.values()].count(True) == 1
    safetensors.numpy.save_file(tensors, HERE / f"{name}.safetensors")
    print(f"{name}: {sum(case.stat().st_size for case in folder.rglob('*') if case.is_file())} bytes")
    return cases


GGUF_NAMES = {
    "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}


def gguf_name(name):
    stem, part = name.rsplit(".", 1)
    if stem.startswith("encoder.layer."):
        layer, within = stem.removeprefix("encoder.layer.").split(".", 1)
        return f"blk.{layer}.{GGUF_NAMES[within]}.{part}"
    return f"{GGUF_NAMES[stem]}.{part}"


def write_gguf(path, config, state, tokenizer):
    """As llama.cpp's converter lays a BERT down: matrices F16, vectors and the small tables F32."""
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.CLS)
    writer.add_token_type_count(config["type_vocab_size"])
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])]
    # A piece that begins a word has a phantom space; one that continues it loses its signs.
    tokens = [token[2:] if token.startswith("##") else token if index < 5 else "\u2581" + token
              for index, token in enumerate(tokens)]
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if index < 5 else gguf.TokenType.NORMAL
                            for index in range(len(tokens))])
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)
    for name, tensor in state.items():
        small = tensor.ndim == 1 or "position" in name or "token_type" in name
        writer.add_tensor(gguf_name(name), tensor.numpy().astype(np.float32 if small else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    torch.set_num_threads(1)
    tokenizer, state = bert_tokenizer(), make_weights(BERT, seed=5)
    settings = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    folder = write_folder("tiny-bert", BERT, tokenizer, settings | {"model_max_length": 64})
    write_sentence_files(folder)
    safetensors.torch.save_file({name: tensor.half() for name, tensor in state.items()},
                                folder / "model.safetensors", {"format": "pt"})
    write_gguf(FIXTURES / "tiny-bert.gguf", BERT, state, tokenizer)
    texts = TEXTS | {"query": PROMPTS["query"] + TEXTS["question"]}
    cases = {"tiny-bert": golden("tiny-bert", folder, texts)}

    tokenizer, state = roberta_tokenizer(), make_weights(ROBERTA, seed=6)
    settings = {"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>"}
    folder = write_folder("tiny-roberta", ROBERTA, tokenizer, settings | {"model_max_length": 1000000000000000019884624838656})
    safetensors.torch.save_file({f"roberta.{name}": tensor for name, tensor in state.items()},
                                folder / "model.safetensors", {"format": "pt"})
    texts = {name: text for name, text in TEXTS.items() if name != "accents"}
    cases["tiny-roberta"] = golden("tiny-roberta", folder, texts)
    text = json.dumps(cases, indent=1, ensure_ascii=False) + "\n"
    (HERE.parent / "cases" / "encoders.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
