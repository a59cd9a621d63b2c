"""tools/make_man.py on a program that prints awkward help."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP = """tiny does little.
Usage: tiny [OPTIONS] [SUBCOMMAND]

Options:
  -h,--help                 Print this help message and exit

Subcommands:
  go          Go somewhere
"""
GO = r"""Goes somewhere.

.dots begin a line, and a\b has a backslash.
  kept apart
Usage: tiny go [OPTIONS] PLACE

Positionals:
  PLACE TEXT REQUIRED       Where to

Speed:
  --a-flag-too-long-for-its-column NAME
                            Its text is
                            on the next lines
  -q                        Quick

Examples:
  tiny go --a "b" | sort

Exit codes: 0 done,
1 not.
"""


class MakeMan(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        program = Path(folder.name) / "tiny"
        program.write_text(f"#!/bin/sh\ncase \"$*\" in --version) echo tiny 1.2; echo on this machine;; --help) cat <<'END'\n{TOP}END\n;; 'go --help') cat <<'END'\n{GO}END\n;; esac\n")
        program.chmod(0o755)
        environment = dict(os.environ, SOURCE_DATE_EPOCH="86400")
        subprocess.run([ROOT / "tools/make_man.py", program, Path(folder.name) / "man1"], env=environment, check=True)
        self.pages = {page.name: page.read_text() for page in (Path(folder.name) / "man1").iterdir()}

    def test_one_page_a_command(self):
        self.assertEqual(sorted(self.pages), ["lithe-go.1", "lithe.1"])
        self.assertIn(".TP\n.B go\nGo somewhere\n", self.pages["lithe.1"])
        self.assertIn("\\fBlithe\\-go\\fR(1)", self.pages["lithe.1"])

    def test_a_page_has_its_parts(self):
        page = self.pages["lithe-go.1"]
        self.assertTrue(page.startswith('.TH "LITHE-GO" 1 1970-01-02 "tiny 1.2" "User Commands"\n.SH NAME\nlithe\\-go \\- Go somewhere\n'), page)
        heads = [line[4:].strip('"') for line in page.splitlines() if line.startswith(".SH ")]
        self.assertEqual(heads, ["NAME", "SYNOPSIS", "DESCRIPTION", "ARGUMENTS", "SPEED", "EXAMPLES", "EXIT STATUS", "SEE ALSO"])
        self.assertIn(".SH SYNOPSIS\ntiny go [OPTIONS] PLACE\n", page)
        self.assertIn(".TP\n.B \\-\\-a\\-flag\\-too\\-long\\-for\\-its\\-column NAME\nIts text is on the next lines\n.TP\n.B \\-q\nQuick\n", page)
        self.assertIn(".nf\ntiny go \\-\\-a \"b\" | sort\n.fi\n", page)
        self.assertIn("0 done,\n1 not.\n", page)

    def test_text_is_not_taken_for_requests(self):
        self.assertIn(".PP\n\\&.dots begin a line, and a\\eb has a backslash.\n.br\nkept apart\n", self.pages["lithe-go.1"])


if __name__ == "__main__":
    unittest.main()
