#!/usr/bin/env python3
"""Trains a small LaVIN and a small METER, skips attentions of both by EAS and by lists drawn at random, and prints two
Markdown tables: score, attentions that are skipped, counted cost, measured times, minutes of search and of tuning.

  make build data
  tools/small_eas_table.py --page docs/small-eas.md

It runs `lithe` only, by the recipes of recipes/small-eas/: tune, fold, eval, inspect, bench and batch. What a stopped run has
finished is kept in --work, and the same command goes on from there. `--rows lavin-base,lavin` makes some rows only; the
others are printed if they are there.
"""

import argparse
import itertools
import json
import random
import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from make_small_eas import make
from result_table import (ROOT, Runs, add_options, difference, filled, markdown, percent, put_tables, times_of,
                          wanted_rows, with_keys, with_share)

SEEDS = (1, 2, 3)
ROUNDS, TIMED = 5, 512     # METER's times: rounds, and questions of each
QUICK = {"max_steps": "2", "warmup_steps": "1", "per_device_train_batch_size": "2"}
QUICK_SEARCH = "search: {steps: 2, warmup_steps: 0, every_steps: 1, draws: 2, held_out: 2}"


@dataclass
class Family:
    """One of the two models."""
    name: str
    label: str
    sites: int                 # attentions that may be skipped
    skipped: int
    ask: list                  # flags of `lithe eval`
    count: list                # flags of `lithe inspect`: tokens of a usual question
    heads: list                # of its times
    freeze: bool = False       # its adapters fold only with the gates and means of one prompt


LAVIN = Family("lavin", "LaVIN", 12, 4, ["--task", "scienceqa", "--split", "test", "--prompt", "QCM-EA"],
               ["--text-tokens", 56], ["prefill", "decode"], freeze=True)
METER = Family("meter", "METER", 16, 10, ["--task", "vqav2", "--split", "val"], ["--text-tokens", 9], ["forward"])


@dataclass
class Row:
    name: str
    label: str
    family: Family
    recipe: str = ""           # of recipes/small-eas/; "": another row's model, folded
    skip: list = None          # in place of the search
    folds: str = ""            # that row


def rows_of(family):
    name = family.name
    rows = [Row(f"{name}-base", "trained in full, no adapters", family, f"{name}-base"),
            Row(name, "dense, tuned", family, name),
            Row(f"{name}-eas", "EAS", family, f"{name}-eas"),
            Row(f"{name}-folded", "EAS, folded", family, folds=f"{name}-eas")]
    for seed in SEEDS:
        skip = sorted(random.Random(seed).sample(range(family.sites), family.skipped))
        rows.append(Row(f"{name}-random-{seed}", f"drawn at random ({seed})", family, f"{name}-eas", skip))
    return rows


ROWS = [*rows_of(LAVIN), *rows_of(METER)]


