"""How many bits a model of Hearth's needs at the divergence of each GGUF file of a frontier.json.

    python fewer_bits.py frontier.json

Between two folders of Hearth's, bits are interpolated over the logarithm of the divergence; beyond them nothing is said.
"""

import json
import math
import sys


def bits_at(kl, ours):
    """Whole-model bits, or None if no two of ours lie around it."""
    for more, less in zip(ours, ours[1:]):
        if more["kl_mean"] <= kl <= less["kl_mean"]:
            span = math.log(less["kl_mean"] / more["kl_mean"])
            part = math.log(kl / more["kl_mean"]) / span if span else 0.0
            return more["bits_per_weight"] + part * (less["bits_per_weight"] - more["bits_per_weight"])
    return None


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        points = json.load(file)["points"]
    ours = sorted((point for point in points if point["quantizer"] == "hearth"), key=lambda point: point["kl_mean"])
    print("| type | bits | divergence | bits of ours at it | fewer |")
    print("|---|---|---|---|---|")
    for point in points:
        if point["quantizer"] == "gguf":
            bits, kl = point["bits_per_weight"], point["kl_mean"]
            found = bits_at(kl, ours)
            best = next((each for each in sorted(ours, key=lambda each: each["bits_per_weight"]) if each["kl_mean"] <= kl), None)
            if found is None and best is not None:
                text = f"at most {best['bits_per_weight']:.2f} | more than {100 * (1 - best['bits_per_weight'] / bits):.0f} %"
            else:
                text = "- | -" if found is None else f"{found:.2f} | {100 * (1 - found / bits):.0f} %"
            print(f"| {point['model'].removesuffix('.gguf')} | {bits:.2f} | {kl:.4f} | {text} |")


if __name__ == "__main__":
    main()
