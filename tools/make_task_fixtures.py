#!/usr/bin/env python3
"""Writes tests/data/tasks: a few made-up records of each benchmark, in the files that the sets are downloaded as.

Pictures are one colour, told apart by their width. The Arrow files have the columns of METER's and ViLT's scripts, and the
Parquet files those of the hub.

Needs pyarrow and Pillow (made with 26.0.1 and 13.0.0). Usage: python3 tools/make_task_fixtures.py
"""
import io
import json
import pathlib
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/tasks"


def picture(width, form="PNG"):
    out = io.BytesIO()
    Image.new("RGB", (width, 8), (90, 120, 40)).save(out, form)
    return out.getvalue()


def write(name, content):
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, list) and name.endswith((".jsonl", "nlvr2/dev.json")):
        path.write_text("".join(json.dumps(line) + "\n" for line in content))
    else:
        path.write_text(json.dumps(content, indent=1) + "\n")


def arrow(name, columns):
    table = pa.table(columns)
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.RecordBatchFileWriter(sink, table.schema) as writer:
        writer.write_table(table)


def scienceqa():
    problems = {}
    for i, (subject, grade, hint, image) in enumerate([
            ("natural science", "grade2", "", "image.png"), ("social science", "grade8", "Look at the map.", None),
            ("language science", "grade11", "", None), ("natural science", "grade5", "A magnet is near.", "image.png")], 1):
        problems[str(i)] = {
            "question": f"Question {i}?", "choices": ["red", "blue", "green"][:2 + i % 2], "answer": i % 2, "hint": hint,
            "image": image, "task": "closed choice", "grade": grade, "subject": subject, "topic": "made up",
            "category": "made up", "skill": "made up", "lecture": "A  lecture.\nTwo lines." if i == 1 else "",
            "solution": f"It is {i}.", "split": "train" if i == 4 else "test"}
    write("scienceqa/problems.json", problems)
    write("scienceqa/pid_splits.json", {"train": ["4"], "val": [], "test": ["1", "2", "3"]})
    write("scienceqa/captions.json", {"captions": {"1": "A red thing.", "4": "A magnet."}})
    write("scienceqa/images/test/1/image.png", picture(11))
    write("scienceqa/images/train/4/image.png", picture(14))
    rows = [dict(problems[key]) for key in ("1", "2", "3")]
    for i, row in enumerate(rows):
        row["image"] = {"bytes": picture(11), "path": "image.png"} if row["image"] else None
        del row["split"]
    (ROOT / "scienceqa_hub/data").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), ROOT / "scienceqa_hub/data/test-00000-of-00001.parquet")


def vqav2():
    people = [["red"] * 7 + ["dark red"] * 3, ["yes"] * 10, ["2"] * 5 + ["two"] * 3 + ["3"] * 2]
    types = ["other", "yes/no", "number"]
    texts = ["What color is the bus?", "Is it open?", "How many dogs are there?"]
    questions = [{"image_id": 42 if i < 2 else 73, "question": texts[i], "question_id": 42000 + i} for i in range(3)]
    annotations = [{
        "question_type": "what", "multiple_choice_answer": max(set(people[i]), key=people[i].count), "image_id":
        questions[i]["image_id"], "answer_type": types[i], "question_id": questions[i]["question_id"], "answers":
        [{"answer": a, "answer_confidence": "yes", "answer_id": k + 1} for k, a in enumerate(people[i])]} for i in range(3)]
    info = {"info": {"version": "2.0", "note": "a } in a \"text\" ["}, "license": {"name": "made up"}}
    write("vqav2/v2_OpenEnded_mscoco_val2014_questions.json", {**info, "task_type": "Open-Ended", "questions": questions})
    # In another order, as nothing promises the same one.
    write("vqav2/v2_mscoco_val2014_annotations.json", {**info, "annotations": [annotations[i] for i in (0, 2, 1)]})
    write("vqav2/v2_OpenEnded_mscoco_test-dev2015_questions.json",
          {**info, "questions": [{"image_id": 9, "question": "Is it raining?", "question_id": 9000}]})
    for name, width in (("val2014/COCO_val2014_000000000042", 42), ("val2014/COCO_val2014_000000000073", 73),
                        ("test2015/COCO_test2015_000000000009", 9)):
        write(f"vqav2/{name}.jpg", picture(width, "JPEG"))
    arrow("vqav2_arrow/vqav2_val.arrow", {
        "image": [picture(42), picture(73)], "questions": [texts[:2], texts[2:]],
        "answers": [[["red"], ["yes"]], [["2", "3"]]], "answer_labels": [[[5], [1]], [[7, 8]]],
        "answer_scores": [[[1.0], [1.0]], [[1.0, 0.6]]], "image_id": [42, 73], "question_id": [[42000, 42001], [42002]],
        "split": ["val", "val"]})
    rows = [{"question_id": q["question_id"], "question": q["question"], "answer_type": a["answer_type"], "answers":
             a["answers"], "multiple_choice_answer": a["multiple_choice_answer"], "image_id": q["image_id"],
             "image": {"bytes": picture(q["image_id"]), "path": None}} for q, a in zip(questions, annotations)]
    (ROOT / "vqav2_hub/data").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), ROOT / "vqav2_hub/data/validation-00000-of-00001.parquet")


