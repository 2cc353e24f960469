#!/bin/sh
# What the bundled model loses by each recipe and by llama.cpp's types, on one text in one run.
#   measure.sh BOOKS LIBRARIES OUT
# BOOKS: the collection that models/hearth-tiny/README.md names; LIBRARIES: llama.cpp's, as llama_types.py says; OUT: an
# empty folder. HEARTH is the command line, PYTHON one with tests/golden/requirements.txt.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
model="$here/../../../models/hearth-tiny"
books=$1 libraries=$2 out=$3
: "${HEARTH:=hearth}" "${PYTHON:=python3}"
"$PYTHON" "$here/texts.py" "$books" "$out"
"$PYTHON" "$here/llama_types.py" "$model" "$out/calibrate.txt" "$libraries" "$out" Q4_K_M Q3_K_M Q2_K IQ2_XS Q8_0 Q4_0
for bits in 4 3.5 3 2.5; do
    "$HEARTH" quantize "$model" --target-bpw $bits --fast --calibrate "$out/calibrate.txt" -o "$out/hearth-$bits" --device cpu
done
"$HEARTH" quantize "$model" --bits 2 --fast --calibrate "$out/calibrate.txt" -o "$out/hearth-2" --device cpu
cd "$out"
"$HEARTH" eval frontier Q4_K_M.gguf hearth-4 Q3_K_M.gguf hearth-3.5 Q2_K.gguf hearth-3 hearth-2.5 IQ2_XS.gguf hearth-2 \
    Q4_0.gguf Q8_0.gguf --reference "$model" --text measure.txt --device cpu -o frontier.json -o frontier.svg
"$PYTHON" "$here/fewer_bits.py" frontier.json
