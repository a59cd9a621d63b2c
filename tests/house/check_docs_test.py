"""The link check finds dead links and dead headings, and leaves web links and code alone."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import check_docs  # noqa: E402


class CheckDocs(unittest.TestCase):
    def faults(self, readme):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "docs").mkdir()
            (root / "docs" / "building.md").write_text("# Building\n## What it needs\n")
            (root / "README.md").write_text(readme)
            return list(check_docs.check(root))

    def test_good_links(self):
        self.assertEqual(
            self.faults("# A\n[a](docs/building.md#what-it-needs) [b](https://x.org) [c](#a)\n```\n[d](gone.md)\n```\n"), []
        )

    def test_dead_links(self):
        self.assertEqual(len(self.faults("[a](docs/gone.md) [b](docs/building.md#gone)\n")), 2)


if __name__ == "__main__":
    unittest.main()
