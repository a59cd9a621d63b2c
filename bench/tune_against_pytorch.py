#!/usr/bin/env python3
"""Time training steps against PyTorch with transformers' LLaMA layers and peft, on this machine, in one run.

Both hold random weights of the same shape, and both train full or by LoRA over the same rows: forward, backward, clipping and
AdamW. Sequences of unequal lengths are packed by Lithe and padded for PyTorch. Every round runs Lithe, PyTorch and PyTorch once
more (the A/A spread). Lithe runs as `bench_tune --serve` in a process of its own.

    make bench-setup
    cmake --build --preset release --target bench_tune
    .venv-bench/bin/python bench/tune_against_pytorch.py --learn full --lengths 676
    .venv-bench/bin/python bench/tune_against_pytorch.py --learn lora --lengths 100,200,400,676
"""
import argparse
import json
import os
import subprocess
import time

from lithe_program import ROOT
from side_by_side import compare

LABELS, RANK, ALPHA = 20, 128, 256  # as in bench/tune.cpp


class Lithe:
    def __init__(self, args):
        command = [str(ROOT / "build/release/bin/bench_tune"), "--serve", "--layers", str(args.layers), "--learn", args.learn,
                   "--weights", args.weights, "--compute", args.compute, "--lengths", args.lengths]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "OMP_NUM_THREADS": str(args.threads)})

    def step(self):
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["ms"], answer["cpu_ms"]


class PyTorch:
    """LlamaForCausalLM over random embeddings, right-padded, with labels at the end of each sequence."""

    def __init__(self, args):
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        self.torch = torch
        torch.set_num_threads(args.threads)
        torch.manual_seed(0)
        lengths = [int(length) for length in args.lengths.split(",")]
        config = LlamaConfig(hidden_size=4096, intermediate_size=11008, num_hidden_layers=args.layers, num_attention_heads=32,
                             num_key_value_heads=32, vocab_size=32064, max_position_embeddings=4096, attn_implementation="sdpa",
                             use_cache=False)
        weights = torch.bfloat16 if args.learn == "lora" and args.weights == "bfloat16" else torch.float32
        torch.set_default_dtype(weights)
        model = LlamaForCausalLM(config)
        torch.set_default_dtype(torch.float32)
        if args.learn == "lora":
            from peft import LoraConfig, get_peft_model

            names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
            model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=names))
        else:
            model.get_input_embeddings().weight.requires_grad_(False)
        self.model = model.train()
        self.learning = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(self.learning, lr=2e-11, weight_decay=0.0, fused=True)
        self.rows = torch.randn(len(lengths), max(lengths), config.hidden_size).to(weights).requires_grad_(True)
        self.mask = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
        self.labels = torch.full((len(lengths), max(lengths)), -100)
        for i, length in enumerate(lengths):
            self.mask[i, :length] = 1
            self.labels[i, length - LABELS:length] = torch.arange(LABELS)
        self.padded = min(lengths) != max(lengths)
        self.casts = args.compute == "bfloat16" and weights == torch.float32  # bfloat16 weights need no cast

    def step(self):
        start, cpu = time.perf_counter(), time.process_time()
        self.optimiser.zero_grad(set_to_none=True)
        self.rows.grad = None
        with self.torch.autocast("cpu", self.torch.bfloat16, enabled=self.casts):
            loss = self.model(inputs_embeds=self.rows, attention_mask=self.mask if self.padded else None, labels=self.labels).loss
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.learning, 1.0)
        self.optimiser.step()
        return 1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - cpu)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--learn", choices=["full", "lora"], default="full")
    parser.add_argument("--weights", choices=["float32", "bfloat16"], default="float32", help="how frozen weights are stored")
    parser.add_argument("--compute", choices=["float32", "bfloat16"], default="float32",
                        help="how Lithe multiplies (bf16 of a recipe), and PyTorch over float32 weights (autocast); "
                        "over bfloat16 weights PyTorch multiplies in bfloat16")
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--lengths", default="676", help="rows of each sequence of the batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    load = os.getloadavg()[0]
    lithe, pytorch = Lithe(args), PyTorch(args)
    lithe.step(), pytorch.step()  # warm-up
    compare(lithe, pytorch, f"{args.learn}, {args.layers} layers, rows {args.lengths}, {args.weights} weights, {args.compute} products:", args, load)


if __name__ == "__main__":
    main()
