#!/usr/bin/env python3
"""Writes what the recipes of recipes/small-eas/ begin from: questions of easy-VQA and two small models.

OUT/scienceqa, OUT/vqav2    the questions in the files of those benchmarks
OUT/lavin, OUT/meter        models in the layouts of LaVIN and METER, to be trained in full first

  make data
  tools/make_small_eas.py data/small-eas      a finished OUT stays as it is
"""

import argparse
from pathlib import Path

from data_folder import whole_folder
from small_eas_data import write_sets
from small_eas_models import write_lavin, write_meter

ROOT = Path(__file__).parents[1]


def make(out, source=ROOT / "data/easy-vqa", demo=ROOT / "models/easyvqa-dense", train=6000, test=1500):
    out = Path(out)
    if out.exists():
        return
    with whole_folder(out) as part:
        texts = write_sets(source, part, train, test)
        write_lavin(demo, part / "lavin")
        write_meter(demo, part / "meter", texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--source", default=ROOT / "data/easy-vqa", help="what make data wrote")
    parser.add_argument("--train", type=int, default=6000, help="questions to learn from")
    parser.add_argument("--test", type=int, default=1500, help="questions to be asked")
    options = parser.parse_args()
    make(options.out, options.source, train=options.train, test=options.test)
    print(f"{options.out}: scienceqa, vqav2, lavin, meter")


if __name__ == "__main__":
    main()
