"""tools/make_scenes.py, scenes_recall.py and scenes_scores.py: what the pictures show, who can guess, and a short run."""

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tools"
LITHE = os.environ.get("LITHE", str(ROOT / "build/lithe"))
sys.path.insert(0, str(TOOLS))

import make_scenes  # noqa: E402
import scenes_baselines as baselines  # noqa: E402
import scenes_recall  # noqa: E402
import scenes_scores  # noqa: E402
from scenes_pictures import BLACK, COLOURS, DIGITS, GRID, LEVELS, WHITE, Draws, picture  # noqa: E402
from scenes_questions import TYPES, scene_of  # noqa: E402


def chunks(png):
    at = 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        data = png[at + 8:at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length)[0] == zlib.crc32(kind + data)
        yield kind, data
        at += 12 + length


def places(png):
    """-> rows of places in the palette, without the noise"""
    found = dict(chunks(png))
    width, height = struct.unpack_from(">II", found[b"IHDR"])
    raw = zlib.decompress(found[b"IDAT"])
    return [[value // LEVELS for value in raw[y * (width + 1) + 1:(y + 1) * (width + 1)]] for y in range(height)]


class Seen:
    """Reads a picture by its pixels alone, and answers questions about it."""

    def __init__(self, png):
        pixels = places(png)
        self.box, self.balls, self.crosses, self.plates = {}, {}, {}, {}
        for cell in range(GRID * GRID):
            y, x = (8 * at for at in divmod(cell, GRID))
            self.look(cell, [row[x:x + 8] for row in pixels[y:y + 8]])

    def look(self, cell, rows):
        names = ["", *COLOURS, "white", "black"]
        counts = Counter(place for row in rows for place in row if place)
        if WHITE in counts:
            glyph = "".join("#" if rows[y][x] == WHITE else "." for y in range(1, 6) for x in range(2, 5))
            self.plates[names[rows[0][0]]] = cell, str(DIGITS.index(glyph))
        elif BLACK in counts or not counts:
            return
        elif len(counts) == 2 and rows[0][0]:
            self.box[names[rows[0][0]]] = cell, names[rows[3][3]]
        elif len(counts) == 1 and rows[0][0] and not rows[0][3]:
            self.crosses[cell] = names[rows[0][0]]
        elif len(counts) == 1 and rows[1][3] and not rows[0][3]:
            self.balls.setdefault(names[rows[1][3]], []).append(cell)

    def answer(self, text):
        """-> the answer, and the patches in order"""
        start, count, ask = re.fullmatch(r"Start with the (\w+) key and open (\d) box(?:es)?\. (.*)", text).groups()
        key, cells = start, []
        for _ in range(int(count)):
            cell, key = self.box[key]
            cells.append(cell)
        if "balls" in ask:
            return str(len(self.balls[key])), cells + self.balls[key]
        if "digit" in ask:
            return self.plates[key][1], [*cells, self.plates[key][0]]
        if "cross" in ask:
            line = (lambda cell: cell // GRID) if "row" in ask else (lambda cell: cell % GRID)
            (cross, colour), = (one for one in self.crosses.items() if line(one[0]) == line(cells[-1]))
            return colour, [*cells, cross]
        return key, cells


def asked_of(count, split="test", seed=1):
    scenes = [scene_of(seed, split, number) for number in range(count)]
    return [(scene, question) for scene in scenes for question in scene.questions()]


def percent(right):
    return 100 * sum(right) / len(right)


class Pictures(unittest.TestCase):
    def test_the_pixels_tell_every_answer_and_the_needed_patches(self):
        seen = {}
        for scene, question in asked_of(60):
            if scene.name not in seen:
                seen = {scene.name: Seen(picture(scene.things, scene.name))}
            answer, cells = seen[scene.name].answer(question.text)
            self.assertEqual((answer, cells), (question.answer, question.needed), question.text)
            self.assertEqual(question.needed_hop, sorted(question.needed_hop))
            self.assertEqual(set(question.needed_hop), set(range(1, question.hops + 1)))

    def test_the_bytes_are_those_of_every_machine(self):
        scene = scene_of(1, "train", 0)
        digest = hashlib.sha256(picture(scene.things, scene.name))
        for question in scene.questions():
            digest.update(json.dumps(make_scenes.record("train", 0, 0, question)).encode())
        self.assertEqual(digest.hexdigest(), "8b67a59a4591697c1b4cf97528e3f4c5cc0367b4a6709466452eabdca65367ab")

    def test_splits_and_seeds_have_other_pictures(self):
        names = [(1, "train", 0), (1, "test", 0), (2, "train", 0), (1, "train", 1)]
        scenes = [scene_of(*name) for name in names]
        self.assertEqual(len({picture(scene.things, scene.name) for scene in scenes}), len(names))


class Guesses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.asked = asked_of(700)
        cls.learnt = asked_of(700, "train")

    def of_type(self, kind):
        return [one for one in self.asked if one[1].kind == kind]

    def test_answers_of_a_type_are_equally_frequent(self):
        for kind, different in zip(TYPES, (8, 5, 8, 10)):
            answers = Counter(question.answer for _, question in self.of_type(kind))
            self.assertEqual(len(answers), different)
            mean = sum(answers.values()) / different
            for answer, count in answers.items():
                self.assertLess(abs(count - mean), 5 * mean ** 0.5, (kind, answer))

    def test_the_text_tells_little(self):
        for key in (baselines.by_type, baselines.by_text):
            self.assertLess(percent(baselines.constant_scores(self.learnt, self.asked, key)), 17)

    def test_a_count_of_pixels_tells_nothing_about_balls(self):
        balls = self.of_type("count")
        right = baselines.constant_scores([one for one in self.learnt if one[1].kind == "count"], balls, baselines.by_amount)
        self.assertLess(percent(right), 20 + 5)

    def test_no_shortcut_is_better_than_any_thing_of_the_right_kind(self):
        any_thing = percent(baselines.shortcut_scores(baselines.ANY_THING, self.asked))
        self.assertLess(any_thing, 22)
        for name in baselines.SHORTCUTS:
            self.assertLess(percent(baselines.shortcut_scores(name, self.asked)), any_thing + 3, name)

    def test_boxes_must_be_told_from_decoys(self):
        right = {}
        for scene, question in self.asked:
            found = baselines.follow_any_frame(scene, question, Draws(scene.name + question.text)) == question.last
            right.setdefault(question.opened, []).append(found)
        for opened, most in ((1, 55), (2, 35), (3, 25), (4, 22), (5, 20)):
            self.assertLess(percent(right[opened]), most)

    def test_a_guess_that_knows_better_is_seen(self):
        """The scores above are low because of the set, not because of how they are taken."""
        right = baselines.constant_scores(self.learnt, self.asked, lambda _, question: (question.answer,))
        self.assertEqual(percent(right), 100)


def write_trace(path, tensors):
    header, data = {}, b""
    for name, values in tensors.items():
        body = struct.pack(f"<{len(values)}q", *values)
        header[name] = {"dtype": "I64", "shape": [len(values)], "data_offsets": [len(data), len(data) + len(body)]}
        data += body
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


class Scores(unittest.TestCase):
    def test_recall_counts_the_needed_patches_of_each_hop(self):
        with tempfile.TemporaryDirectory() as name:
            trace = Path(name) / "trace"
            write_trace(trace, {"input_ids": [0, -200, 7, 8], "layers.0.kept": [0, 1, 2, 3, 4, 5, 6],
                                "layers.1.kept": [0, 2, 4, 5, 6], "tokens": [9]})
            layers = scenes_recall.kept_patches(trace, 4)
        self.assertEqual(layers, [{0, 1, 2, 3}, {1, 3}])
        recall = scenes_recall.Recall(4)
        recall.add({"needed": [1, 2, 3], "needed_hop": [1, 2, 2]}, layers)
        recall.add({"needed": [0], "needed_hop": [1]}, layers)
        self.assertEqual(recall.layers()[1], {"layer": 1, "kept_share": 0.5, "recall_share": 0.5,
                                              "recall_share_by_hop": {"1": 0.5, "2": 0.5}})
        self.assertEqual(recall.layers()[0]["recall_share"], 1)

    def test_scores_are_split_by_type_and_hops(self):
        records = [{"type": "chain", "hops": 1}, {"type": "chain", "hops": 2}, {"type": "digit", "hops": 2}]
        samples = [{"question": 2, "score": 1.0}, {"question": 0, "score": 0.0}, {"question": 1, "error": "no"}]
        lines = scenes_scores.table(scenes_scores.scores_of(records, samples)).splitlines()[2:]
        self.assertEqual(sorted(lines), ["| all | 0.0 | 100.0 | 50.0 |", "| chain | 0.0 | - | 0.0 |",
                                         "| digit | - | 100.0 | 100.0 |"])


class Program(unittest.TestCase):
    def tool(self, name, *arguments):
        done = subprocess.run([sys.executable, TOOLS / name, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_set_is_written_whole_and_kept(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "set"
            run = ["make_scenes.py", folder, "--train", 49, "--test", 12, "--types", "chain,digit"]
            printed = self.tool(*run)
            self.assertIn(baselines.ANY_THING, printed)
            self.assertEqual(self.tool(*run), printed)
            records = json.loads((folder / "train.json").read_text())
            self.assertEqual((len(records), len({record["id"] for record in records})), (49, 49))
            self.assertEqual({record["type"] for record in records}, {"chain", "digit"})
            for record in records + json.loads((folder / "blank.json").read_text()):
                self.assertTrue((folder / record["image"]).exists())

    def test_every_row_of_the_table_is_made_and_skips_what_it_says(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            page = folder / "page.md"
            page.write_text("Text.\n\n| model | old |\n|---|---|\n| a | b |\n\nMore.\n")
            run = ["scenes_table.py", "--quick", "--lithe", LITHE, "--work", folder / "work", "--data", folder / "data"]
            printed = self.tool(*run, "--page", page, "--rows", "dense,blank,p-mod-1,random-2,uniform,fastv,oracle")
            rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()]
            self.assertEqual({len(row) for row in rows}, {14})
            labels = ["dense", "dense; a picture of noise", "p-MoD, seed 1", "kept at random, seed 2", "kept evenly",
                      "FastV on the dense model", "needed tokens kept first, on the dense model"]
            self.assertEqual([row[0] for row in rows[2:]], labels)
            self.assertEqual(page.read_text(), f"Text.\n\n{printed}\nMore.\n")
            p_mod = [144, 144, 116, 88, 55, 27, 21, 21]
            for row, kept in {"dense": [144] * 8, "p-mod-1": p_mod, "random-2": p_mod, "uniform": p_mod,
                              "fastv": [144] * 3 + [37] * 5, "oracle": p_mod}.items():
                layers = json.loads((folder / f"work/{row}/eval/result.json").read_text())["recall"]
                self.assertEqual([round(144 * layer["kept_share"]) for layer in layers], kept, row)
                for layer in layers:
                    self.assertEqual(layer["recall_share"] == 1, layer["kept_share"] == 1 or row == "oracle", row)
            self.assertEqual(self.tool(*run, "--rows", ""), printed)  # what was made is kept
            table = self.tool("scenes_scores.py", folder / "data/test.json", folder / "work/p-mod-1/eval")
            self.assertIn("| chain |", table)

    def test_a_set_of_another_seed_or_folder_is_refused(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.tool("make_scenes.py", folder / "set", "--train", 6, "--test", 6)
            for out, seed in ((folder / "set", 2), (folder, 1)):
                done = subprocess.run([sys.executable, TOOLS / "make_scenes.py", out, "--train", "6", "--test", "6", "--seed",
                                       str(seed)], capture_output=True, text=True)
                self.assertEqual(done.returncode, 1)
                self.assertIn("name a new folder", done.stderr)


if __name__ == "__main__":
    unittest.main()
