#!/usr/bin/env bash
# Compares the CPU device with llama.cpp on random weights of one shape, from the repository's root:
#   measure.sh LIBRARIES PYTHON OUT [THREADS]
# LIBRARIES is `package/bins/linux-x64` of npm's @node-llama-cpp/linux-x64, PYTHON one with gguf and numpy, OUT takes the
# raw results. Each pair runs one after the other, and all pairs three times, because other programs may come between.
set -euo pipefail
here=$(dirname "$0") libraries=$(realpath "$1") python=$2 out=$(realpath "$3") threads=${4:-1}
cargo build --release -p hearth-host --example cpu_speed
speed=${CARGO_TARGET_DIR:-target}/release/examples/cpu_speed
{ grep -m1 'model name' /proc/cpuinfo; grep -m1 flags /proc/cpuinfo; uname -sr; nproc; uptime; } >"$out/machine.txt"
for format in Q4_0 Q8_0 Q4_K Q6_K; do
    [ -f "$out/$format.gguf" ] || "$python" "$here/make_gguf.py" 0.5b $format "$out/$format.gguf"
done
for round in 1 2 3; do
    uptime
    for format in Q4_0 Q8_0 Q4_K Q6_K; do
        "$speed" $format int8 "$threads"
        for variant in sapphirerapids icelake haswell; do
            LD_LIBRARY_PATH=$libraries "$python" "$here/llama_cpp.py" "$libraries" "$out/$format.gguf" \
                --threads "$threads" --variant $variant 2>>"$out/llama.log"
        done
    done
done | tee -a "$out/threads-$threads.txt"
