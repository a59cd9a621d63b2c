#!/usr/bin/env python3
"""Writes `scenes`: pictures of small things in noise, questions that take several looks, and a model to learn them.

OUT/train.json, OUT/test.json   LLaVA records. Besides the conversation they have "type", "hops", "needed" (the patches that
                                tell the answer, row by row from 0) and "needed_hop" (the hop that needs each, from 1)
OUT/train/N.png, OUT/test/N.png the pictures; six questions each
OUT/blank.json, OUT/blank.png   the questions of the test, with a picture of noise alone
OUT/scenes.json                 seed, sizes, the grid of patches, and what baselines score
OUT/model                       a small LLaVA with random weights, to be trained in full

  tools/make_scenes.py data/scenes      a finished OUT stays as it is

The seed decides every byte of questions and pictures, on every machine. The official splits are those of seed 1.
"""

import argparse
import json
import sys
from pathlib import Path

from data_folder import whole_folder, write_records
from scenes_baselines import SHORTCUTS, by_text, by_type, constant_scores, shortcut_scores
from scenes_model import write_model
from scenes_pictures import CELL_PX, GRID, SIDE_PX, picture
from scenes_questions import MOST_HOPS, NAMES, TYPES, all_texts, scene_of

TRAIN, TEST = 120000, 3000     # questions of the official splits


def record(split, number, place, question, image=None):
    return {"id": f"{split}-{number}-{place}", "image": image or f"{split}/{number}.png",
            "conversations": [{"from": "human", "value": f"<image>\n{question.text}"},
                              {"from": "gpt", "value": question.answer}],
            "type": question.kind, "hops": question.hops, "needed": question.needed, "needed_hop": question.needed_hop}


def write_split(out, seed, split, count, types):
    """The first `count` questions of these types in a split.

    -> list of (scene, question); without the scenes for training, which would take much memory
    """
    (out / split).mkdir()
    asked, records, blank = [], [], []
    number = 0
    while len(asked) < count:
        scene = scene_of(seed, split, number)
        (out / split / f"{number}.png").write_bytes(picture(scene.things, scene.name))
        chosen = [one for one in enumerate(scene.questions()) if one[1].kind in types]
        for place, question in chosen[:count - len(asked)]:
            asked.append((scene if split == "test" else None, question))
            records.append(record(split, number, place, question))
            blank.append(record(split, number, place, question, "blank.png"))
        number += 1
    write_records(out / f"{split}.json", records)
    if split == "test":
        write_records(out / "blank.json", blank)
    return asked


def percent(right):
    return round(100 * sum(right) / len(right), 1)


def baselines_of(learnt, asked):
    """What is right without a look at the picture, or with a wrong one, in percent."""
    scores = {"the most frequent answer of the type": percent(constant_scores(learnt, asked, by_type)),
              "the most frequent answer of the question": percent(constant_scores(learnt, asked, by_text))}
    return {**scores, **{name: percent(shortcut_scores(name, asked)) for name in SHORTCUTS}}


def make(out, train=TRAIN, test=TEST, seed=1, types=TYPES):
    """-> what OUT/scenes.json holds"""
    with whole_folder(Path(out)) as part:
        sets = {split: write_split(part, seed, split, count, types) for split, count in (("train", train), ("test", test))}
        (part / "blank.png").write_bytes(picture({}, f"scenes/1 {seed} blank"))
        meta = {"format": "scenes/1", "seed": seed, "questions": {"train": train, "test": test}, "grid": [GRID, GRID],
                "patch_px": CELL_PX, "image_px": SIDE_PX, "types": list(types), "most_hops": MOST_HOPS, "colours": NAMES,
                "baselines": baselines_of(sets["train"], sets["test"])}
        (part / "scenes.json").write_text(json.dumps(meta, indent=1) + "\n")
        write_model(part / "model", all_texts())
    return meta


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--train", type=int, default=TRAIN, help="questions to learn from")
    parser.add_argument("--test", type=int, default=TEST, help="questions to be asked")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--types", default=",".join(TYPES), help="comma-separated; of each picture, only these are asked")
    options = parser.parse_args()
    if min(options.train, options.test) < 1:
        parser.error("--train and --test must be at least 1")
    types = options.types.split(",")
    if unknown := [kind for kind in types if kind not in TYPES]:
        parser.error(f"unknown types: {', '.join(unknown)}; there are {', '.join(TYPES)}")
    file = Path(options.out) / "scenes.json"
    meta = json.loads(file.read_text()) if file.exists() else None
    if meta is None and file.parent.exists():
        sys.exit(f"make_scenes: {options.out} exists, but tools/make_scenes.py did not write it; name a new folder.")
    wanted = {"seed": options.seed, "questions": {"train": options.train, "test": options.test}, "types": types}
    if meta and {key: meta[key] for key in wanted} != wanted:
        sys.exit(f"make_scenes: {options.out} was made with another seed, other sizes or other types; delete it or name a "
                 "new folder.")
    meta = meta or make(options.out, options.train, options.test, options.seed, types)
    print(f"{options.out}: {options.train} questions to learn from, {options.test} to be asked; % right on the latter")
    for name, score in meta["baselines"].items():
        print(f"  {score:5.1f}  {name}")


if __name__ == "__main__":
    main()
