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
quantize() {
    name=$1
    shift
    "$HEARTH" quantize "$model" "$@" --calibrate "$out/calibrate.txt" -o "$out/$name" --device cpu
}
for bits in 5 3 2; do quantize hearth-$bits --bits $bits --fast --tune 32; done
for bits in 4 2.5; do quantize hearth-$bits --target-bpw $bits --fast --tune 32; done
quantize hearth-3.5-L16 --target-bpw 3.5
cp -r "$model-2bit" "$out/"
cd "$out"
"$HEARTH" eval frontier Q8_0.gguf hearth-5 Q4_K_M.gguf Q4_0.gguf hearth-4 Q3_K_M.gguf hearth-3.5-L16 Q2_K.gguf hearth-3 \
    IQ2_XS.gguf hearth-2.5 hearth-tiny-2bit hearth-2 --reference "$model" --text measure.txt --device cpu \
    -o frontier.json -o frontier.svg
"$PYTHON" "$here/fewer_bits.py" frontier.json
