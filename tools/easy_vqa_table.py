#!/usr/bin/env python3
"""Tunes demo-dense on easy-VQA by the recipes of recipes/ and by controls, judges every result alike, and
prints a Markdown table: score on the official test split, counted cost, measured times, minutes of tuning.

  make build data
  tools/easy_vqa_table.py --work tuned/table > table.md

It runs `lithe` only: tune, fold, batch, inspect and bench. What a stopped run has finished is kept in --work, and the same
command goes on from there. `--rows dense,p-mod` makes some rows only; the others are printed if they are there.
"""

import argparse
import json
import random
import re
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data/easy-vqa"
DENSE = "models/easyvqa-dense"
LAYERS, SKIPPED = 12, 4


@dataclass
class Row:
    name: str
    label: str
    recipe: str = ""                             # of recipes/; "": the model as it is shipped
    change: dict = field(default_factory=dict)   # lines of the recipe by their key
    fold: list = None                            # flags of `lithe fold`
    answers_of: str = ""                         # another row's model ..
    blank: bool = False                          # .. which sees a white picture


def random_list(seed):
    return sorted(random.Random(seed).sample(range(LAYERS), SKIPPED))


FREEZE = ["--freeze", "--image", "data/easy-vqa/train/0.png", "--prompt", "what shape is in the image?"]
ROWS = [
    Row("shipped", "dense, as shipped"),
    Row("dense", "dense, tuned", "easy-vqa-dense"),
    Row("p-mod", "p-MoD", "easy-vqa-p-mod"),
    Row("eas", "EAS, folded", "easy-vqa-eas", fold=FREEZE),
    Row("p-mod-eas", "p-MoD and EAS, folded", "easy-vqa-p-mod-eas", fold=FREEZE),
    Row("lora", "LoRA, folded", "easy-vqa-lora", fold=[]),
    Row("blank", "dense, tuned; a blank picture", answers_of="dense", blank=True),
    Row("uniform", "p-MoD's budget, tokens kept evenly", "easy-vqa-p-mod", {"p_mod": "{by: uniform}"}),
    Row("random", "p-MoD's budget, tokens kept at random", "easy-vqa-p-mod", {"p_mod": "{by: random}"}),
    *[Row(f"list-{seed}", f"EAS without search, layers {random_list(seed)}, folded", "easy-vqa-eas",
          {"eas": f"{{skip: {random_list(seed)}}}"}, fold=FREEZE) for seed in (1, 2, 3)],
]


