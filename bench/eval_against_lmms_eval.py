#!/usr/bin/env python3
"""The scores of `lithe eval` against those of lmms-eval, which asks `lithe serve` through its own `--model openai`.

Two tasks of lmms-eval, as it ships them: `mme` and `gqa`. Their data are questions of models/answers.jsonl about the pictures
in models/images, written in the Parquet files of the sets on the hub. lmms-eval finds them in place of those sets, because its
working folder has folders with the names of these repositories; nothing of it is changed, and it runs offline. Its prompts, its
client, its filters and its metrics are compared with Lithe's. The exit code is 1 if a prompt, an answer or a score differs.

    make lmms-setup
    .venv-lmms/bin/python bench/eval_against_lmms_eval.py
    .venv-lmms/bin/python bench/eval_against_lmms_eval.py --model demo-dense --questions 1000
"""
import argparse
import collections
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

from datasets import Dataset, Features, Image, Value, disable_progress_bars

from lithe_program import ROOT, Server

HUB = "lmms-lab-encoder"
# MME's categories for the kinds of yes-or-no questions. The last two count as cognition.
CATEGORIES = {"is there: shape": "existence", "is there: color": "color", "negated: shape": "commonsense_reasoning",
              "negated: color": "code_reasoning"}
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
           "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def picture(name):
    return {"bytes": (ROOT / "models" / name).read_bytes(), "path": pathlib.Path(name).name}


def word(record):
    """Yes. -> yes"""
    return record["gold"].rstrip(".").lower()


def write(path, rows):
    """With the types of the columns in the file's metadata, as on the hub."""
    columns = Features({name: Image() if name == "image" else Value("string") for name in rows[0]})
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(rows, columns).to_parquet(path)


def pairs(records):
    """Two questions of each kind about each picture, with different answers if there are such."""
    groups = collections.defaultdict(list)
    for record in records:
        if record["type"] in CATEGORIES:
            groups[record["image"], record["type"]].append(record)
    for first, *rest in groups.values():
        others = [record for record in rest if record["gold"] != first["gold"]] or rest
        if others:
            yield first, others[0]


