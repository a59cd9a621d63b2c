#!/usr/bin/env python3
"""Checks the links of the pages in the root and in docs/: a relative link must lead to a file, and its #part to a heading.

  tools/check_docs.py [ROOT]    prints one line per fault, exits 1 if there is one
"""

import re
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)


def anchors(text):
    """The anchors of a page's headings, as code hosts make them."""
    for heading in re.findall(r"^#+\s+(.*)$", FENCE.sub("", text), re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        yield kept.replace(" ", "-")


def check_page(root, page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, part = target.partition("#")
        linked = (page.parent / name) if name else page
        where = page.relative_to(root)
        if not linked.exists():
            yield f"{where}: links {target}, which is not there"
        elif part and part not in anchors(linked.read_text(encoding="utf-8")):
            yield f"{where}: links {target}, but there is no such heading"


def check(root):
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    for page in sorted(p for p in pages if p.is_file()):
        yield from check_page(root, page)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    faults = list(check(root))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