class Table:
    def __init__(self, options):
        self.options = options
        self.work = Path(options.work)
        self.records = [r for r in json.loads((DATA / "test.json").read_text()) if picture(r) < options.pictures]

    def lithe(self, command, *arguments, **how):
        line = [self.options.lithe, command, *map(str, arguments)]
        if self.options.threads:
            line += ["--threads", str(self.options.threads)]
        print("$", " ".join(line), file=sys.stderr)
        done = subprocess.run(line, cwd=ROOT, stdout=subprocess.PIPE, text=True, **how)
        if done.returncode != 0:
            sys.exit(f"easy_vqa_table: lithe {command} failed ({done.returncode})")
        return done.stdout

    def folder(self, row):
        place = (self.work / row.name).resolve()
        place.mkdir(parents=True, exist_ok=True)
        return place

    def model(self, row):
        """The folder that answers."""
        if row.answers_of:
            return self.model(next(r for r in ROWS if r.name == row.answers_of))
        if not row.recipe:
            return DENSE
        return self.folder(row) / ("tuned" if row.fold is None else "folded")

    def make(self, row):
        if row.recipe:
            self.tune(row)
        if row.fold is not None and not self.model(row).exists():
            self.lithe("fold", self.folder(row) / "tuned", "-o", self.model(row), *row.fold)
        self.answer(row)
        if not row.answers_of:
            self.measure(row)

    def tune(self, row):
        took = self.folder(row) / "tuned.json"
        if took.exists():
            return
        text = (ROOT / f"recipes/{row.recipe}.yaml").read_text()
        resume = {"save_steps": "50", "resume_from_checkpoint": "true"}
        for key, value in {"output_dir": self.folder(row) / "tuned", **row.change, **resume}.items():
            text, count = re.subn(rf"(?m)^{key}:.*$", f"{key}: {value}", text)
            text += "" if count else f"{key}: {value}\n"
        recipe = self.folder(row) / "recipe.yaml"
        recipe.write_text(text)
        begin = time.monotonic()
        self.lithe("tune", recipe)
        took.write_text(json.dumps({"minutes": (time.monotonic() - begin) / 60}))

    def answer(self, row):
        requests = self.folder(row) / "questions.jsonl"
        blank = self.folder(row) / "blank.png"
        blank.write_bytes(white_picture(64))
        lines = [json.dumps({"id": r["id"], "image": str(blank if row.blank else DATA / r["image"]),
                             "prompt": question(r)}) for r in self.records]
        requests.write_text("\n".join(lines) + "\n")
        self.lithe("batch", self.model(row), requests, "-o", self.folder(row) / "answers.jsonl", "-n", 8,
                   "--batch-size", 64)

    def measure(self, row):
        cost = self.folder(row) / "cost.json"
        if not cost.exists():
            whole, vision = (json.loads(self.lithe("inspect", self.model(row), "--json", *flags))["cost"]
                             for flags in ([], ["--text-tokens", 0]))
            cost.write_text(json.dumps({"whole": whole, "vision": vision}))
        times = self.folder(row) / "times.json"
        if not times.exists() and not self.options.no_times:
            times.write_text(self.lithe("bench", self.model(row), "--dense-model", DENSE, "--json", "--rounds", 15))

    def right(self, row):
        """For each question, whether the answer equals the data's; None if some have no answer yet."""
        file = self.work / row.name / "answers.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        answers = {a["id"]: a.get("answer", "").strip() for a in map(json.loads, lines)}
        wanted = {r["id"]: r["conversations"][1]["value"] for r in self.records}
        return [answers[i] == text for i, text in wanted.items()] if wanted.keys() <= answers.keys() else None

    def cells(self, row):
        right, baseline = self.right(row), self.right(ROWS[1])
        if right is None:
            return None
        cells = [row.label, f"{100 * sum(right) / len(right):.2f}",
                 difference(right, baseline) if baseline and row.name != "dense" else "-"]
        if row.answers_of:
            return cells + ["-"] * 6
        cost = json.loads((self.folder(row) / "cost.json").read_text())
        total, dense = cost["whole"]["total"], cost["whole"]["dense"]
        seen = cost["vision"]
        cells.append(with_share(total["flops"] / 1e6, "M", total["flops"] / dense["flops"]))
        cells.append(f"{100 * seen['total']['decoder_flops'] / seen['dense']['decoder_flops']:.1f} %")
        cells.append(with_share(total["kv_bytes"] / 1024, "KiB", total["kv_bytes"] / dense["kv_bytes"]))
        times = self.folder(row) / "times.json"
        cells += times_of(json.loads(times.read_text())) if times.exists() else ["-", "-"]
        took = self.folder(row) / "tuned.json"
        return cells + [f"{json.loads(took.read_text())['minutes']:.1f}" if took.exists() else "-"]

    def markdown(self):
        heads = ["model", "score", "beside dense, tuned", "FLOPs", "vision work", "KV cache",
                 "prefill", "decode", "minutes tuned"]
        lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
        for row in ROWS:
            if cells := self.cells(row):
                lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)


def picture(record):
    return int(Path(record["image"]).stem)


def question(record):
    return record["conversations"][0]["value"].split("\n", 1)[1]


def difference(right, baseline):
    """In points, with the standard error of questions that only one of both answers right."""
    gained = sum(a and not b for a, b in zip(right, baseline))
    lost = sum(b and not a for a, b in zip(right, baseline))
    return f"{100 * (gained - lost) / len(right):+.2f} ± {100 * (gained + lost) ** 0.5 / len(right):.2f}"


def with_share(value, unit, share):
    return f"{value:,.0f} {unit} ({100 * share:.1f} %)"


def times_of(bench):
    """Prefill and decode as a share of dense, medians of runs that take turns; and how far equal runs differ."""
    cells = []
    for kind in ("pp", "tg"):
        test = next(t for t in bench["tests"] if t["test"].startswith(kind) and "median_ratio" in t)
        cells.append(f"{100 * test['median_ratio']:.0f} % ± {100 * test['aa_spread_share']:.0f}")
    return cells


def white_picture(size):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xff" * 3 * size) * size
    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="tuned/table", help="folder of models, answers and times")
    parser.add_argument("--lithe", default="build/lithe")
    parser.add_argument("--pictures", type=int, default=1000, help="the first N of the 1,000 test pictures")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rows", help="comma-separated: " + ", ".join(r.name for r in ROWS))
    parser.add_argument("--no-times", action="store_true", help="without lithe bench")
    options = parser.parse_args()
    wanted = options.rows.split(",") if options.rows is not None else [r.name for r in ROWS]
    if unknown := [name for name in wanted if name and name not in {r.name for r in ROWS}]:
        parser.error(f"unknown rows: {', '.join(unknown)}")
    table = Table(options)
    for row in ROWS:
        if row.name in wanted:
            table.make(row)
    print(table.markdown())


if __name__ == "__main__":
    main()
