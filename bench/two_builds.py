#!/usr/bin/env python3
"""Compares an earlier build of Lithe with this one, over random weights of 7B width. In each round both programs run in turn, and the
one that begins changes; each run is a process of `lithe bench` that times dense twice and p-MoD once.

  bench/two_builds.py EARLIER/build/lithe
"""
import argparse
import json
import os
import statistics
import subprocess

from lithe_program import ROOT
from side_by_side import aa_spread, times_as_fast

CASES = (
    ["--shape", "llava-1.5-7b", "--vision-tokens", "576", "--decode-tokens", "8"],
    ["--shape", "llava-next-7b", "--layers", "1", "--tower-layers", "1", "--vision-tokens", "2880", "--decode-tokens", "4"],
    ["--shape", "llava-1.5-7b", "--no-prefill", "--vision-tokens", "2880", "--decode-tokens", "8", "--batch-sizes", "1,4,16"],
)


def times(lithe, flags):
    """-> {(test, plan): ms}"""
    printed = subprocess.run([lithe, "bench", *flags, "--rounds", "1", "-o", "json"], check=True, capture_output=True, text=True).stdout
    return {(row["test"], row["plan"]): row["mean_ms"] for row in json.loads(printed)["tests"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("earlier", help="the earlier program")
    parser.add_argument("--now", default=str(ROOT / "build/lithe"), help="the program of now (default: build/lithe)")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f}, {args.rounds} rounds; earlier / now, times as fast")
    for flags in CASES:
        series = {}
        for number in range(args.rounds):
            for name in (("earlier", "now"), ("now", "earlier"))[number % 2]:
                for test, ms in times(getattr(args, name), flags).items():
                    series.setdefault(test, {"earlier": [], "now": []})[name].append(ms)
            print(f"round {number + 1} of {args.rounds}", end="\r", flush=True)
        print("lithe bench", *flags)
        for (test, plan), one in series.items():
            if plan == "dense again":
                continue
            now, earlier = one["now"], one["earlier"]
            again = series.get((test, f"{plan} again"), one)["earlier"]
            middle, least = times_as_fast(now, earlier, again)
            spread = f", A/A {100 * aa_spread(earlier, again):.1f} %" if plan == "dense" else ""
            print(f"  {test:14} {plan:6} {statistics.median(earlier):8.1f} ms, now {statistics.median(now):8.1f} ms: {middle:.2f} x "
                  f"(minima {least:.2f} x){spread}")
    print(f"load {os.getloadavg()[0]:.2f} at the end")


if __name__ == "__main__":
    main()
