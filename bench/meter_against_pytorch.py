#!/usr/bin/env python3
"""Time METER's VQA pass against PyTorch with the same shapes and weights, on this machine, in one run.

METER's published shape (CLIP-ViT-B/16, RoBERTa-base, six layers a stream, 3,129 answers) with random weights is saved as a .ckpt,
which Lithe reads. PyTorch runs it from plain functions: scaled_dot_product_attention, linear, layer_norm, gelu; texts are padded to
40 tokens, as METER's data loader does, or to the longest with --pad longest. Both get the same texts and pictures, and the logits are
compared before anything is timed. Every round runs Lithe, PyTorch and PyTorch once more (the A/A spread).

    make bench-setup
    cmake --build --preset release --target bench_meter
    .venv-bench/bin/python bench/meter_against_pytorch.py --side 224 --rounds 9
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

import torch
import torch.nn.functional as F

from lithe_program import ROOT
from side_by_side import compare

WIDTH, MLP, HEADS, LABELS, VOCAB = 768, 3072, 12, 3129, 50265
TOWER = "vit_model.visual."


def random_weights(side, generator):
    """A state_dict with METER's names."""
    weights = {}

    def matrix(name, *shape, scale=None):
        weights[name] = torch.randn(*shape, generator=generator) * (scale or shape[-1] ** -0.5)

    def linear(name, out, inner):
        matrix(f"{name}.weight", out, inner)
        matrix(f"{name}.bias", out, scale=0.02)

    def norm(name, width=WIDTH):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.ones(width), torch.zeros(width)

    def bert(name, cross):
        for site in ["attention"] + ["crossattention"] * cross:
            for part in ("query", "key", "value"):
                linear(f"{name}.{site}.self.{part}", WIDTH, WIDTH)
            linear(f"{name}.{site}.output.dense", WIDTH, WIDTH)
            norm(f"{name}.{site}.output.LayerNorm")
        linear(f"{name}.intermediate.dense", MLP, WIDTH)
        linear(f"{name}.output.dense", WIDTH, MLP)
        norm(f"{name}.output.LayerNorm")

    matrix("text_transformer.embeddings.word_embeddings.weight", VOCAB, WIDTH, scale=0.1)
    matrix("text_transformer.embeddings.position_embeddings.weight", 514, WIDTH, scale=0.1)
    matrix("text_transformer.embeddings.token_type_embeddings.weight", 1, WIDTH, scale=0.1)
    norm("text_transformer.embeddings.LayerNorm")
    for layer in range(12):
        bert(f"text_transformer.encoder.layer.{layer}", False)
    matrix(f"{TOWER}class_embedding", WIDTH, scale=0.1)
    weights[f"{TOWER}conv1.weight"] = torch.randn(WIDTH, 3, 16, 16, generator=generator) * 0.03
    matrix(f"{TOWER}positional_embedding", (side // 16) ** 2 + 1, WIDTH, scale=0.1)
    norm(f"{TOWER}ln_pre"), norm(f"{TOWER}ln_post")
    for layer in range(11):
        block = f"{TOWER}transformer.resblocks.{layer}"
        matrix(f"{block}.attn.in_proj_weight", 3 * WIDTH, WIDTH)
        matrix(f"{block}.attn.in_proj_bias", 3 * WIDTH, scale=0.02)
        linear(f"{block}.attn.out_proj", WIDTH, WIDTH)
        norm(f"{block}.ln_1"), norm(f"{block}.ln_2")
        linear(f"{block}.mlp.c_fc", MLP, WIDTH)
        linear(f"{block}.mlp.c_proj", WIDTH, MLP)
    for stream in ("text", "image"):
        linear(f"cross_modal_{stream}_transform", WIDTH, WIDTH)
        linear(f"cross_modal_{stream}_pooler.dense", WIDTH, WIDTH)
        for layer in range(6):
            bert(f"cross_modal_{stream}_layers.{layer}", True)
    matrix("token_type_embeddings.weight", 2, WIDTH, scale=0.1)
    linear("vqa_classifier.0", 2 * WIDTH, 2 * WIDTH)
    norm("vqa_classifier.1", 2 * WIDTH)
    linear("vqa_classifier.3", LABELS, 2 * WIDTH)
    return weights


class PyTorch:
    """METER as its public code computes it, with PyTorch's own attention."""

    def __init__(self, weights, lengths, side, pad):
        self.w = weights
        longest = 40 if pad == "max" else max(lengths)
        self.ids = torch.ones(len(lengths), longest, dtype=torch.long)
        for i, length in enumerate(lengths):
            self.ids[i, 0], self.ids[i, length - 1] = 0, 2
            for j in range(1, length - 1):
                self.ids[i, j] = 4 + (17 * j + 31 * i) % 1000
        self.real = self.ids != 1
        self.mask = None if bool(self.real.all()) else self.real[:, None, None, :]
        count = len(lengths) * 3 * side * side
        self.pixels = torch.sin(torch.arange(count, dtype=torch.float32) * 0.01).view(len(lengths), 3, side, side)

    def linear(self, name, x):
        return F.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def norm(self, name, x, eps):
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps)

    @staticmethod
    def attend(q, k, v, mask):
        split = [x.view(x.shape[0], x.shape[1], HEADS, -1).transpose(1, 2) for x in (q, k, v)]
        return F.scaled_dot_product_attention(*split, attn_mask=mask).transpose(1, 2).reshape(q.shape)

    def site(self, name, x, other, mask, eps):
        q, k, v = (self.linear(f"{name}.self.{part}", rows) for part, rows in (("query", x), ("key", other), ("value", other)))
        return self.norm(f"{name}.output.LayerNorm", x + self.linear(f"{name}.output.dense", self.attend(q, k, v, mask)), eps)

    def feed(self, name, x, eps):
        inner = F.gelu(self.linear(f"{name}.intermediate.dense", x))
        return self.norm(f"{name}.output.LayerNorm", x + self.linear(f"{name}.output.dense", inner), eps)

    def text(self):
        root = "text_transformer.embeddings."
        places = torch.where(self.real, 1 + self.real.long().cumsum(1), 1)
        x = (F.embedding(self.ids, self.w[root + "word_embeddings.weight"]) + F.embedding(places, self.w[root + "position_embeddings.weight"])
             + self.w[root + "token_type_embeddings.weight"])
        x = self.norm(root + "LayerNorm", x, 1e-5)
        for layer in range(12):
            name = f"text_transformer.encoder.layer.{layer}"
            x = self.feed(name, self.site(f"{name}.attention", x, x, self.mask, 1e-5), 1e-5)
        return self.linear("cross_modal_text_transform", x)

    def image(self):
        x = F.conv2d(self.pixels, self.w[f"{TOWER}conv1.weight"], stride=16).flatten(2).transpose(1, 2)
        x = torch.cat([self.w[f"{TOWER}class_embedding"].expand(len(x), 1, -1), x], 1) + self.w[f"{TOWER}positional_embedding"]
        x = self.norm(f"{TOWER}ln_pre", x, 1e-5)
        for layer in range(11):
            block = f"{TOWER}transformer.resblocks.{layer}"
            y = self.norm(f"{block}.ln_1", x, 1e-5)
            q, k, v = F.linear(y, self.w[f"{block}.attn.in_proj_weight"], self.w[f"{block}.attn.in_proj_bias"]).chunk(3, -1)
            x = x + self.linear(f"{block}.attn.out_proj", self.attend(q, k, v, None))
            y = self.linear(f"{block}.mlp.c_fc", self.norm(f"{block}.ln_2", x, 1e-5))
            x = x + self.linear(f"{block}.mlp.c_proj", y * torch.sigmoid(1.702 * y))
        return self.linear("cross_modal_image_transform", self.norm(f"{TOWER}ln_post", x, 1e-5))

    @torch.inference_mode()
    def logits(self):
        types = self.w["token_type_embeddings.weight"]
        x, y = self.text() + types[0], self.image() + types[1]
        for layer in range(6):
            old = {"text": (x, self.mask), "image": (y, None)}
            new = []
            for stream, other in (("text", "image"), ("image", "text")):
                name = f"cross_modal_{stream}_layers.{layer}"
                h = self.site(f"{name}.attention", old[stream][0], old[stream][0], old[stream][1], 1e-12)
                h = self.site(f"{name}.crossattention", h, old[other][0], old[other][1], 1e-12)
                new.append(self.feed(name, h, 1e-12))
            x, y = new
        pooled = torch.cat([torch.tanh(self.linear(f"cross_modal_{stream}_pooler.dense", rows[:, 0]))
                            for stream, rows in (("text", x), ("image", y))], -1)
        hidden = F.gelu(self.norm("vqa_classifier.1", self.linear("vqa_classifier.0", pooled), 1e-5))
        return self.linear("vqa_classifier.3", hidden)

    def step(self):
        start, cpu = time.perf_counter(), time.process_time()
        self.logits()
        return 1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - cpu)