def nlvr2():
    lines = [{"sentence": f"There are {n} dogs.", "identifier": f"dev-{n}-0-{n % 2}", "label": label,
              "left_url": "", "right_url": "", "validation": {}} for n, label in ((1, "True"), (2, "False"))]
    write("nlvr2/dev.json", lines)
    for n in (1, 2):
        for k in (0, 1):
            write(f"nlvr2/dev/dev-{n}-0-img{k}.png", picture(10 * n + k))
    arrow("nlvr2_arrow/nlvr2_dev.arrow", {
        "image_0": [picture(10), picture(20)], "image_1": [picture(11), picture(21)],
        "questions": [["There is 1 dog.", "No dog is black."], ["There are 2 dogs."]],
        "answers": [["True", "False"], ["False"]], "identifier": ["dev-1-0", "dev-2-0"]})


def snli_ve():
    lines = [{"Flickr30K_ID": 1000 + n, "pairID": f"{1000 + n}.jpg#0r1{label[0]}", "captionID": f"{1000 + n}.jpg#0",
              "gold_label": label, "sentence1": "A man walks.", "sentence2": f" A man {verb}. "}
             for n, label, verb in ((1, "entailment", "moves"), (2, "contradiction", "sits"), (3, "neutral", "is tall"))]
    write("snli_ve/snli_ve_test.jsonl", lines)
    for n in (1, 2, 3):
        write(f"snli_ve/flickr30k_images/{1000 + n}.jpg", picture(n, "JPEG"))
    for split, labels in (("test", [[2, 0], [1]]), ("dev", [[1], [2]])):
        arrow(f"snli_ve_arrow/snli_{split}.arrow", {
            "image": [picture(1), picture(2)],
            "sentences": [[["A man walks.", f"A man moves {k}. "] for k in range(len(row))] for row in labels],
            "labels": labels})


def flickr30k():
    images = []
    for n, split in ((1, "test"), (2, "train"), (3, "test")):
        images.append({"sentids": [], "imgid": n, "filename": f"{n}.jpg", "split": split, "sentences":
                       [{"tokens": ["a"], "raw": f"Caption {k} of {n}.", "imgid": n, "sentid": k} for k in range(2)]})
        write(f"flickr30k/flickr30k-images/{n}.jpg", picture(n, "JPEG"))
    write("flickr30k/dataset_flickr30k.json", {"images": images, "dataset": "flickr30k"})
    arrow("flickr30k_arrow/f30k_caption_karpathy_test.arrow", {
        "image": [picture(1), picture(3)], "caption": [["Caption 0 of 1.", "Caption 1 of 1."], ["Caption 0 of 3."]],
        "image_id": ["1.jpg", "3.jpg"], "split": ["test", "test"]})


def slake():
    rows = [("What organ is this?", "Lung", "en", "OPEN"), ("Is it healthy?", "No", "en", "CLOSED"),
            ("\u8fd9\u662f\u4ec0\u4e48?", "\u80ba", "zh", "OPEN"), ("Which part is larger?", "Left Lung, right", "en", "OPEN ")]
    write("slake/test.json", [{
        "img_id": 1, "img_name": "xmlab1/source.jpg", "question": q, "answer": a, "q_lang": lang, "location": "Lung",
        "modality": "CT", "answer_type": kind, "base_type": "vqa", "content_type": "Organ",
        "triple": ["vhead", "_", "_"], "qid": 11000 + i} for i, (q, a, lang, kind) in enumerate(rows)])
    write("slake/imgs/xmlab1/source.jpg", picture(21, "JPEG"))


def aid():
    for kind, count in (("Airport", 6), ("BareLand", 4)):
        for n in range(1, count + 1):
            write(f"aid/{kind}/{kind.lower()}_{n}.jpg", picture(n, "JPEG"))
    lists = {"train20": ["Airport 2", "BareLand 1"], "test20": ["Airport 4", "Airport 1", "Airport 3", "BareLand 2"],
             "train50": ["Airport 3", "Airport 1", "BareLand 2"], "test50": ["Airport 4", "Airport 2", "BareLand 1"]}
    first = {"Airport": 0, "BareLand": 4}
    for name, names in lists.items():
        rows = []
        for kind, n in map(str.split, names):
            rows.append({"id": str(first[kind] + int(n)), "image": f"{kind}/{kind.lower()}_{n}.jpg", "answer_type": "CLOSED",
                         "conversations": [
                             {"from": "human", "value": "<image>\nWhat is the label for this image?\n"
                                                        "Answer the question using a single word."},
                             {"from": "gpt", "value": kind.lower()}]})
            write(f"aid_lists/{rows[-1]['image']}", picture(int(n), "JPEG"))
        write(f"aid_lists/{name}.json", rows)


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    for make in (scienceqa, vqav2, nlvr2, snli_ve, flickr30k, slake, aid):
        make()


if __name__ == "__main__":
    main()
