"""tools/p_mod_table.py and tools/join_llava.py. docs/reproduce-p-mod.md as a whole is run by tests/recipes."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(tool, *arguments):
    return subprocess.run([sys.executable, ROOT / "tools" / tool, *map(str, arguments)], capture_output=True, text=True)


class Table(unittest.TestCase):
    def test_the_page_has_the_table(self):
        page = (ROOT / "docs/reproduce-p-mod.md").read_text(encoding="utf-8")
        self.assertIn(run("p_mod_table.py").stdout, page)

    def test_measured_scores_stand_beside_the_papers(self):
        with tempfile.TemporaryDirectory() as name:
            for task, scores in {"gqa": [{"name": "exact_match", "value": 61.25, "standard_error": 0.5}],
                                 "mme": [{"name": "mme_cognition_score", "value": 1}, {"name": "mme_perception_score", "value": 1490}],
                                 "pope": [{"name": "pope_accuracy", "value": 1}, {"name": "pope_f1_score", "value": None}]}.items():
                (Path(name) / task).mkdir()
                (Path(name) / task / "result.json").write_text(json.dumps({"scores": scores}))
            lines = run("p_mod_table.py", "1.5", name).stdout.splitlines()
        self.assertEqual(lines[0].count("|"), 6)
        self.assertIn("| `gqa` | `exact_match` | 61.9 | 62.2 | 61.2 ± 0.5 |", lines)
        self.assertIn("| `mme` | `mme_percetion_score` | 1506.8 | 1482.8 | 1490.0 |", lines)
        self.assertIn("| `pope` | `pope_f1_score` | 85.9 | 85.5 | - |", lines)
        self.assertEqual(lines[-1], "| mean without MME |  | 51.3 | 51.5 | - |")

    def test_a_folder_that_is_not_there_is_said(self):
        done = run("p_mod_table.py", "next", "nowhere")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no folder nowhere", done.stderr)


class Join(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = Path(place.name)
        self.language, self.projector, self.out = (self.folder / part for part in ("vicuna", "projector", "joined"))
        self.language.mkdir()
        self.projector.mkdir()
        (self.language / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 256}))
        (self.language / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": "a.bin"}}))
        for file in (self.language / "a.bin", self.language / "tokenizer.model", self.projector / "mm_projector.bin"):
            file.write_bytes(b"x")

    def join(self, *flags):
        return run("join_llava.py", self.language, self.projector, self.out, *flags)

    def refusal(self):
        done = self.join()
        self.assertEqual(done.returncode, 1)
        self.assertFalse((self.out / "config.json").exists())
        return done.stderr

    def test_files_are_linked_and_named(self):
        self.assertEqual(self.join().returncode, 0)
        self.assertEqual({file.name for file in self.out.iterdir()},
                         {"a.bin", "tokenizer.model", "mm_projector.bin", "config.json", "pytorch_model.bin.index.json"})
        self.assertTrue((self.out / "a.bin").is_symlink())
        places = json.loads((self.out / "pytorch_model.bin.index.json").read_text())["weight_map"]
        self.assertEqual(places["lm_head.weight"], "a.bin")
        self.assertEqual(places["model.mm_projector.2.bias"], "mm_projector.bin")
        config = json.loads((self.out / "config.json").read_text())
        self.assertEqual((config["image_aspect_ratio"], config["conversation"], config["hidden_size"]), ("pad", "vicuna_v1", 256))

    def test_next_has_tiles_and_a_newline_row(self):
        self.assertEqual(self.join("--anyres").returncode, 0)
        config = json.loads((self.out / "config.json").read_text())
        self.assertEqual(config["image_grid_pinpoints"], [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]])
        sys.path.insert(0, str(ROOT / "tools"))
        from safetensors_file import read_safetensors
        shape, row = read_safetensors(self.out / "image_newline.safetensors")["model.image_newline"]
        self.assertEqual(shape, [256])
        self.assertAlmostEqual(sum(value * value for value in row), 1, delta=0.3)

    def test_what_is_missing_is_said(self):
        (self.projector / "mm_projector.bin").unlink()
        self.assertIn("does not hold mm_projector.bin", self.refusal())
        (self.language / "pytorch_model.bin.index.json").unlink()
        self.assertIn("pytorch_model.bin.index.json", self.refusal())

    def test_nothing_is_overwritten(self):
        self.out.mkdir()
        self.assertIn("is there already", self.refusal())


if __name__ == "__main__":
    unittest.main()
