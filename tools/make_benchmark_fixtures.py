#!/usr/bin/env python3
"""Writes tests/data/benchmarks: the records of tests/data/golden/benchmarks in the Parquet files that the hub has.

Folders, file names and types of columns are those of the sets on the hub. Pictures are one colour and have the sizes that
the records name.

Needs pyarrow and Pillow (made with 26.0.1 and 13.0.0). Usage: python3 tools/make_benchmark_fixtures.py
"""
import io
import json
import pathlib
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests/data"
ROOT = TESTS / "benchmarks"
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TEXTS = pa.list_(pa.string())

# The files of each task, and the columns that are not texts.
SETS = {
    "ai2d": ("data/test", {"options": TEXTS}),
    "chartqa": ("data/test", {}),
    "docvqa_val": ("DocVQA/validation", {"answers": TEXTS}),
    "gqa": ("testdev_balanced_instructions/testdev", {}),
    "infovqa_val": ("InfographicVQA/validation", {"answers": TEXTS}),
    "mmbench_en_dev": ("en/dev", {"index": pa.int64()}),
    "mme": ("data/test", {}),
    "mmmu_val": ("data/validation", {f"image_{i}": PICTURE for i in range(1, 8)}),
    "ok_vqa_val2014": ("data/val2014", {"answers": TEXTS}),
    "pope": ("data/test", {}),
    "realworldqa": ("data/test", {}),
    "scienceqa_img": ("ScienceQA-IMG/test", {"choices": TEXTS, "answer": pa.int8()}),
    "seedbench": ("data/test", {"image": pa.list_(PICTURE)}),
    "textvqa_val": ("data/validation", {"question_id": pa.int32(), "answers": TEXTS, "ocr_tokens": TEXTS}),
}


def picture(size):
    out = io.BytesIO()
    Image.new("L", size, 120).save(out, "PNG", optimize=True)
    return {"bytes": out.getvalue(), "path": None}


def with_pictures(value):
    """The value with the bytes of a picture for each {"image": [width, height]}."""
    if isinstance(value, dict) and list(value) == ["image"] and isinstance(value["image"], list):
        if all(isinstance(side, int) for side in value["image"]):
            return picture(value["image"])
    if isinstance(value, dict):
        return {key: with_pictures(inner) for key, inner in value.items()}
    return [with_pictures(inner) for inner in value] if isinstance(value, list) else value


def write(task, file, rows, types):
    columns = {key: types.get(key, PICTURE if key == "image" else pa.string()) for key in rows[0]}
    # What no task reads stays unread.
    columns["set"] = pa.string()
    table = pa.Table.from_pylist([{**row, "set": task} for row in rows], pa.schema(columns.items()))
    path = ROOT / task / f"{file}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    for task, (file, types) in SETS.items():
        case = json.loads((TESTS / "golden/benchmarks" / f"{task}.json").read_text())
        rows = [with_pictures(record["doc"]) for record in case["records"]]
        if task == "ok_vqa_val2014":
            for row in rows:
                row["question_id"] = str(row["question_id"])
        write(task, file, rows, types)
        if task == "gqa":
            pictures = [{"id": key, "image": with_pictures(value)} for key, value in case["image_table"].items()]
            write(task, "testdev_balanced_images/testdev", pictures, {})
        if task == "pope":
            for split in sorted({row["category"] for row in rows}):
                write(task, f"Full/{split}", [row for row in rows if row["category"] == split], {})


if __name__ == "__main__":
    main()
