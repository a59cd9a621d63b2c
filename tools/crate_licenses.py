#!/usr/bin/env python3
"""Prints the licences of the Rust crates that are linked into Lithe, each text once with the crates it is for.

  tools/crate_licenses.py CARGO
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTICE = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
COMMAND = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"]


def linked_crates(metadata):
    """The packages that the root crate links, itself left out: no build scripts and no macros."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    seen, todo = set(), [root]
    while todo:
        name = todo.pop()
        is_macro = any("proc-macro" in target["kind"] for target in packages[name]["targets"])
        if name in seen or is_macro:
            continue
        seen.add(name)
        todo += [dep["pkg"] for dep in nodes[name]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    return sorted((packages[name] for name in seen - {root}), key=lambda package: (package["name"], package["version"]))


def main():
    command = [sys.argv[1], *COMMAND, "--manifest-path", str(ROOT / "rust/Cargo.toml")]
    metadata = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    crates_of = {}
    print("Rust crates linked into Lithe:\n")
    for crate in linked_crates(metadata):
        print(f"  {crate['name']} {crate['version']}: {crate['license']}")
        for file in sorted(Path(crate["manifest_path"]).parent.iterdir()):
            if NOTICE.match(file.name) and file.is_file():
                crates_of.setdefault(file.read_text(encoding="utf-8", errors="replace").strip(), []).append(crate["name"])
    for text, crates in crates_of.items():
        print(f"\n{'-' * 80}\n{', '.join(dict.fromkeys(crates))}\n\n{text}")


if __name__ == "__main__":
    main()
