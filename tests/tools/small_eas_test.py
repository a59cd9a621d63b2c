"""tools/small_eas_table.py with a few steps and questions: what it writes is read, tuned, searched, folded and asked."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools/small_eas_table.py"
LITHE = os.environ.get("LITHE", str(ROOT / "build/lithe"))
sys.path.insert(0, str(ROOT / "tools"))

import byte_level_bpe  # noqa: E402
import small_eas_data  # noqa: E402


def write_source(folder):
    """The shipped questions of easy-VQA in the files of `make data`."""
    (folder / "images").symlink_to(ROOT / "models/images")
    lines = [json.loads(line) for line in (ROOT / "models/answers.jsonl").read_text().splitlines()]
    for split, chosen in (("train", lines[:400]), ("test", lines[400:600])):
        records = [{"image": one["image"], "conversations": [{"from": "human", "value": f"<image>\n{one['question']}"},
                                                             {"from": "gpt", "value": one["gold"]}]} for one in chosen]
        (folder / f"{split}.json").write_text(json.dumps(records))


class Data(unittest.TestCase):
    def test_the_answer_is_among_the_choices_and_people_agree(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_source(folder)
            small_eas_data.write_sets(folder, folder / "out", 60, 20)
            problems = json.loads((folder / "out/scienceqa/problems.json").read_text()).values()
            known = {*small_eas_data.COLOURS, *small_eas_data.SHAPES}
            letters = set()
            for problem in problems:
                self.assertLessEqual(set(problem["choices"]), known)
                self.assertEqual(len(set(problem["choices"])), len(problem["choices"]))
                letters.add(problem["answer"])
            self.assertEqual(len(problems), 80)
            self.assertEqual(letters, {0, 1, 2, 3})
            asked = json.loads((folder / "out/vqav2/v2_OpenEnded_mscoco_train2014_questions.json").read_text())
            told = json.loads((folder / "out/vqav2/v2_mscoco_train2014_annotations.json").read_text())
            self.assertEqual([one["question_id"] for one in asked["questions"]],
                             [one["question_id"] for one in told["annotations"]])
            for one in told["annotations"]:
                self.assertEqual({person["answer"] for person in one["answers"]}, {one["multiple_choice_answer"]})

    def test_merges_make_every_word_one_token(self):
        texts = ["what is the red shape?", "is there a red circle?"]
        letters = set(byte_level_bpe.byte_letters().values())
        joined = {"".join(pair) for pair in byte_level_bpe.learn_merges(texts)} | letters
        for word in ("what", "Ġred", "Ġshape", "Ġcircle", "?"):
            self.assertIn(word, joined)


class Table(unittest.TestCase):
    rows = "lavin-base,lavin-eas,lavin-folded,meter-base,meter-eas,meter-folded,meter-random-1"

    def run_tool(self, folder, rows, *more):
        done = subprocess.run([sys.executable, TOOL, "--quick", "--no-times", "--lithe", LITHE, "--work", folder / "work",
                               "--data", folder / "data", "--source", folder, "--rows", rows, *more],
                              capture_output=True, text=True, cwd=ROOT)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_every_step_runs_and_the_page_gets_the_tables(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_source(folder)
            page = folder / "page.md"
            page.write_text("Text.\n\n| LaVIN | old |\n|---|---|\n| a | b |\n\nMore.\n\n| METER | old |\n|---|---|\n| a | b |\n")
            printed = self.run_tool(folder, self.rows, "--page", page)
            tables = printed.strip().split("\n\n")
            self.assertEqual([table.split("|")[1].strip() for table in tables], ["LaVIN", "METER"])
            for table, skipped, made in zip(tables, (4, 10), (3, 4)):
                rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
                self.assertEqual(len(rows), made)
                for label, sites, score, *_ in rows:
                    self.assertTrue(0 <= float(score) <= 100)
                    count = 0 if label.startswith("trained") else skipped
                    self.assertEqual(0 if sites == "-" else len(set(sites.split(", "))), count, label)
            self.assertEqual(page.read_text(), f"Text.\n\n{tables[0]}\n\nMore.\n\n{tables[1]}\n")
            self.assertEqual(self.run_tool(folder, ""), printed)  # what was made is kept


if __name__ == "__main__":
    unittest.main()
