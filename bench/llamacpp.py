#!/usr/bin/env python3
"""Time Lithe and llama.cpp in turn, on random weights of 7B width (two layers, embeddings and head), with equal bits.

llama.cpp is run by its Python package, which has to be built for this processor (some 12 minutes):

    python3 -m venv .venv-bench
    CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=ON -DLLAMA_BUILD_TOOLS=OFF" .venv-bench/bin/pip install llama-cpp-python gguf
    .venv-bench/bin/python bench/llamacpp.py --weights int8 --rows 640

Each round runs a prefill and some single tokens: llama.cpp, Lithe dense, Lithe with the plan, llama.cpp again. Lithe's int8
has a scale for each row and int4 one for 64 numbers; Q8_0 and Q4_0 have one for 32.
"""
import argparse
import os
import pathlib
import random
import statistics
import tempfile
import time

import gguf
import numpy
from llama_cpp import Llama
from lithe_program import lithe_json
from side_by_side import aa_spread, times_as_fast

KINDS = {"float16": "F16", "int8": "Q8_0", "int4": "Q4_0"}
LAYERS, HIDDEN, INNER, HEADS, TOKENS = 2, 4096, 11008, 32, 32064
BYTES = 256


class RandomModel:
    """Writes LLaMA's architecture with random weights of one type."""

    def __init__(self, path, kind):
        self.kind, self.draw = kind, numpy.random.default_rng(0)
        self.file = gguf.GGUFWriter(str(path), "llama")
        self.settings()
        self.tokenizer()
        for name in ("token_embd", "output"):
            self.matrix(name, TOKENS, HIDDEN)
        self.norm("output_norm")
        for layer in range(LAYERS):
            self.layer(f"blk.{layer}.")
        for write in (self.file.write_header_to_file, self.file.write_kv_data_to_file, self.file.write_tensors_to_file):
            write()
        self.file.close()

    def settings(self):
        file = self.file
        file.add_context_length(8192)
        file.add_embedding_length(HIDDEN)
        file.add_block_count(LAYERS)
        file.add_feed_forward_length(INNER)
        file.add_head_count(HEADS)
        file.add_head_count_kv(HEADS)
        file.add_layer_norm_rms_eps(1e-5)
        file.add_rope_dimension_count(HIDDEN // HEADS)
        file.add_vocab_size(TOKENS)

    def tokenizer(self):
        special = [b"<unk>", b"<s>", b"</s>"]
        names = special + [f"<0x{i:02X}>".encode() for i in range(BYTES)]
        names += [f"t{i}".encode() for i in range(TOKENS - len(names))]
        self.file.add_tokenizer_model("llama")
        self.file.add_token_list(names)
        self.file.add_token_scores([0.0] * TOKENS)
        self.file.add_token_types([2, 3, 3] + [6] * BYTES + [1] * (TOKENS - BYTES - len(special)))
        self.file.add_bos_token_id(1)
        self.file.add_eos_token_id(2)

    def layer(self, prefix):
        for norm in ("attn_norm", "ffn_norm"):
            self.norm(prefix + norm)
        for product in ("attn_q", "attn_k", "attn_v", "attn_output"):
            self.matrix(prefix + product, HIDDEN, HIDDEN)
        self.matrix(prefix + "ffn_gate", INNER, HIDDEN)
        self.matrix(prefix + "ffn_up", INNER, HIDDEN)
        self.matrix(prefix + "ffn_down", HIDDEN, INNER)

    def matrix(self, name, outs, width):
        values = self.draw.standard_normal((outs, width), dtype=numpy.float32) * 0.02
        if self.kind == "F16":
            self.file.add_tensor(name + ".weight", values.astype(numpy.float16))
        else:
            kind = getattr(gguf.GGMLQuantizationType, self.kind)
            self.file.add_tensor(name + ".weight", gguf.quants.quantize(values, kind), raw_dtype=kind)

    def norm(self, name):
        self.file.add_tensor(name + ".weight", numpy.ones(HIDDEN, numpy.float32))


class LlamaCpp:
    def __init__(self, path, args):
        self.args = args
        self.tokens = random.Random(0).choices(range(300, 32000), k=args.rows)
        self.model = Llama(model_path=str(path), n_ctx=args.rows + args.decode + 8, n_threads=args.threads,
                           n_threads_batch=args.threads, n_batch=args.rows, n_ubatch=min(args.rows, 512), verbose=False,
                           use_mmap=False)

    def round(self):
        """Milliseconds of a prefill, and of a token after it."""
        self.model.reset()
        begin = time.perf_counter()
        self.model.eval(self.tokens)
        filled = time.perf_counter()
        for token in range(self.args.decode):
            self.model.eval([400 + token])
        end = time.perf_counter()
        return 1e3 * (filled - begin), 1e3 * (end - filled) / self.args.decode


def lithe_round(args):
    """Milliseconds of a prefill and of a token, dense and with the plan; a process of its own, which warms up by a round."""
    shape = "llava-next-7b" if args.rows > 2000 else "llava-1.5-7b"
    result = lithe_json("bench", "--shape", shape, "--layers", str(LAYERS), "--tower-layers", "1", "--vision-tokens",
                        str(args.rows - 40), "--text-tokens", "40", "--rounds", "1", "--decode-tokens", str(args.decode),
                        "--weights", args.weights, "--compute", args.compute, "--plan", args.plan, "--threads",
                        str(args.threads), "--json")
    times = {}
    for test in result["tests"]:
        if test["test"][:2] in ("pp", "tg"):
            scale = args.decode if test["test"].startswith("tg") else 1
            times.setdefault(test["plan"], []).append(test["median_ms"] / scale)
    return times["dense"], times[args.plan]


def report(args, theirs, again, dense, plan, load):
    print(f"{args.weights} ({KINDS[args.weights]}), products in {args.compute}, {args.rows} tokens, {args.threads} threads, "
          f"{args.rounds} rounds, load {load:.1f} before and {os.getloadavg()[0]:.1f} after")
    print(f"| | llama.cpp | Lithe, dense | times as fast (minima) | Lithe, {args.plan} | times as fast (minima) | A/A |")
    print("|---|---|---|---|---|---|---|")
    for column, name in enumerate(("prefill", "a token")):
        a, b, d, p = ([times[column] for times in series] for series in (theirs, again, dense, plan))
        cells = [f"{statistics.median(a + b):.1f} ms"]
        for mine in (d, p):
            cells.append(f"{statistics.median(mine):.1f} ms")
            cells.append("{:.2f} ({:.2f})".format(*times_as_fast(mine, a, b)))
        print(f"| {name} | {' | '.join(cells)} | {100 * aa_spread(a, b):.1f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", choices=KINDS, default="int8")
    parser.add_argument("--compute", default="float32")
    parser.add_argument("--plan", default="p-mod")
    parser.add_argument("--rows", type=int, default=640)
    parser.add_argument("--decode", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "random.gguf"
        RandomModel(path, KINDS[args.weights])
        llama = LlamaCpp(path, args)
        llama.round()
        series = [], [], [], []
        for number in range(args.rounds):
            first = llama.round()
            dense, plan = lithe_round(args)
            for one, times in zip(series, (first, llama.round(), dense, plan)):
                one.append(times)
            print(f"round {number + 1} of {args.rounds}", end="\r", flush=True)
    report(args, *series, load)


if __name__ == "__main__":
    main()
