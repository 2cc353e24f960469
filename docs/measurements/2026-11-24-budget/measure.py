"""Speed and peak memory of a model in its budget, each run under a hard limit of the kernel's.

    python3 measure.py HEARTH MODEL_FOLDER OUT.jsonl [--limit-gib 4] [--percent 100,75,50,25] [--tight]

Linux. With a writable cgroup (v1, memory) the limit counts everything, file cache included; otherwise it is RLIMIT_DATA.
A percentage is of the weights: what else the model takes is added to it, and the sum is given as `--memory-budget`.
With --tight the limit is the budget and 192 MiB, so that the system's file cache, which counts, holds little of the file and
what is read comes from the disk; the file is put out of that cache before each run, and for the reading that the floor
follows from. --percent begins with 100.
"""

import argparse
import json
import os
import resource
import subprocess
import time

GIB = 1 << 30
PIECE_BYTES = 12 << 20
SPARE_BYTES = 192 << 20
CGROUP = "/sys/fs/cgroup/memory/hearth-budget"


def uncache(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def read_rate(path):
    """Bytes a second, read in order into the same memory."""
    piece, descriptor = bytearray(PIECE_BYTES), os.open(path, os.O_RDONLY)
    length, at, before = os.fstat(descriptor).st_size, 0, time.monotonic()
    while at < length:
        at += os.preadv(descriptor, [piece], at)
    os.close(descriptor)
    return length / (time.monotonic() - before)


def limited(limit_bytes):
    """What a child does before it runs, and how its peak is read afterwards."""
    try:
        os.makedirs(CGROUP, exist_ok=True)
        for name, value in [("memory.limit_in_bytes", limit_bytes), ("memory.max_usage_in_bytes", 0)]:
            with open(f"{CGROUP}/{name}", "w") as file:
                file.write(str(value))
    except OSError:
        return (lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))), "rlimit", lambda: None

    def enter():
        with open(f"{CGROUP}/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))

    def peak():
        with open(f"{CGROUP}/memory.max_usage_in_bytes") as file:
            return int(file.read())

    return enter, "cgroup", peak


def bench(arguments, budget_bytes):
    is_tight = arguments.tight and budget_bytes
    limit_bytes = budget_bytes + SPARE_BYTES if is_tight else int(arguments.limit_gib * GIB)
    enter, limit, peak = limited(limit_bytes)
    command = [arguments.hearth, "bench", "--model", arguments.model, "--device", "cpu", "--json", "--no-profile"]
    command += ["--prefill", "none", "--depth", str(2048 - arguments.decode), "--decode", str(arguments.decode)]
    command += ["--repeat", str(arguments.repeat)]
    if budget_bytes:
        command += ["--memory-budget", f"{budget_bytes / GIB:.6f}"]
    done = subprocess.run(command, preexec_fn=enter, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.returncode}: {done.stderr}")
    return json.loads(done.stdout), f"{limit} {limit_bytes}", peak()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hearth")
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--limit-gib", type=float, default=4)
    parser.add_argument("--percent", default="100,75,50,25")
    parser.add_argument("--decode", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--tight", action="store_true")
    arguments = parser.parse_args()
    weights = os.path.join(arguments.model, "model.safetensors")
    whole = None
    for percent in map(int, arguments.percent.split(",")):
        if arguments.tight:
            uncache(weights)
        file_rate = read_rate(weights)
        if arguments.tight:
            uncache(weights)
        budget = whole and int(whole["memory"]["total_bytes"] - whole["memory"]["weights_bytes"] * (1 - percent / 100))
        report, limit, peak = bench(arguments, budget if percent < 100 else None)
        whole = whole or report
        spread = report["decode"][0]["tokens_per_s"]
        streamed = report.get("streamed_bytes_per_token") or 0
        row = {
            "percent": percent, "budget_bytes": budget, "limit": limit,
            "planned_bytes": report["memory"]["total_bytes"], "device_bytes": report["peak_device_bytes"],
            "process_peak_bytes": report["peak_process_bytes"], "kernel_peak_bytes": peak,
            "streamed_bytes_per_token": streamed, "file_bytes_per_s": file_rate, "tight": arguments.tight,
            "tokens_per_s": spread["median"], "tokens_per_s_max": spread["max"],
            "floor_tokens_per_s": file_rate / streamed if streamed else None, "load": os.getloadavg()[0],
        }
        with open(arguments.out, "a") as out:
            out.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


main()
