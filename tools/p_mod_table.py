#!/usr/bin/env python3
"""Prints the scores of p-MoD's paper, and beside them those that `lithe eval` measured.

  tools/p_mod_table.py                                                  what the paper says
  tools/p_mod_table.py next eval/p-mod-llava-next-7b                    and what was measured for one of its models
  tools/p_mod_table.py 1.5 eval/llava-1.5-7b eval/p-mod-llava-1.5-7b

The folders of a model are named by task, as docs/reproduce-p-mod.md has it: eval/MODEL/gqa/result.json. ± is the standard
error. Needs only the standard library.
"""
import argparse
import json
import pathlib
import sys

# Task, its row in the table of `lithe eval` (both protocols' names), then LLaVA-1.5-7B, p-MoD, LLaVA-NeXT-7B, p-MoD.
PAPER = (
    ("seedbench", ("seed_image",), 66.2, 66.5, 68.9, 69.0),
    ("realworldqa", ("exact_match",), 55.6, 55.7, 57.6, 57.6),
    ("mme", ("mme_percetion_score", "mme_perception_score"), 1506.8, 1482.8, 1519.3, 1495.5),
    ("mmbench_en_dev", ("gpt_eval_score",), 64.1, 65.4, 67.5, 67.3),
    ("pope", ("pope_f1_score",), 85.9, 85.5, 87.2, 86.8),
    ("gqa", ("exact_match",), 61.9, 62.2, 63.5, 63.3),
    ("ai2d", ("exact_match",), 55.2, 56.2, 64.0, 65.1),
    ("docvqa_val", ("anls",), 28.1, 27.6, 70.1, 70.0),
    ("chartqa", ("relaxed_overall",), 18.2, 16.8, 61.6, 61.8),
    ("textvqa_val", ("exact_match",), 46.0, 44.8, 62.7, 60.5),
    ("infovqa_val", ("anls",), 25.8, 26.8, 34.7, 34.1),
    ("ok_vqa_val2014", ("exact_match",), 53.4, 56.0, 54.0, 55.1),
    ("mmmu_val", ("mmmu_acc",), 36.6, 36.3, 35.3, 36.0),
    ("scienceqa_img", ("exact_match",), 69.7, 69.3, 69.7, 71.0),
)
COLUMNS = {"1.5": ("LLaVA-1.5-7B", 2), "next": ("LLaVA-NeXT-7B", 4)}     # the model, and where its numbers begin


def measured(folder, task, rows):
    """-> (score, its standard error or None), or None if the task was not scored"""
    file = pathlib.Path(folder) / task / "result.json"
    if not file.exists():
        return None
    for score in json.loads(file.read_text())["scores"]:
        if score["name"] in rows and score.get("value") is not None:
            return score["value"], score.get("standard_error")
    return None


def cell(score):
    if score is None:
        return "-"
    value, error = score
    return f"{value:.1f}" + (f" ± {error:.1f}" if error is not None else "")


def mean(scores):
    """Of all benchmarks but MME, which counts points; "-" if one is missing"""
    percent = [score[0] for (task, *_), score in zip(PAPER, scores) if task != "mme" and score is not None]
    return f"{sum(percent) / len(percent):.1f}" if len(percent) == len(PAPER) - 1 else "-"


def table(families, folders):
    heads, columns = ["benchmark", "score"], []
    for model, at in (COLUMNS[family] for family in families):
        heads += [f"{model}, paper", "p-MoD, paper"]
        columns += [[(row[at + i], None) for row in PAPER] for i in (0, 1)]
    heads += [pathlib.Path(folder).name for folder in folders]
    columns += [[measured(folder, task, rows) for task, rows, *_ in PAPER] for folder in folders]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for number, (task, rows, *_) in enumerate(PAPER):
        cells = [f"`{task}`", f"`{rows[0]}`", *(cell(column[number]) for column in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("| " + " | ".join(["mean without MME", "", *map(mean, columns)]) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", nargs="?", choices=sorted(COLUMNS), help="the model (default: both)")
    parser.add_argument("folders", nargs="*", metavar="EVAL", help="what `lithe eval` wrote for a model, by task")
    options = parser.parse_args()
    for folder in options.folders:
        if not pathlib.Path(folder).is_dir():
            sys.exit(f"p_mod_table: there is no folder {folder}; give the one that holds the tasks' folders of a model")
    print(table([options.family] if options.family else sorted(COLUMNS), options.folders))


if __name__ == "__main__":
    main()
