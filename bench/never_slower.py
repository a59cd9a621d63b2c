#!/usr/bin/env python3
"""Time plans beside dense over lengths of prompts, numbers of prompts at a time, and types of weights: never slower?

Each cell is one `lithe bench` of a random model of LLaVA-1.5-7B's width: dense, the plan and dense again in turn. A plan is
slower if it takes more than 1.02 times dense and more than the A/A spread of its own cell allows.

    bench/never_slower.py
    bench/never_slower.py --plans p-mod,fastv --lengths 640 --batches 1 --weights bfloat16 --rounds 9
"""
import argparse
import itertools
import os

from lithe_program import lithe_json

TEXT = 40
ALLOWED = 1.02


def ratios(args, plan, length, batch, weights):
    """{"pp" or "tg": (median ratio, A/A spread)} of one cell."""
    result = lithe_json("bench", "--shape", "llava-next-7b", "--layers", str(args.layers), "--tower-layers", "1", "--plan", plan,
                        "--vision-tokens", str(length - TEXT), "--text-tokens", str(TEXT), "--batch-sizes", str(batch),
                        "--rounds", str(args.rounds), "--decode-tokens", "4", "--weights", weights, "--json")
    return {test["test"][:2]: (test["median_ratio"], test["aa_spread_share"])
            for test in result["tests"] if "median_ratio" in test}


def is_slower(ratio, spread):
    return ratio > max(ALLOWED, 1 + spread)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--plans", default="p-mod,fastv,pyramiddrop,shortv")
    parser.add_argument("--lengths", default="64,640,2920")
    parser.add_argument("--batches", default="1,4")
    parser.add_argument("--weights", default="bfloat16,int8,int4")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    lists = [text.split(",") for text in (args.plans, args.weights, args.lengths, args.batches)]
    print(f"load {os.getloadavg()[0]:.1f}\n| plan | weights | tokens | prompts | prefill | decode | |\n|---|---|---|---|---|---|---|")
    slower = 0
    for plan, weights, length, batch in itertools.product(*lists):
        cells = ratios(args, plan, int(length), int(batch), weights)
        found = [kind for kind, cell in cells.items() if is_slower(*cell)]
        slower += len(found)
        texts = [f"{ratio:.2f} ± {spread:.2f}" for ratio, spread in (cells["pp"], cells["tg"])]
        print(f"| {plan} | {weights} | {length} | {batch} | {texts[0]} | {texts[1]} | {'slower' if found else ''} |", flush=True)
    print(f"\n{slower} slower; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
