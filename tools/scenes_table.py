#!/usr/bin/env python3
"""Trains the model of `scenes`, tunes it to skip vision tokens by routers and by controls, and prints a Markdown table:
scores by type and by hops, and how many of the needed patches the layers run.

  make build
  tools/scenes_table.py --page docs/scenes.md

It runs `lithe` only, by the recipes of recipes/scenes/: tune and eval. What a stopped run has finished is kept in
--work, and the same command goes on from there. `--rows dense,p-mod-1` makes some rows only; the others are printed if they
are there.
"""

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

import make_scenes
from result_table import (ROOT, Runs, add_options, difference, filled, markdown, percent, put_tables, wanted_rows,
                          with_keys)
from scenes_scores import mean, scores_of

SEEDS = (1, 2, 3)
QUICK = {"max_steps": "2", "warmup_steps": "1", "per_device_train_batch_size": "12"}
QUICK_SIZES = {"train": 60, "test": 18}
# As many vision tokens as p-MoD, on average over the layers: all in the first three, 26 % in the others.
FASTV = {"format": "lithe-plan/1", "name": "fastv", "method": "fastv", "layer": 3, "keep_share": 0.26}
# As many as p-MoD in each layer: first those that the question needs, then others, evenly spread.
ORACLE = {"format": "lithe-plan/1", "name": "oracle", "method": "p-mod", "by": "given", "gate": "none"}
HEADS = ["model", "score", "beside dense", *(f"chain, {hops}" for hops in range(1, 6)), "count", "relation", "digit",
         "recall", "kept", "minutes tuned"]


@dataclass
class Row:
    name: str
    label: str
    recipe: str = ""                             # of recipes/scenes/; "": the weights of the row "dense"
    change: dict = field(default_factory=dict)   # lines of the recipe by their key
    plan: dict = None                            # in place of the model's own
    data: str = "test"


ROWS = [Row("dense", "dense", "dense"),
        Row("blank", "dense; a picture of noise", data="blank"),
        *[Row(f"p-mod-{seed}", f"p-MoD, seed {seed}", "p-mod", {"seed": seed}) for seed in SEEDS],
        *[Row(f"random-{seed}", f"kept at random, seed {seed}", "random",
              {"seed": seed, "p_mod": f"{{by: random, seed: {seed}}}"}) for seed in SEEDS],
        Row("uniform", "kept evenly", "uniform"),
        Row("fastv", "FastV on the dense model", plan=FASTV),
        Row("oracle", "needed tokens kept first, on the dense model", plan=ORACLE)]


class Table(Runs):
    def __init__(self, options):
        super().__init__(options)
        self.data = Path(options.data).resolve()
        if not self.data.exists():
            make_scenes.make(self.data, **(QUICK_SIZES if options.quick else {}))

    def model(self, row):
        return self.folder(row.name if row.recipe else "dense") / "tuned"

    def make(self, row):
        if row.recipe:
            self.tune(row.name, self.recipe(row))
        plan = self.folder(row.name) / "plan.json"
        if row.plan:
            plan.write_text(json.dumps(row.plan))
        flags = ["--plan", plan] if row.plan else []
        self.evaluate(row.name, self.model(row), "--task", "exact_match", "--data", self.data / f"{row.data}.json", "-n", 4,
                      "--batch-size", 64, *flags)

    def recipe(self, row):
        text = (ROOT / f"recipes/scenes/{row.recipe}.yaml").read_text()
        begin = self.data / "model" if row.recipe == "dense" else self.folder("dense") / "tuned"
        changes = {"model_name_or_path": begin, "data": self.data / "train.json", **row.change}
        return with_keys(text, {**changes, **(QUICK if self.options.quick else {})})

    def cells(self, row):
        right, dense = self.right(row.name), self.right("dense")
        if right is None:
            return None
        records = json.loads((self.data / "test.json").read_text())
        scores = scores_of(records, self.samples(row.name))
        whole = ([score for some in scores[kind].values() for score in some] for kind in ("count", "relation", "digit"))
        took = self.kept(row.name, "tuned.json")
        return [row.label, percent(right), difference(right, dense) if dense and row.name != "dense" else "-",
                *(mean(scores["chain"][hops]) for hops in range(1, 6)), *map(mean, whole), *self.recall_cells(row),
                f"{took['minutes']:.1f}" if took else "-"]

    def recall_cells(self, row):
        """Means over the layers that skip something; of noise nothing is needed."""
        result = self.kept(row.name, "eval/result.json") if row.data == "test" else {}
        layers = [layer for layer in result.get("recall", []) if layer["kept_share"] < 1]
        if not layers:
            return ["-", "-"]
        return [f"{100 * sum(layer[key] for layer in layers) / len(layers):.1f}" for key in ("recall_share", "kept_share")]

    def markdown(self):
        return markdown(HEADS, [cells for row in ROWS if (cells := self.cells(row))])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [row.name for row in ROWS]
    parser.add_argument("--work", default="tuned/scenes-table", help="folder of models and answers")
    parser.add_argument("--data", default="data/scenes", help="what tools/make_scenes.py writes; made if missing")
    parser.add_argument("--page", type=Path, help="a page whose table of models is replaced")
    parser.add_argument("--quick", action="store_true", help="two steps and a few questions, to try the tool")
    add_options(parser, names, times=False)
    options = parser.parse_args()
    wanted = wanted_rows(parser, options, names)
    table = filled(Table(options), ROWS, wanted).markdown()
    if options.page:
        put_tables(options.page, [table])
    print(table)


if __name__ == "__main__":
    main()
