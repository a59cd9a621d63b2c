#!/usr/bin/env python3
"""Time dense prefill and decode against transformers, on this machine, in one run.

Both hold the same shape with random weights, float32 on the CPU; every round runs Lithe, then transformers, then transformers
once more (the A/A spread). Lithe runs as `lithe bench --rounds 1` in a process of its own, so that neither sees the other's
threads. On a GPU the weights are bfloat16, and each process makes its weights once: first Lithe's rounds run, then those of
transformers, twice, then Lithe's again.

    make bench-setup
    .venv-bench/bin/python bench/transformers_dense.py --shape llava-1.5-7b --layers 2
    .venv-bench/bin/python bench/transformers_dense.py --model demo-dense
    .venv-bench/bin/python bench/transformers_dense.py --shape llava-1.5-7b --layers 32 --device cuda
"""
import argparse
import os
import statistics
import time

from lithe_program import lithe_json
from side_by_side import aa_spread, times_as_fast


def decoder_config(args):
    """The decoder's shape, as Lithe sees it."""
    from transformers import LlamaConfig

    if args.model:
        shape = lithe_json("inspect", args.model, "--json")["decoder"]
    else:
        shape = {"llava-1.5-7b": dict(hidden=4096, intermediate=11008, heads=32, kv_heads=32, vocab=32064),
                 "llava-1.5-13b": dict(hidden=5120, intermediate=13824, heads=40, kv_heads=40, vocab=32064)}[args.shape]
        shape["layers"] = args.layers
    return LlamaConfig(hidden_size=shape["hidden"], intermediate_size=shape["intermediate"], num_hidden_layers=shape["layers"],
                       num_attention_heads=shape["heads"], num_key_value_heads=shape["kv_heads"], vocab_size=shape["vocab"],
                       max_position_embeddings=4096, attn_implementation="sdpa")


class Reference:
    """transformers' LLaMA, prefill of random embeddings and greedy decode with its own cache."""

    def __init__(self, config, rows, threads, device):
        import torch
        from transformers import LlamaForCausalLM

        self.torch = torch
        self.device = device
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        torch.set_default_dtype(torch.float32 if device == "cpu" else torch.bfloat16)
        with torch.device(device):
            self.model = LlamaForCausalLM(config).eval()
            self.x = torch.randn(1, rows, config.hidden_size)

    def now(self):
        if self.device != "cpu":
            self.torch.cuda.synchronize()
        return time.perf_counter()

    def round(self, decode_tokens):
        with self.torch.inference_mode():
            start = self.now()
            out = self.model(inputs_embeds=self.x, use_cache=True, logits_to_keep=1)
            middle = self.now()
            cache, token = out.past_key_values, self.torch.ones(1, 1, dtype=self.torch.long, device=self.device)
            for _ in range(decode_tokens):
                cache = self.model(input_ids=token, past_key_values=cache, use_cache=True).past_key_values
            end = self.now()
        return 1e3 * (middle - start), 1e3 * (end - middle)


def lithe_round(args, rounds=1, statistic="min_ms"):
    subject = [args.model] if args.model else ["--shape", args.shape, "--layers", str(args.layers)]
    weights = "float32" if args.device == "cpu" else "bfloat16"
    tests = lithe_json("bench", *subject, "--plan", "dense", "--weights", weights, "--vision-tokens", str(args.vision_tokens),
                       "--text-tokens", str(args.text_tokens), "--decode-tokens", str(args.decode_tokens), "--rounds", str(rounds),
                       "--threads", str(args.threads), "--device", args.device, "-o", "json")["tests"]
    dense = [test for test in tests if test["plan"] == "dense"]
    prefill = next(test[statistic] for test in dense if test["test"].startswith("pp"))
    decode = next(test[statistic] for test in dense if test["test"].startswith("tg"))
    return prefill, decode


def times_on_cpu(args, reference):
    """-> of Lithe, of transformers, of transformers again: [rounds] of (prefill, decode)"""
    ours, theirs, again = [], [], []
    for number in range(args.rounds):
        ours.append(lithe_round(args))
        theirs.append(reference.round(args.decode_tokens))
        again.append(reference.round(args.decode_tokens))
        print(f"round {number + 1} of {args.rounds}", end="\r", flush=True)
    return ours, theirs, again


def times_on_gpu(args, reference):
    """The same; of Lithe the medians of a process before transformers and of one after it."""
    before = lithe_round(args, args.rounds, "median_ms")
    theirs = [reference.round(args.decode_tokens) for _ in range(args.rounds)]
    again = [reference.round(args.decode_tokens) for _ in range(args.rounds)]
    return [before, lithe_round(args, args.rounds, "median_ms")], theirs, again


def report(name, ours, theirs, again):
    both = theirs + again
    middle, least = times_as_fast(ours, theirs, again)
    print(f"{name:8} lithe median {statistics.median(ours):9.2f} ms  min {min(ours):9.2f}   transformers median "
          f"{statistics.median(both):9.2f} ms  min {min(both):9.2f}")
    print(f"{'':8} speed of lithe: {middle:.3f} x (medians), {least:.3f} x (minima); "
          f"A/A spread {100 * aa_spread(theirs, again):.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="a model folder, demo or demo-dense")
    parser.add_argument("--shape", default="llava-1.5-7b")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vision-tokens", type=int, default=576)
    parser.add_argument("--text-tokens", type=int, default=40)
    parser.add_argument("--decode-tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "passive"
    load = os.getloadavg()[0]
    reference = Reference(decoder_config(args), args.vision_tokens + args.text_tokens, args.threads, args.device)
    reference.round(args.decode_tokens)  # warm-up; Lithe warms up inside each of its runs
    ours, theirs, again = (times_on_cpu if args.device == "cpu" else times_on_gpu)(args, reference)
    for index, name in enumerate(("prefill", "decode")):
        report(name, *([pair[index] for pair in series] for series in (ours, theirs, again)))
    print(f"{args.threads} threads, load {load:.2f} before and {os.getloadavg()[0]:.2f} after")


if __name__ == "__main__":
    main()
