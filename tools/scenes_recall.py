#!/usr/bin/env python3
"""Scores how a model skips vision tokens on `scenes`: for each layer, the share of needed patches that it runs.

  tools/scenes_recall.py MODEL data/scenes --pictures 20          (after `make build`)

It runs `lithe trace` once for each question and prints a Markdown table. "kept" is the share of all vision tokens that the
layer runs; tokens kept at random would have the same recall. "hop N" counts the patches that hop N needs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from result_table import ROOT, markdown
from safetensors_file import read_safetensors

IMAGE_ID = -200                # what a trace has in input_ids for a picture


def kept_patches(path, patches):
    """-> for each layer, the set of the picture's patches that ran in it"""
    tensors = read_safetensors(path, lambda name: name == "input_ids" or name.endswith(".kept"))
    _, ids = tensors.pop("input_ids")
    first = ids.index(IMAGE_ID)
    kept = [tensors[f"layers.{layer}.kept"][1] for layer in range(len(tensors))]
    return [{token - first for token in tokens if 0 <= token - first < patches} for tokens in kept]


class Recall:
    """Sums over questions."""

    def __init__(self, patches):
        self.patches = patches
        self.questions = 0
        self.kept = defaultdict(int)       # {layer: patches that ran}
        self.needed = defaultdict(int)     # {hop: patches}; hop 0: those of all hops
        self.found = defaultdict(int)      # {(layer, hop): needed patches that ran}

    def add(self, record, layers):
        self.questions += 1
        asked = [*zip(record["needed"], record["needed_hop"]), *((patch, 0) for patch in record["needed"])]
        for _, hop in asked:
            self.needed[hop] += 1
        for layer, kept in enumerate(layers):
            self.kept[layer] += len(kept)
            for patch, hop in asked:
                self.found[layer, hop] += patch in kept

    def share(self, layer, hop=0):
        return self.found[layer, hop] / self.needed[hop]

    def kept_share(self, layer):
        return self.kept[layer] / (self.patches * self.questions)

    def layers(self):
        """-> what --json prints"""
        hops = sorted(hop for hop in self.needed if hop)
        return [{"layer": layer, "kept_share": self.kept_share(layer), "recall_share": self.share(layer),
                 "recall_share_by_hop": {str(hop): self.share(layer, hop) for hop in hops}} for layer in sorted(self.kept)]

    def markdown(self):
        hops = sorted(hop for hop in self.needed if hop)
        heads = ["layer", "kept", "recall", *(f"hop {hop}" for hop in hops)]
        rows = [[str(one["layer"]), *(f"{100 * share:.1f}" for share in
                 (one["kept_share"], one["recall_share"], *one["recall_share_by_hop"].values()))] for one in self.layers()]
        return markdown(heads, rows)


def first_pictures(records, count):
    """The questions about the first pictures of a split."""
    pictures = list(dict.fromkeys(record["image"] for record in records))[:count]
    return [record for record in records if record["image"] in set(pictures)]


def measure(options):
    data = Path(options.data)
    meta = json.loads((data / "scenes.json").read_text())
    rows, columns = meta["grid"]
    recall = Recall(rows * columns)
    records = json.loads((data / f"{options.split}.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.safetensors"
        for record in first_pictures(records, options.pictures):
            question = record["conversations"][0]["value"].split("\n", 1)[1]
            line = [options.lithe, "trace", options.model, "--image", data / record["image"], "--prompt", question,
                    "--max-tokens", "0", "-o", trace]
            line += ["--plan", options.plan] if options.plan else []
            line += ["--threads", str(options.threads)] if options.threads else []
            done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"scenes_recall: {record['id']}: {done.stderr.strip()}")
            recall.add(record, kept_patches(trace, recall.patches))
    return recall


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("data", metavar="DATA", help="what tools/make_scenes.py wrote")
    parser.add_argument("--split", default="test", choices=["train", "test"])
    parser.add_argument("--pictures", type=int, default=20, help="the first N pictures; six questions each")
    parser.add_argument("--plan", help="a plan in place of the model's own")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--lithe", default="build/lithe")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    options.model, options.data = (str(Path(path).resolve()) for path in (options.model, options.data))
    recall = measure(options)
    print(json.dumps({"questions": recall.questions, "layers": recall.layers()}) if options.json else recall.markdown())


if __name__ == "__main__":
    main()
