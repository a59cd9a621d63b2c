#!/usr/bin/env python3
"""Splits the scores of `lithe eval` on `scenes` by type and by hops.

  build/lithe eval MODEL --task exact_match --data data/scenes/test.json -o eval/scenes
  tools/scenes_scores.py data/scenes/test.json eval/scenes
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from result_table import markdown, samples_in


def scores_of(records, samples):
    """-> {type: {hops: list of scores}}"""
    scores = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        if "score" in sample:
            record = records[sample["question"]]
            scores[record["type"]][record["hops"]].append(sample["score"])
    return scores


def mean(scores):
    return f"{100 * sum(scores) / len(scores):.1f}" if scores else "-"


def table(scores):
    hops = sorted({hop for one in scores.values() for hop in one})
    rows = [[kind, *(mean(one[hop]) for hop in hops), mean([score for some in one.values() for score in some])]
            for kind, one in scores.items()]
    of_hop = [[score for one in scores.values() for score in one[hop]] for hop in hops]
    rows.append(["all", *map(mean, of_hop), mean([score for some in of_hop for score in some])])
    return markdown(["type", *(f"{hop} hop{'' if hop == 1 else 's'}" for hop in hops), "all"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="DATA", type=Path, help="the file of the split")
    parser.add_argument("answers", metavar="EVAL", type=Path, help="the folder that lithe eval wrote")
    options = parser.parse_args()
    print(table(scores_of(json.loads(options.data.read_text()), samples_in(options.answers))))


if __name__ == "__main__":
    main()
