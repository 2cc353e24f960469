"""Compares Hearth with llama.cpp: the same GGUF files, the same prompts, the same tokens.

    python -m venv venv && venv/bin/pip install -r ../golden/requirements.txt xllamacpp==2026.10.11549
    cargo build --release --package hearth-host --bin hearth
    venv/bin/python llama_cpp.py --hearth ../../target/release/hearth

The bundled model is written as GGUF in every format that the engine reads, with gguf-py, and both programs continue
the five prompts of `../cases/hearth-tiny.json` greedily. Compared are the tokens of the prompts, chat template
included, and the first 64 new tokens.

In F32 every token must be the same. In the other formats llama.cpp rounds the activations too (to F16, BF16 or Q8_0), and
Hearth those that meet quantised weights, in another order of sums: there a token may differ where llama.cpp itself finds
Hearth's choice almost as likely as its own, and what follows such a token is not compared. It is not part of
`./hearth test`: the package is large.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import xllamacpp

import gguf_export

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "models" / "hearth-tiny"
CASES = HERE.parent / "cases" / "hearth-tiny.json"
# How much likelier llama.cpp may find its own token where the two differ, in nats, in formats other than F32.
TIE_NATS = 0.1


class LlamaCpp:
    """A llama.cpp server in this process."""

    def __init__(self, path):
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_gpu_layers = 0
        params.n_ctx = 1024
        params.n_parallel = 1
        params.warmup = False
        params.verbosity = 0
        # Its threads wait by spinning, which costs more than a second one gains with so small a model.
        params.cpuparams.n_threads = 1
        # Hearth keeps its cache in F32.
        params.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F32
        params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        self.server = xllamacpp.Server(params)

    def ask(self, path, content):
        request = urllib.request.Request(
            f"{self.server.listening_address}{path}", json.dumps(content).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def tokenize(self, prompt):
        if prompt["kind"] == "text":
            request = {"content": prompt["text"], "add_special": True, "parse_special": False}
        else:
            text = self.ask("/apply-template", {"messages": prompt["messages"]})["prompt"]
            # It leaves the BOS that the template wrote to the tokenizer.
            request = {"content": text, "add_special": True, "parse_special": True}
        return self.ask("/tokenize", request)["tokens"]

    def greedy(self, ids, count):
        """The new tokens, and for each the log-probabilities of the likeliest."""
        answer = self.ask("/completion", {
            "prompt": ids, "n_predict": count, "temperature": 0, "top_k": 1, "n_probs": 5, "cache_prompt": False,
            "return_tokens": True, "post_sampling_probs": False})
        likeliest = [
            {top["id"]: top["logprob"] for top in step["top_logprobs"]} for step in answer["completion_probabilities"]]
        return answer["tokens"], likeliest


def run_hearth(program, *args):
    done = subprocess.run([program, *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{program} {' '.join(args)}\n{done.stdout}{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def hearth_greedy(program, model, prompt, count, options=()):
    """Hearth's new tokens, and how many the prompt had."""
    if prompt["kind"] == "text":
        command, text = "complete", prompt["text"]
    else:
        command, text = "chat", prompt["messages"][-1]["content"]
    events = run_hearth(
        program, command, "--json", "--greedy", "--device", "cpu", "--model", str(model), "--max-tokens", str(count),
        *options, text)
    return [event["id"] for event in events if event["type"] == "token"], events[-1]["prompt_tokens"]


def hearth_tokenize(program, model, prompt):
    return run_hearth(program, "tokenize", "--json", "--model", str(model), prompt["text"])[0]["ids"]


def compare(format_name, ours, theirs, likeliest):
    """How many tokens are compared, what is said of them, and whether something is wrong."""
    for at, (our, their) in enumerate(zip(ours, theirs)):
        if our != their:
            gap = likeliest[at][their] - likeliest[at].get(our, float("-inf"))
            if format_name != "F32" and gap < TIE_NATS:
                return at, f"then a near tie, of {gap:.4f} nats", False
            return at, f"token {at} is {our}, not {their}, which llama.cpp finds {gap:.3f} nats likelier", True
    if len(ours) != len(theirs):
        return len(ours), f"{len(ours)} tokens, not {len(theirs)}", True
    return len(ours), "all", False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hearth", default=str(HERE.parent.parent / "target" / "release" / "hearth"))
    args = parser.parse_args()
    cases = json.loads(CASES.read_text("utf-8"))
    complaints = []
    with tempfile.TemporaryDirectory() as folder:
        for format_name in gguf_export.FORMATS:
            path = Path(folder) / f"hearth-tiny-{format_name.lower()}.gguf"
            gguf_export.export(MODEL, path, format_name)
            llama = LlamaCpp(path)
            for case in cases["cases"]:
                prompt, what = case["prompt"], f"{format_name}, {case['name']}"
                ids = llama.tokenize(prompt)
                if ids != case["ids"]:
                    complaints.append(f"{what}: llama.cpp cuts the prompt into {ids}, not {case['ids']}")
                if prompt["kind"] == "text" and hearth_tokenize(args.hearth, path, prompt) != ids:
                    complaints.append(f"{what}: Hearth cuts the prompt otherwise than llama.cpp")
                ours, prompt_tokens = hearth_greedy(args.hearth, path, prompt, cases["max_tokens"])
                if prompt_tokens != len(ids):
                    complaints.append(f"{what}: Hearth's prompt has {prompt_tokens} tokens, not {len(ids)}")
                theirs, likeliest = llama.greedy(ids, cases["max_tokens"])
                # llama.cpp may count the token that ends the turn.
                theirs = [token for token in theirs if token not in (0, 4)]
                same, note, is_wrong = compare(format_name, ours, theirs, likeliest)
                print(f"{what}: {same} of {len(theirs)} tokens the same: {note}", flush=True)
                complaints += [f"{what}: {note}"] if is_wrong else []
            del llama
    sys.exit("\n".join(["", *complaints]) if complaints else 0)


if __name__ == "__main__":
    main()
