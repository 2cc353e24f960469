"""Writes the tiny models of `../fixtures/architectures` as GGUF files, with gguf-py, and compares.

    python -m venv venv && venv/bin/pip install -r ../golden/requirements.txt xllamacpp==2026.10.11549
    cargo build --package hearth-tests --example golden_logits
    venv/bin/python gguf_architectures.py --logits ../../target/debug/examples/golden_logits [--fuse] [NAME ...]

For each model: the engine reads the file and computes the logits of `../golden/<name>.safetensors`, which must agree as
they do for safetensors; and llama.cpp reads the same file, and the log-probabilities of its likeliest tokens must agree
too, which shows that the file says what llama.cpp understands. What a GGUF cannot say is left out of the comparison:
see `WITHIN`. With `--fuse` query, key and value lie in one tensor, as the converter's `--fuse-qkv` writes them and
llama.cpp reads them of any architecture; and for the engine gate and up of all experts lie in another, as
`--fuse-gate-up-exps` writes them, which llama.cpp does not read of these architectures.

The keys, the permuted rows and the norms that hold 1 + w follow llama.cpp's convert_hf_to_gguf.py. The files are not
committed: each is as large as the model. Smaller ones are, see `../fixtures/architectures.py`.
"""

import argparse
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import safetensors.numpy

from gguf_export import add_tokenizer, encode, load, permute

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "fixtures" / "architectures"
# How many tokens of a prompt are compared where the file has no word for the model's window.
WITHIN = {"qwen2": 16}
# The same for llama.cpp, which also leaves out the windows that these files name.
LLAMA_WITHIN = WITHIN | {"mistral": 16, "phi3": 20}
# It takes Phi's factors for long contexts, as the reference does for the long prompt.
LLAMA_PROMPTS = {"phi3": ["long"]}
# How far llama.cpp's log-probabilities may be away: its attention and its gates round to F16.
NATS = 0.02

# The architecture in the file, and whether the pairs that rope turns are stored as neighbours.
NAMES = {
    "llama": ("llama", True), "mistral": ("llama", True), "smollm3": ("smollm3", True), "granite": ("granite", True),
    "qwen2": ("qwen2", False), "qwen3": ("qwen3", False), "qwen3_moe": ("qwen3moe", False), "phi3": ("phi3", False),
    "gemma": ("gemma", False), "gemma2": ("gemma2", False), "gemma3_text": ("gemma3", False), "olmo2": ("olmo2", False),
    "olmo3": ("olmo2", False), "olmoe": ("olmoe", False),
}


def ropes(config):
    """The parameters of layers without a window, and the length of a head."""
    rope = config["rope_parameters"]
    return rope.get("full_attention", rope), head_dim(config)


def head_dim(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def llama3_factors(rope, width):
    """What each frequency is divided by."""
    factors = []
    for pair in range(width // 2):
        turns = rope["original_max_position_embeddings"] * rope["rope_theta"] ** (-2 * pair / width) / (2 * math.pi)
        kept = (turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
        kept = min(max(kept, 0.0), 1.0)
        factors.append(1 / (kept + (1 - kept) / rope["factor"]))
    return factors


def add_sizes(writer, config):
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head_dim(config))
    writer.add_value_length(head_dim(config))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def add_rope(writer, config):
    rope, width = ropes(config)
    writer.add_rope_dimension_count(int(width * rope.get("partial_rotary_factor", 1.0)))
    writer.add_rope_freq_base(rope["rope_theta"])
    original = rope.get("original_max_position_embeddings")
    kind = rope["rope_type"]
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(original)
    elif kind == "longrope":
        scale = config["max_position_embeddings"] / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
        tensors = {"rope_factors_long.weight": rope["long_factor"], "rope_factors_short.weight": rope["short_factor"]}
        return {name: np.array(factors, dtype=np.float32) for name, factors in tensors.items()}
    elif kind == "llama3":
        return {"rope_freqs.weight": np.array(llama3_factors(rope, width), dtype=np.float32)}
    else:
        assert kind == "default", kind
    return {}


def add_rest(writer, config):
    """What only some architectures have."""
    kind = config["model_type"]
    if kind in ("gemma2", "gemma3_text", "phi3", "mistral", "olmo3"):
        writer.add_sliding_window(config["sliding_window"])
    if kind == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if kind == "granite":
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])
    if kind in ("qwen3_moe", "olmoe"):
        writer.add_expert_count(config.get("num_local_experts") or config["num_experts"])
        writer.add_expert_used_count(config["num_experts_per_tok"])
    if kind == "qwen3_moe":
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])