class Lithe:
    def __init__(self, checkpoint, lengths, threads):
        self.process = subprocess.Popen([str(ROOT / "build/release/bin/bench_meter"), checkpoint, "--lengths", ",".join(map(str, lengths))],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "OMP_NUM_THREADS": str(threads)})

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def step(self):
        answer = self.ask("step")
        return answer["ms"], answer["cpu_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lengths", default="6,7,8,8,9,10,12,16", help="tokens of each text; VQAv2's questions have 8 on average")
    parser.add_argument("--side", type=int, default=384, help="pixels of a picture")
    parser.add_argument("--pad", choices=["max", "longest"], default="max", help="to what PyTorch's texts are padded")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    lengths = [int(length) for length in args.lengths.split(",")]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = str(pathlib.Path(folder) / "meter.ckpt")
        weights = random_weights(args.side, torch.Generator().manual_seed(0))
        torch.save({"state_dict": weights, "hyper_parameters": {"config": {"image_size": args.side, "max_text_len": 40}}}, checkpoint)
        lithe, pytorch = Lithe(checkpoint, lengths, args.threads), PyTorch(weights, lengths, args.side, args.pad)
        ours, theirs = torch.tensor(lithe.ask("logits")["logits"]), pytorch.logits().flatten()
        largest = (ours - theirs).abs().max().item()
        assert largest < 1e-3 * max(1.0, theirs.abs().max().item()), f"the logits differ by {largest}"
        lithe.step(), pytorch.step()  # warm-up
        title = f"{len(lengths)} pairs, texts of {args.lengths} tokens, {args.side} px; logits differ by {largest:.1e}:"
        compare(lithe, pytorch, title, args, load)


if __name__ == "__main__":
    main()