def write_mme(folder, records, questions):
    chosen = [record for pair in list(pairs(records))[:questions // 2] for record in pair]
    write(folder / "data/test-00000-of-00001.parquet",
          [{"question_id": f"{CATEGORIES[record['type']]}/{record['image']}", "image": picture(record["image"]),
            "question": f"{record['question']} Please answer yes or no.", "answer": word(record).capitalize(),
            "category": CATEGORIES[record["type"]]} for record in chosen])


def write_gqa(folder, records, questions):
    """Questions of all kinds, from the whole file. The pictures are a table of their own."""
    chosen = records[::max(1, len(records) // questions)][:questions]
    write(folder / "testdev_balanced_instructions/testdev-00000-of-00001.parquet",
          [{"id": str(number), "imageId": record["image"], "question": record["question"], "answer": word(record)}
           for number, record in enumerate(chosen)])
    write(folder / "testdev_balanced_images/testdev-00000-of-00001.parquet",
          [{"id": name, "image": picture(name)} for name in sorted({record["image"] for record in chosen})])
    # As on the hub: which folder holds which table.
    configs = "".join(f"- config_name: {name}\n  data_files:\n  - split: testdev\n    path: {name}/testdev-*\n"
                      for name in ("testdev_balanced_images", "testdev_balanced_instructions"))
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")


@dataclasses.dataclass
class Set:
    """The data of a task."""
    name: str      # on the hub
    write: object  # (folder, records, number of questions)
    unit: float    # of lmms-eval's score for one of Lithe's points: both have MME's points, but Lithe writes shares in percent


SETS = {"mme": Set("MME", write_mme, 1), "gqa": Set("GQA", write_gqa, 0.01)}


@dataclasses.dataclass
class Outcome:
    """What a program says of a task; prompts and answers are in the order of the questions."""
    scores: dict
    prompts: list
    answers: list


def run(name, command, folder, result, **options):
    """Runs it, with its output in NAME.log. -> the JSON file that fits `result`; without one, the output's end is the error."""
    log = folder / f"{name}.log"
    with log.open("w") as out:
        subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, **options)
    for path in folder.glob(result):
        return json.loads(path.read_text())
    sys.exit(f"{name} wrote no {result}:\n" + "\n".join(log.read_text().splitlines()[-30:]))


def samples_of(folder, pattern, number):
    """The lines of the file that fits, by the number of their question."""
    lines = next(folder.glob(pattern)).read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda sample: sample[number])


def ask_lmms_eval(model, folder):
    """-> the outcome of each task"""
    server = Server(model)
    try:
        url = f"http://127.0.0.1:{server.port}/v1"
        with urllib.request.urlopen(f"{url}/models") as reply:
            served = json.load(reply)["data"][0]["id"]
        command = [sys.executable, "-m", "lmms_eval", "--model", "openai",
                   "--model_args", f"model={served},base_url={url},api_key=none",
                   "--tasks", ",".join(SETS), "--batch_size", "1", "--output_path", "lmms-eval", "--log_samples"]
        results = run("lmms-eval", command, folder, "lmms-eval/*/*_results.json", cwd=folder,
                      env=os.environ | OFFLINE | {"HF_HOME": str(folder / "cache")})["results"]
    finally:
        server.stop()
    return {task: lmms_eval_outcome(task, results[task], folder) for task in SETS}


def lmms_eval_outcome(task, result, folder):
    """result: {"exact_match,none": 0.5, "exact_match_stderr,none": .., ..}"""
    scores = {key.split(",")[0]: value / SETS[task].unit for key, value in result.items() if "," in key and "_stderr" not in key}
    samples = samples_of(folder, f"lmms-eval/*/*_samples_{task}.jsonl", "doc_id")
    return Outcome(scores, [sample["input"] for sample in samples], [sample["filtered_resps"] for sample in samples])


def ask_lithe(model, task, folder):
    out = f"lithe-{task}"
    command = [str(ROOT / "build/lithe"), "eval", model, "--task", task, "--data", str(folder / HUB / SETS[task].name),
               "--protocol", "today", "-o", str(folder / out)]
    scores = run(out, command, folder, f"{out}/result.json")["scores"]
    samples = samples_of(folder, f"{out}/samples.jsonl", "question")
    return Outcome({score["name"]: score["value"] for score in scores},
                   [sample["prompt"].removeprefix("<image>\n") for sample in samples], [sample["answer"] for sample in samples])


def compare(task, theirs, ours):
    """Prints a line for each score that lmms-eval has, and the questions whose answers differ. -> whether all is equal"""
    questions = len(theirs.answers)
    prompts = sum(a == b for a, b in zip(theirs.prompts, ours.prompts, strict=True))
    answers = sum(a == b for a, b in zip(theirs.answers, ours.answers, strict=True))
    equal = prompts == answers == questions
    for name, expected in theirs.scores.items():
        got = ours.scores.get(name, float("nan"))
        equal = equal and abs(expected - got) < 1e-9 * max(1, abs(expected))
        print(f"| {task} | {name} | {expected:.4f} | {got:.4f} | {questions} | {prompts} | {answers} |")
    for number, (a, b) in enumerate(zip(theirs.answers, ours.answers)):
        if a != b:
            print(f"{task}, question {number}: lmms-eval got {a!r}, lithe eval {b!r}", file=sys.stderr)
    return equal


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--questions", type=int, default=200, help="of each task, at most")
    parser.add_argument("--keep", type=pathlib.Path, help="a new folder, in which the data, the logs and both results stay")
    args = parser.parse_args()
    if args.keep and args.keep.exists():
        parser.error(f"{args.keep} is there already")
    disable_progress_bars()
    records = [json.loads(line) for line in (ROOT / "models/answers.jsonl").read_text().splitlines()]
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.keep or pathlib.Path(temporary)).resolve()
        for one in SETS.values():
            one.write(folder / HUB / one.name, records, args.questions)
        theirs = ask_lmms_eval(args.model, folder)
        ours = {task: ask_lithe(args.model, task, folder) for task in SETS}
    print("| task | score | lmms-eval | lithe eval | questions | equal prompts | equal answers |\n|---|---|---|---|---|---|---|")
    equal = [compare(task, theirs[task], ours[task]) for task in SETS]
    sys.exit(0 if all(equal) else 1)


if __name__ == "__main__":
    main()
