"""Draws decode.csv beside its roofline, into roofline.svg: `pip install matplotlib && python roofline.py`.

The line is what reading the bytes of a token takes at the bandwidth that `hearth bench` read at; the dash under it, for each
model, adds its dispatches at the 4.1 microseconds that one which does nothing took.
"""

import csv
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "hearth"
import matplotlib.pyplot as plt  # noqa: E402

HERE = Path(__file__).parent
READ_BYTES_PER_S = 2.4e12
DISPATCH_S = 4.1e-6

rows = list(csv.DictReader((HERE / "decode.csv").open()))
figure, axes = plt.subplots(figsize=(8, 5))
sizes = [10 ** (7.2 + step / 20) for step in range(58)]
axes.loglog(sizes, [READ_BYTES_PER_S / size for size in sizes], color="black", label="bytes at 2.4 TB/s")
native = [row for row in rows if row["dispatches_a_token"] and row["by"] == "Hearth native"]
sizes = [float(row["bytes_a_token"]) for row in native]
floors = [1 / (size / READ_BYTES_PER_S + int(row["dispatches_a_token"]) * DISPATCH_S) for size, row in zip(sizes, native)]
axes.loglog(sizes, floors, "_", color="black", markersize=18, label="the same, and the dispatches at 4.1 µs")
for by, marker in [("Hearth native", "o"), ("Hearth Chromium", "s"), ("llama.cpp Vulkan", "x")]:
    of = [row for row in rows if row["by"] == by]
    axes.loglog([float(row["bytes_a_token"]) for row in of], [float(row["tokens_per_s"]) for row in of], marker, label=by)
for row in rows:
    if row["by"] == "Hearth native":
        at = (float(row["bytes_a_token"]), float(row["tokens_per_s"]))
        axes.annotate(row["what"], at, textcoords="offset points", xytext=(-48, -12), fontsize=8)
axes.set(xlabel="bytes read for a token", ylabel="tokens a second", title="Decode on one H100, short context")
axes.grid(visible=True, which="both", alpha=0.2)
axes.legend()
figure.tight_layout()
figure.savefig(HERE / "roofline.svg", metadata={"Date": None})