def tensors(config, state):
    """Names and numbers as they stand in the file."""
    arch, is_permuted = NAMES[config["model_type"]]
    number = next(number for number, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    names = gguf.get_tensor_name_map(number, config["num_hidden_layers"])
    experts = {}
    for name, weights in state.items():
        if config["model_type"].startswith("gemma") and name.endswith("norm.weight"):
            weights = weights + 1
        for part, heads in [("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")]:
            if is_permuted and f".{part}." in name:
                weights = np.ascontiguousarray(permute(weights, config[heads]))
        if ".experts." in name:
            block, rest = name.split(".experts.")
            expert, part = rest.split(".", 1)
            experts.setdefault(f"{block}.experts.{part}", {})[int(expert)] = weights
            continue
        yield names.get_name(name, try_suffixes=(".weight", ".bias")), weights
    for name, of_each in experts.items():
        stacked = np.stack([of_each[expert] for expert in range(len(of_each))])
        yield names.get_name(name, try_suffixes=(".weight",)), stacked


def fused(tensors, with_experts):
    """The same numbers, with those stacked that may lie in one tensor."""
    tensors = dict(tensors)
    for name in [name for name in tensors if ".attn_q." in name]:
        parts = [tensors.pop(name.replace(".attn_q.", f".attn_{part}.")) for part in "qkv"]
        tensors[name.replace(".attn_q.", ".attn_qkv.")] = np.concatenate(parts)
    for name in [name for name in tensors if with_experts and ".ffn_gate_exps." in name]:
        parts = [tensors.pop(name), tensors.pop(name.replace("gate", "up"))]
        tensors[name.replace("gate", "gate_up")] = np.concatenate(parts, axis=1)
    return tensors.items()


def export(folder, out, kind=gguf.GGMLQuantizationType.F32, fuse=False, fuse_experts=False):
    """Writes the GGUF file. With F32 llama.cpp rounds least: in other formats it rounds the activations too."""
    config, state = load(folder)
    writer = gguf.GGUFWriter(out, NAMES[config["model_type"]][0])
    # Not the architecture's: llama.cpp expects tokens of some that are called so.
    writer.add_name("tiny")
    writer.add_file_type({"F32": gguf.LlamaFileType.ALL_F32, "BF16": gguf.LlamaFileType.MOSTLY_BF16}[kind.name])
    add_sizes(writer, config)
    factors = add_rope(writer, config)
    add_rest(writer, config)
    add_tokenizer(writer, folder, config["vocab_size"])
    named = tensors(config, state)
    for name, weights in [*factors.items(), *(fused(named, fuse_experts) if fuse else named)]:
        stored, stored_kind = encode(weights, kind)
        writer.add_tensor(name, stored, raw_dtype=stored_kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def compare_llama_cpp(path, name):
    """llama.cpp's likeliest tokens after some beginnings of prompts, against the golden logits."""
    # Only here, so that a file can be written without its large package.
    from llama_cpp import LlamaCpp

    golden = safetensors.numpy.load_file(HERE.parent / "golden" / f"{name}.safetensors")
    llama, complaints = LlamaCpp(path), []
    for prompt in LLAMA_PROMPTS.get(name, ["short", "words"]):
        ids, logits = golden[f"{prompt}.ids"].tolist(), golden[f"{prompt}.logits"].astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        worst = 0.0
        count = min(len(ids), LLAMA_WITHIN.get(name, len(ids)))
        for length in [1, count // 2, count]:
            own = logprobs[length - 1]
            answer = llama.ask("/completion", {
                "prompt": ids[:length], "n_predict": 1, "temperature": 0, "top_k": 1, "n_probs": 5, "cache_prompt": False,
                "return_tokens": True, "post_sampling_probs": False})
            for token in answer["tokens"]:
                worst = max(worst, own.max() - own[token])
            # It gives no list where the token is a piece of a character.
            for step in answer.get("completion_probabilities", []):
                worst = max(worst, max(abs(own[top["id"]] - top["logprob"]) for top in step["top_logprobs"]))
        print(f"{name}, {prompt}: llama.cpp's likeliest tokens differ by up to {worst:.1e} nats", flush=True)
        if worst > NATS:
            complaints.append(f"{name}, {prompt}: llama.cpp differs by {worst:.1e} nats")
    return complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--logits", required=True)
    parser.add_argument("--fuse", action="store_true")
    args = parser.parse_args()
    complaints = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.names or sorted(folder.name for folder in MODELS.iterdir() if folder.is_dir()):
            path = Path(temporary) / f"{name}.gguf"
            export(MODELS / name, path, fuse=args.fuse, fuse_experts=args.fuse)
            done = subprocess.run(
                [args.logits, str(path), name, str(WITHIN.get(name, 1 << 20))], capture_output=True, text=True, check=False)
            print(done.stdout, end="", flush=True)
            if done.returncode != 0:
                complaints.append(f"{name}: {done.stderr}")
            if args.fuse:
                export(MODELS / name, path, fuse=True)
            complaints += compare_llama_cpp(path, name)
    sys.exit("\n".join(["", *complaints]) if complaints else 0)


if __name__ == "__main__":
    main()
