#!/usr/bin/env python3
"""Time `lithe batch` over batch sizes, a model's own plan beside dense, on this machine, in one run.

Every round answers the same requests at each size: dense, the plan, dense once more (the A/A spread), each in a process of its
own; loading is not counted. A request is one picture and one question.

    tools/make_random_checkpoint.py wide --layers 1 --tower-layers 2 --p-mod 0
    bench/batch_throughput.py wide
    bench/batch_throughput.py demo --requests 48 --tokens 16
"""
import argparse
import json
import pathlib
import statistics
import tempfile

from lithe_program import ROOT, lithe_json
from side_by_side import aa_spread, times_as_fast

QUESTION = "what is the color of the shape in the image?"


def write_requests(file, count):
    pictures = sorted((ROOT / "models/images").glob("*.png"))
    lines = [{"id": i, "image": str(pictures[i % len(pictures)]), "prompt": QUESTION} for i in range(count)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def answered(args, folder, size, plan):
    """One run: the summary of `lithe batch`."""
    count = args.requests or max(4, size)
    requests, out = folder / f"in{count}.jsonl", folder / "out.jsonl"
    if not requests.exists():
        write_requests(requests, count)
    out.unlink(missing_ok=True)
    chosen = ["--plan", plan] if plan else []
    return lithe_json("batch", args.model, str(requests), "-o", str(out), "--batch-size", str(size), "-n", str(args.tokens),
                      "--weights", args.weights, "--json", *chosen)


def report(runs):
    """runs: {size: [(dense, plan, dense again) summaries]} -> lines of a table"""
    yield "| prompts at a time | dense | plan | time, plan / dense | minima | A/A spread |"
    yield "|---|---|---|---|---|---|"
    for size, rounds in runs.items():
        dense, plan, again = ([r[i]["elapsed_ms"] for r in rounds] for i in range(3))
        rate = [statistics.median(r[i]["tokens_per_second"] for r in rounds) for i in range(2)]
        middle, least = (1 / times for times in times_as_fast(plan, dense, again))
        spread = aa_spread(dense, again)
        yield f"| {size} | {rate[0]:.2f} tokens/s | {rate[1]:.2f} tokens/s | {middle:.3f} | {least:.3f} | {100 * spread:.1f} % |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--sizes", default="1,4,16")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, help="per run (default: as many as the batch size, at least 4)")
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--weights", default="auto")
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    runs = {size: [] for size in sizes}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, args.rounds + 1):
            for size in sizes:
                runs[size].append([answered(args, pathlib.Path(folder), size, plan) for plan in ("dense", None, "dense")])
            print(f"round {number} of {args.rounds}", flush=True)
    print("\n".join(report(runs)))


if __name__ == "__main__":
    main()
