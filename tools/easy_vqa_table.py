#!/usr/bin/env python3
"""Tunes demo-dense on easy-VQA by the recipes of recipes/ and by controls, judges every result alike, and
prints a Markdown table: score on the official test split, counted cost, measured times, minutes of tuning.

  make build data
  tools/easy_vqa_table.py --work tuned/table > table.md

It runs `lithe` only: tune, fold, eval, inspect and bench. What a stopped run has finished is kept in --work, and the same
command goes on from there. `--rows dense,p-mod` makes some rows only; the others are printed if they are there.
"""

import argparse
import json
import random
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from png_file import png_file
from result_table import (ROOT, Runs, add_options, difference, filled, markdown, percent, times_of, wanted_rows,
                          with_keys, with_share)

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


class Table(Runs):
    def __init__(self, options):
        super().__init__(options)
        records = json.loads((DATA / "test.json").read_text())
        self.questions = sum(picture(r) < options.pictures for r in records)  # the file goes picture by picture
        self.records = records[:self.questions]

    def model(self, row):
        """The folder that answers."""
        if row.answers_of:
            return self.model(next(r for r in ROWS if r.name == row.answers_of))
        if not row.recipe:
            return DENSE
        return self.folder(row.name) / ("tuned" if row.fold is None else "folded")

    def make(self, row):
        if row.recipe:
            recipe = (ROOT / f"recipes/{row.recipe}.yaml").read_text()
            self.tune(row.name, with_keys(recipe, {**row.change, "save_steps": "50"}))
        if row.fold is not None and not self.model(row).exists():
            self.lithe("fold", self.folder(row.name) / "tuned", "-o", self.model(row), *row.fold)
        self.evaluate(row.name, self.model(row), "--task", "exact_match", "--data", self.data_of(row), "-n", 8,
                      "--limit", self.questions, "--batch-size", 64)
        if not row.answers_of:
            self.measure(row)

    def data_of(self, row):
        """The file of the questions."""
        if not row.blank:
            return DATA / "test.json"
        (self.folder(row.name) / "blank.png").write_bytes(white_picture(64))
        file = self.folder(row.name) / "test.json"
        file.write_text(json.dumps([{**record, "image": "blank.png"} for record in self.records]))
        return file

    def measure(self, row):
        if not self.kept(row.name, "cost.json"):
            whole, vision = (json.loads(self.lithe("inspect", self.model(row), "--json", *flags))["cost"]
                             for flags in ([], ["--text-tokens", 0]))
            self.keep(row.name, "cost.json", {"whole": whole, "vision": vision})
        if not self.kept(row.name, "times.json") and not self.options.no_times:
            bench = self.lithe("bench", self.model(row), "--dense-model", DENSE, "--json", "--rounds", 15)
            self.keep(row.name, "times.json", json.loads(bench))

    def cells(self, row):
        right, baseline = self.right(row.name), self.right("dense")
        if right is None:
            return None
        cells = [row.label, percent(right), difference(right, baseline) if baseline and row.name != "dense" else "-"]
        if row.answers_of:
            return cells + ["-"] * 6
        cost = self.kept(row.name, "cost.json")
        total, dense = cost["whole"]["total"], cost["whole"]["dense"]
        seen = cost["vision"]
        cells.append(with_share(total["flops"] / 1e6, "M", total["flops"] / dense["flops"]))
        cells.append(f"{100 * seen['total']['decoder_flops'] / seen['dense']['decoder_flops']:.1f} %")
        cells.append(with_share(total["kv_bytes"] / 1024, "KiB", total["kv_bytes"] / dense["kv_bytes"]))
        times, took = self.kept(row.name, "times.json"), self.kept(row.name, "tuned.json")
        cells += times_of(times) if times else ["-", "-"]
        return cells + [f"{took['minutes'] + took.get('search', 0):.1f}" if took else "-"]

    def markdown(self):
        heads = ["model", "score", "beside dense, tuned", "FLOPs", "vision work", "KV cache",
                 "prefill", "decode", "minutes tuned"]
        return markdown(heads, [cells for row in ROWS if (cells := self.cells(row))])


def picture(record):
    return int(Path(record["image"]).stem)


def white_picture(size):
    return png_file(size, size, 8, 2, zlib.compress((b"\0" + b"\xff" * 3 * size) * size))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="tuned/table", help="folder of models, answers and times")
    parser.add_argument("--pictures", type=int, default=1000, help="the first N of the 1,000 test pictures")
    names = [row.name for row in ROWS]
    add_options(parser, names)
    options = parser.parse_args()
    wanted = wanted_rows(parser, options, names)
    table = filled(Table(options), ROWS, wanted)
    print(table.markdown())


if __name__ == "__main__":
    main()
