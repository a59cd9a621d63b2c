"""Folders that `lithe tune` writes, read by transformers and peft (`make bench-setup`; skipped without them)."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
BENCH = Path(os.environ.get("BENCH_VENV", ROOT / ".venv-bench")) / "bin/python"
GOLDEN = ROOT / "tests/data/golden"
MODEL = GOLDEN / "hf_llava15/checkpoint"
INPUTS = GOLDEN / "pmod_train/inputs"


def lithe(*arguments, **where):
    subprocess.run([os.environ.get("LITHE", ROOT / "build/lithe"), *map(str, arguments)], check=True,
                   stdout=subprocess.DEVNULL, **where)


def seen_by_transformers(*arguments):
    done = subprocess.run([BENCH, ROOT / "tests/tools/with_transformers.py", *map(str, arguments)], check=True,
                          capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


@unittest.skipUnless(BENCH.exists(), "needs the environment of `make bench-setup`")
class TrainedFolders(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = Path(self.temporary.name)

    def tune(self, method):
        recipe = {"model_name_or_path": str(MODEL), "output_dir": "out", "data": str(INPUTS / "data.json"),
                  "per_device_train_batch_size": 3, "max_steps": 10, "learning_rate": 1e-2, "save_steps": 0, **method}
        (self.folder / "recipe.yaml").write_text(json.dumps(recipe))  # JSON is YAML
        lithe("tune", "recipe.yaml", cwd=self.folder)
        return self.folder / "out"

    def test_peft_gives_the_logits_of_a_lora(self):
        lora, trace = self.tune({"lora": {"r": 4}}), self.folder / "trace.safetensors"
        lithe("trace", MODEL, "--lora", lora, "--image", INPUTS / "image0.png", "--prompt", "what is it?",
              "--max-tokens", "0", "-o", trace)
        seen = seen_by_transformers("logits", MODEL, lora, trace)
        self.assertGreater(seen["moved"], 0.1)
        self.assertLess(seen["apart"], 1e-4)

    def test_transformers_reads_all_of_a_p_mod_folder_but_its_routers(self):
        seen = seen_by_transformers("names", self.tune({"p_mod": {}}))
        self.assertEqual(seen["missing_keys"], [])
        self.assertEqual(seen["mismatched_keys"], [])
        self.assertTrue(seen["unexpected_keys"])
        self.assertEqual([name for name in seen["unexpected_keys"] if "router" not in name], [])


if __name__ == "__main__":
    unittest.main()