class Table(Runs):
    def __init__(self, options):
        super().__init__(options)
        self.data = Path(options.data).resolve()
        sizes = {"train": 60, "test": 20} if options.quick else {}
        make(self.data, options.source, **sizes)

    def model(self, row):
        return self.folder(row.name) / ("folded" if row.folds else "tuned")

    def base(self, row):
        return self.folder(f"{row.family.name}-base") / "tuned"

    def set_of(self, family):
        return self.data / ("scienceqa" if family is LAVIN else "vqav2")

    def make(self, row):
        if row.folds:
            self.fold(row)
        else:
            self.tune(row.name, self.recipe(row))
        self.evaluate(row.name, self.model(row), *row.family.ask, "--data", self.set_of(row.family), "--batch-size", 64)
        self.measure(row)

    def recipe(self, row):
        text = (ROOT / f"recipes/small-eas/{row.recipe}.yaml").read_text()
        begin = self.data / row.family.name if row.recipe.endswith("-base") else self.base(row)
        text = with_keys(text.replace("data/small-eas/", f"{self.data}/"), {"model_name_or_path": begin})
        if row.skip:
            text = re.sub(r"skip: \d+", f"skip: {row.skip}", re.sub(r", search: \{[^}]*\}", "", text))
        if self.options.quick:
            text = re.sub(r"search: \{[^}]*\}", QUICK_SEARCH, with_keys(text, QUICK))
        return text

    def fold(self, row):
        if self.model(row).exists():
            return
        question, picture = next(self.questions(row.family))
        self.lithe("fold", self.folder(row.folds) / "tuned", "-o", self.model(row), "--image", picture, "--prompt",
                   question, *(["--freeze"] if row.family.freeze else []))

    def questions(self, family):
        """Questions of the test as the model reads them, and their pictures."""
        place = self.set_of(family)
        if family is LAVIN:
            for sample in self.samples("lavin-base"):
                yield sample["prompt"].removeprefix("<image>\n"), place / f"images/test/{sample['id']}/image.png"
            return
        asked = json.loads((place / "v2_OpenEnded_mscoco_val2014_questions.json").read_text())["questions"]
        for one in asked:
            yield one["question"], place / f"val2014/COCO_val2014_{one['image_id']:012d}.jpg"

    def measure(self, row):
        if not self.kept(row.name, "cost.json"):
            cost = self.lithe("inspect", self.model(row), "--json", *row.family.count)
            self.keep(row.name, "cost.json", json.loads(cost))
        is_control = row.skip or row.recipe.endswith("-base")
        if is_control or self.options.no_times or self.kept(row.name, "times.json"):
            return
        self.keep(row.name, "times.json", self.lavin_times(row) if row.family is LAVIN else self.meter_times(row))

    def lavin_times(self, row):
        bench = self.lithe("bench", self.model(row), "--dense-model", self.base(row), "--json", "--rounds", 15,
                           *row.family.count)
        return times_of(json.loads(bench))

    def meter_times(self, row):
        """The model and the one without adapters in turn, less what starting takes."""
        asked, one = self.folder("meter-base") / "asked.jsonl", self.folder("meter-base") / "one.jsonl"
        lines = [json.dumps({"id": i, "prompt": question, "image": str(picture)}) + "\n"
                 for i, (question, picture) in enumerate(itertools.islice(self.questions(METER), TIMED))]
        asked.write_text("".join(lines))
        one.write_text(lines[0])
        taken = {"model": [], "base": [], "again": []}
        for _ in range(ROUNDS):
            for name in taken:
                model = self.model(row) if name == "model" else self.base(row)
                taken[name].append(self.seconds(model, asked) - self.seconds(model, one))
        middle = {name: statistics.median(seconds) for name, seconds in taken.items()}
        apart = abs(middle["again"] / middle["base"] - 1)
        return [f"{100 * middle['model'] / middle['base']:.0f} % ± {100 * apart:.0f}"]

    def seconds(self, model, asked):
        out = asked.with_suffix(".answers")
        out.unlink(missing_ok=True)
        begin = time.monotonic()
        self.lithe("batch", model, asked, "-o", out, "--batch-size", 64)
        return time.monotonic() - begin

    def cells(self, row):
        name = row.family.name
        right, dense = self.right(row.name), self.right(name)
        if right is None:
            return None
        beside = difference(right, dense) if dense and row.name not in (name, f"{name}-base") else "-"
        times, took = self.kept(row.name, "times.json"), self.kept(row.name, "tuned.json")
        minutes = [f"{took['search']:.1f}" if took["search"] > 0 else "-", f"{took['minutes']:.1f}"] if took else ["-"] * 2
        return [row.label, self.skipped(row), percent(right), beside, self.flops(row),
                *(times or ["-"] * len(row.family.heads)), *minutes]

    def skipped(self, row):
        """The numbers of the attentions."""
        scores = self.kept(row.folds or row.name, "tuned/search/scores.json")
        found = row.skip or (scores["skipped_layers"] if scores else [])
        return ", ".join(map(str, sorted(found))) or "-"

    def flops(self, row):
        own, base = (flops_of(self.kept(name, "cost.json")) for name in (row.name, f"{row.family.name}-base"))
        return with_share(own / 1e6, "M", own / base)

    def markdown(self, family):
        heads = [family.label, "attentions skipped", "score", "beside dense", "FLOPs", *family.heads,
                 "minutes of search", "minutes of tuning"]
        rows = [row for row in ROWS if row.family is family]
        return markdown(heads, [cells for row in rows if (cells := self.cells(row))])


def flops_of(cost):
    return cost["parts"][-1]["flops"] if "parts" in cost else cost["cost"]["total"]["flops"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="tuned/small-eas-table", help="folder of models, answers and times")
    parser.add_argument("--data", default="data/small-eas", help="what tools/make_small_eas.py writes; made if missing")
    parser.add_argument("--source", default=ROOT / "data/easy-vqa", help="what make data wrote")
    parser.add_argument("--page", type=Path, help="a page whose tables are replaced")
    parser.add_argument("--quick", action="store_true", help="two steps and a few questions, to try the tool")
    names = [row.name for row in ROWS]
    add_options(parser, names)
    options = parser.parse_args()
    wanted = wanted_rows(parser, options, names)
    table = filled(Table(options), ROWS, wanted)
    tables = [table.markdown(family) for family in (LAVIN, METER)]
    if options.page:
        put_tables(options.page, tables)
    print("\n\n".join(tables))


if __name__ == "__main__":
    main()
