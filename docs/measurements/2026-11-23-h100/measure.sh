#!/usr/bin/env bash
# Tests and measures the bundled model on a machine with a GPU, from the repository's root:
#   measure.sh HEARTH TESTS OUT
# HEARTH is the built command line, TESTS a folder with the built tests of the crate `hearth-tests` under their plain
# names, OUT takes the raw results. With HEARTH_CHROMIUM and HEARTH_CHROMIUM_GPU_FLAGS set, the browser's part runs too.
set -uo pipefail
hearth=$(realpath "$1") tests=$(realpath "$2") out=$(realpath "$3")
{ nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader; uname -sr; nproc; } >"$out/machine.txt" 2>&1
"$hearth" probe --json >"$out/probe.json" 2>"$out/probe.log"
for name in kernels attention models runtime hearth_tiny; do
    (cd tests && timeout 150 "$tests/$name" --test-threads 8) >"$out/$name.log" 2>&1
    printf '%s: %s\n' "$name" "$(grep -h '^test result' "$out/$name.log" || echo "ended with $?")"
done | tee "$out/tests.txt"
for device in gpu cpu; do
    for prefill in 128 512; do
        timeout 100 "$hearth" bench --device $device --prefill $prefill --decode 256 --repeat 5 --json
    done
done 2>"$out/bench.log" | tee "$out/bench.jsonl"
if [ -n "${HEARTH_CHROMIUM:-}" ]; then
    export HEARTH_CLI=$hearth
    (cd tests/browser && timeout 120 node --test --test-name-pattern='Chromium with WebGPU' cases.test.mjs) >"$out/browser.log" 2>&1
    grep -E '^# (pass|fail)|^ℹ (pass|fail)' "$out/browser.log"
    timeout 120 node tests/browser/bench.mjs 256 5 2>&1 | tee "$out/browser.json"
fi
