#!/usr/bin/env python3
"""Time `lithe eval` beside `lithe batch` over the same questions, and a model's own plan beside dense, in one run.

Every round answers all questions by: batch, eval, batch once more (the A/A spread), each in a process of its own that also
loads the model. The answers must be equal. Then eval answers under the plan, and dense before and after it. Processor time is
that of all threads; other work on the machine changes it less than the time that passes.

    bench/eval_throughput.py demo --questions 1000
    tools/make_random_checkpoint.py wide --layers 1 --tower-layers 2 --p-mod 0
    bench/eval_throughput.py wide --questions 16 --tokens 4 --vision-tokens 576 --text-tokens 20
"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import tempfile
import time

from lithe_program import ROOT, lithe_json
from side_by_side import aa_spread, times_as_fast


def write_questions(folder, count):
    """The shipped questions, as records of a task and as requests of a batch."""
    lines = [json.loads(line) for line in (ROOT / "models/answers.jsonl").read_text().splitlines()]
    chosen = [lines[i % len(lines)] for i in range(count)]
    with open(folder / "records.jsonl", "w") as records, open(folder / "requests.jsonl", "w") as requests:
        for number, one in enumerate(chosen):
            picture = str(ROOT / "models" / one["image"])
            talk = [{"from": "human", "value": "<image>\n" + one["question"]}, {"from": "gpt", "value": one["gold"]}]
            records.write(json.dumps({"image": pathlib.Path(picture).name, "conversations": talk}) + "\n")
            requests.write(json.dumps({"id": number, "image": picture, "prompt": "<image>\n" + one["question"]}) + "\n")
    for picture in (ROOT / "models/images").iterdir():
        (folder / picture.name).symlink_to(picture)


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Run:
    """Ways to answer all questions: seconds and processor seconds, and the answers by question."""

    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.common = ["-n", str(args.tokens), "--batch-size", str(args.batch_size), "--weights", args.weights, "--json"]

    def timed(self, *arguments):
        begin, spent = time.monotonic(), processor_seconds()
        lithe_json(*arguments, *self.common)
        return time.monotonic() - begin, processor_seconds() - spent

    def batch(self):
        out = self.folder / "answers.jsonl"
        for file in self.folder.glob("answers.jsonl*"):
            file.unlink()
        seconds = self.timed("batch", self.args.model, str(self.folder / "requests.jsonl"), "-o", str(out), "--temp", "0")
        return seconds, {line["id"]: line["answer"] for line in map(json.loads, out.read_text().splitlines())}

    def eval(self, *plan):
        out = self.folder / "eval"
        shutil.rmtree(out, ignore_errors=True)
        seconds = self.timed("eval", self.args.model, "--task", "exact_match", "--data", str(self.folder / "records.jsonl"), "-o",
                             str(out), *plan)
        lines = map(json.loads, (out / "samples.jsonl").read_text().splitlines())
        return seconds, {line["question"]: line["answer"] for line in lines}


def rows(name, questions, first, second, again):
    """Lines of the table, of time and of processor time: questions a second of both, and how fast the second is."""
    for column, what in enumerate(("time", "processor time")):
        a, b, c = ([pair[column] for pair in runs] for runs in (first, second, again))
        rates = [questions / statistics.median(seconds) for seconds in (a + c, b)]
        middle, least = times_as_fast(b, a, c)
        yield (f"| {name} | {what} | {rates[0]:.2f} | {rates[1]:.2f} | {middle:.3f} | {least:.3f} | {1 / middle:.3f} | "
               f"{100 * aa_spread(a, c):.1f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--vision-tokens", type=int, help="of a question, to count what the plan leaves (default: the model's)")
    parser.add_argument("--text-tokens", type=int, default=40)
    args = parser.parse_args()
    print("load before:", *os.getloadavg())
    batch, plan = [], []
    with tempfile.TemporaryDirectory() as name:
        run = Run(args, pathlib.Path(name))
        write_questions(run.folder, args.questions)
        for number in range(1, args.rounds + 1):
            (one, expected), (two, answers), (three, _) = run.batch(), run.eval(), run.batch()
            if answers != expected:
                raise SystemExit("eval and batch answer differently")
            batch.append((one, two, three))
            plan.append((run.eval("--plan", "dense")[0], run.eval()[0], run.eval("--plan", "dense")[0]))
            print(f"round {number} of {args.rounds}", flush=True)
    print("load after:", *os.getloadavg())
    shape = ["--text-tokens", str(args.text_tokens)]
    if args.vision_tokens:
        shape += ["--vision-tokens", str(args.vision_tokens)]
    counted = lithe_json("inspect", args.model, *shape, "--json")["cost"]["counted_share"]
    print("| A and B | of | questions/s, A | questions/s, B | speed B / A | minima | B takes, of A | A/A spread |")
    print("|---|---|---|---|---|---|---|---|")
    for line in (*rows("batch, eval", args.questions, *zip(*batch)), *rows("eval dense, eval", args.questions, *zip(*plan))):
        print(line)
    print(f"counted share of the plan: {counted:.3f}")


if __name__ == "__main__":
    main()
