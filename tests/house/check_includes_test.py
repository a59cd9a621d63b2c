"""The include check finds each kind of fault, and nothing in a tree without faults."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import check_includes  # noqa: E402


class CheckIncludes(unittest.TestCase):
    def faults(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return list(check_includes.check(root))

    def test_transitive_rows_are_allowed(self):
        clean = {
            "src/models/vision.cpp": '#include "nn/linear.h"\n#include "base/error.h"\n#include <ATen/ops/add.h>\n',
            "src/nn/linear.h": "#include <ATen/core/Tensor.h>\n",
            "src/base/error.h": "#include <string>\n",
            "src/models/CMakeLists.txt": "lithe_module(models ATEN DEPS routing text LIBS x::y)\n",
        }
        self.assertEqual(self.faults(clean), [])

    def test_folder_outside_its_row(self):
        found = self.faults({"src/plan/cost.cpp": '#include "base/error.h"\n#include "nn/linear.h"\n'})
        self.assertEqual(found, ["src/plan/cost.cpp:2: plan may not include nn (nn/linear.h)"])

    def test_two_levels(self):
        reader = {"src/checkpoints/read/a.cpp": '#include "checkpoints/read/a.h"\n#include "models/model.h"\n'}
        self.assertEqual(self.faults(reader), [])
        found = self.faults({"src/checkpoints/read/a.cpp": '#include "checkpoints/write/a.h"\n#include "checkpoints/a.h"\n'})
        self.assertEqual(
            found,
            [
                "src/checkpoints/read/a.cpp:1: checkpoints/read may not include checkpoints/write (checkpoints/write/a.h)",
                'src/checkpoints/read/a.cpp:2: checkpoints/read includes "checkpoints/a.h": no such folder in the table; '
                'write "folder/file.h", or <...> for a library',
            ],
        )
        found = self.faults({"src/models/a.cpp": '#include "checkpoints/read/a.h"\n'})
        self.assertEqual(found, ["src/models/a.cpp:1: models may not include checkpoints/read (checkpoints/read/a.h)"])
        linked = {"src/checkpoints/read/CMakeLists.txt": "lithe_module(checkpoints/read ATEN DEPS checkpoints/write)\n"}
        self.assertEqual(len(self.faults(linked)), 1)
        self.assertEqual(len(self.faults({"src/checkpoints/other/a.h": ""})), 1)

    def test_sideways(self):
        found = self.faults({"src/text/a.cpp": '#include "image/image.h"\n'})
        self.assertEqual(found, ["src/text/a.cpp:1: text may not include image (image/image.h)"])

    def test_parent_folder_and_bare_name(self):
        found = self.faults({"src/io/a.cpp": '#include "../base/error.h"\n#include "zip.h"\n'})
        self.assertEqual(len(found), 2)
        self.assertIn("write", found[0])
        self.assertIn("no such folder", found[1])

    def test_tensors_seen_through_a_header(self):
        found = self.faults(
            {
                "src/cli/run.cpp": '#include "session/engine.h"\n',
                "src/session/engine.h": '#include "nn/linear.h"\n',
                "src/nn/linear.h": "#include <ATen/core/Tensor.h>\n",
            }
        )
        route = "session/engine.h -> nn/linear.h -> ATen/core/Tensor.h"
        self.assertEqual(found, [f"src/cli/run.cpp: cli may not see tensors, but includes {route}"])

    def test_public_header(self):
        found = self.faults({"src/base/a.h": "", "include/lithe/model.h": '#include "base/a.h"\n#include <torch/all.h>\n'})
        self.assertEqual(len(found), 2)

    def test_linked_target(self):
        found = self.faults({"src/io/CMakeLists.txt": "lithe_module(io ATEN DEPS base nn)\n"})
        self.assertEqual(len(found), 2)

    def test_unknown_folder(self):
        self.assertEqual(len(self.faults({"src/misc/a.h": ""})), 1)


if __name__ == "__main__":
    unittest.main()
