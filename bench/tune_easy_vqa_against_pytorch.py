#!/usr/bin/env python3
"""Time the steps of recipes/easy-vqa-dense.yaml beside the same training in PyTorch with transformers' LLaVA, in one run.

Lithe runs `lithe tune` as a user would: it reads, decodes and resizes pictures during the run, and computes the rows of a picture
once for all its questions in a batch. PyTorch gets batches of as many samples, padded on the right, with pictures that are
prepared before. Both train the decoder and the projector in float32: forward, backward, clipping and AdamW. Every round runs
Lithe, PyTorch and PyTorch once more (the A/A spread); a time is the median over the steps of its run.

    make data bench-setup
    .venv-bench/bin/python bench/tune_easy_vqa_against_pytorch.py
"""
import argparse
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import tempfile
import time

from lithe_program import ROOT
from side_by_side import aa_spread, times_as_fast

LITHE = ROOT / "build/lithe"
RECIPE = ROOT / "recipes/easy-vqa-dense.yaml"
SYSTEM = ("A chat between a curious user and an artificial intelligence assistant. "
          "The assistant gives helpful, detailed, and polite answers to the user's questions. ")
IGNORED = -100


def value_of(recipe, key):
    return re.search(rf"^{key}: *([^ #\n]+)", recipe, re.M).group(1)


def lithe_steps_ms(folder, number, steps, threads):
    """The times of the steps of one run, but the first two, in milliseconds."""
    output = folder / f"tuned-{number}"
    recipe = re.sub(r"^output_dir: .*$", f"output_dir: {output}", RECIPE.read_text(), flags=re.M)
    recipe = re.sub(r"^max_steps: .*$", f"max_steps: {steps}", recipe, flags=re.M)
    (folder / "recipe.yaml").write_text(recipe + "\nreport_to: none\n")
    subprocess.run([LITHE, "tune", folder / "recipe.yaml", "--threads", str(threads)], cwd=ROOT, check=True, capture_output=True)
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [1e3 * line["seconds"] for line in lines][2:]


class PyTorch:
    def __init__(self, model, batch_size, steps, threads):
        import torch
        from transformers import AutoTokenizer, CLIPImageProcessor, LlavaForConditionalGeneration

        self.torch = torch
        torch.set_num_threads(threads)
        self.model = LlavaForConditionalGeneration.from_pretrained(model, dtype=torch.float32).train()
        self.model.requires_grad_(True)
        self.model.model.vision_tower.requires_grad_(False)
        self.learning = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(self.learning, lr=1e-9, weight_decay=0.0, fused=True)
        tokenizer, pictures = AutoTokenizer.from_pretrained(model), CLIPImageProcessor.from_pretrained(model)
        records = json.loads((ROOT / "data/easy-vqa/train.json").read_text())
        random.Random(0).shuffle(records)
        self.batches = [self.batch(records[i * batch_size:(i + 1) * batch_size], tokenizer, pictures) for i in range(steps)]

    def batch(self, records, tokenizer, pictures):
        from PIL import Image

        config = self.model.config
        places = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
        rows, labels = [], []
        for record in records:
            question, answer = (turn["value"] for turn in record["conversations"])
            before = tokenizer(SYSTEM + "USER: ").input_ids
            after = tokenizer(question.replace("<image>", "") + " ASSISTANT:", add_special_tokens=False).input_ids
            told = tokenizer(" " + answer, add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
            rows.append(before + [config.image_token_id] * places + after + told)
            labels.append([IGNORED] * (len(rows[-1]) - len(told)) + told)
        longest = max(map(len, rows))
        padded = lambda lists, filler: self.torch.tensor([row + [filler] * (longest - len(row)) for row in lists])
        images = [Image.open(ROOT / "data/easy-vqa" / record["image"]).convert("RGB") for record in records]
        return {"input_ids": padded(rows, 0), "labels": padded(labels, IGNORED),
                "attention_mask": padded([[1] * len(row) for row in rows], 0),
                "pixel_values": pictures(images, return_tensors="pt").pixel_values}

    def steps_ms(self):
        times = []
        for batch in self.batches:
            start = time.perf_counter()
            self.optimiser.zero_grad(set_to_none=True)
            self.model(**batch).loss.backward()
            self.torch.nn.utils.clip_grad_norm_(self.learning, 1.0)
            self.optimiser.step()
            times.append(1e3 * (time.perf_counter() - start))
        return times[2:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=14, help="of a run; the first two are not counted")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    load = os.getloadavg()[0]
    recipe = RECIPE.read_text()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        subprocess.run([LITHE, "convert", value_of(recipe, "model_name_or_path"), "-o", folder / "hf"], check=True, capture_output=True)
        pytorch = PyTorch(folder / "hf", int(value_of(recipe, "per_device_train_batch_size")), args.steps, args.threads)
        lithe, first, again = [], [], []
        for number in range(args.rounds):
            lithe.append(statistics.median(lithe_steps_ms(folder, number, args.steps, args.threads)))
            first.append(statistics.median(pytorch.steps_ms()))
            again.append(statistics.median(pytorch.steps_ms()))
            print(f"round {number + 1} of {args.rounds}", end="\r", flush=True)
    middle, least = times_as_fast(lithe, first, again)
    print(f"a step: lithe {statistics.median(lithe):.0f} ms, pytorch {statistics.median(first + again):.0f} ms: {middle:.2f} x "
          f"(minima {least:.2f} x), A/A {100 * aa_spread(first, again):.1f} %")
    print(f"{args.rounds} rounds, {args.threads} threads, load {load:.2f} before and {os.getloadavg()[0]:.2f} after")


if __name__ == "__main__":
    main()
