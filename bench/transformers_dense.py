#!/usr/bin/env python3
"""Time dense float32 prefill and decode against transformers, on this machine, in one run.

Both hold the same shape with random float32 weights; every round runs Lithe, then transformers, then transformers once more (the
A/A spread). Lithe runs as `lithe bench --rounds 1` in a process of its own, so that neither sees the other's threads.

    make bench-setup
    .venv-bench/bin/python bench/transformers_dense.py --shape llava-1.5-7b --layers 2
    .venv-bench/bin/python bench/transformers_dense.py --model demo-dense
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

    def __init__(self, config, rows, threads):
        import torch
        from transformers import LlamaForCausalLM

        self.torch = torch
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.model = LlamaForCausalLM(config).eval()
        self.x = torch.randn(1, rows, config.hidden_size)

    def round(self, decode_tokens):
        with self.torch.inference_mode():
            start = time.perf_counter()
            out = self.model(inputs_embeds=self.x, use_cache=True, logits_to_keep=1)
            middle = time.perf_counter()
            cache, token = out.past_key_values, self.torch.ones(1, 1, dtype=self.torch.long)
            for _ in range(decode_tokens):
                cache = self.model(input_ids=token, past_key_values=cache, use_cache=True).past_key_values
            end = time.perf_counter()
        return 1e3 * (middle - start), 1e3 * (end - middle)


def lithe_round(args):
    subject = [args.model] if args.model else ["--shape", args.shape, "--layers", str(args.layers)]
    tests = lithe_json("bench", *subject, "--plan", "dense", "--weights", "float32", "--vision-tokens", str(args.vision_tokens),
                       "--text-tokens", str(args.text_tokens), "--decode-tokens", str(args.decode_tokens), "--rounds", "1",
                       "--threads", str(args.threads), "-o", "json")["tests"]
    dense = [test for test in tests if test["plan"] == "dense"]
    prefill = next(test["min_ms"] for test in dense if test["test"].startswith("pp"))
    decode = next(test["min_ms"] for test in dense if test["test"].startswith("tg"))
    return prefill, decode


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
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "passive"
    load = os.getloadavg()[0]
    reference = Reference(decoder_config(args), args.vision_tokens + args.text_tokens, args.threads)
    reference.round(args.decode_tokens)  # warm-up; Lithe warms up inside each of its runs
    ours, theirs, again = [], [], []
    for number in range(args.rounds):
        ours.append(lithe_round(args))
        theirs.append(reference.round(args.decode_tokens))
        again.append(reference.round(args.decode_tokens))
        print(f"round {number + 1} of {args.rounds}", end="\r", flush=True)
    for index, name in enumerate(("prefill", "decode")):
        report(name, *([pair[index] for pair in series] for series in (ours, theirs, again)))
    print(f"{args.threads} threads, load {load:.2f} before and {os.getloadavg()[0]:.2f} after")


if __name__ == "__main__":
    main()
