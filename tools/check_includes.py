#!/usr/bin/env python3
"""Checks the house rules over #include lines: which folder may include which, and which may see LibTorch.

  tools/check_includes.py [ROOT]    prints one line per fault, exits 1 if there is one

A folder may include itself, the folders in its row, and what those may include. Folders that may not see tensors are
checked through the headers that they include, not only line by line: one careless header costs each reader seconds.
"""

import re
import sys
from pathlib import Path

ROWS = {
    "base": [],
    "web": ["base"],
    "io": ["base"],
    "text": ["base"],
    "image": ["base"],
    "data": ["io", "image"],
    "ops": ["base"],
    "nn": ["ops"],
    "plan": ["base"],
    "routing": ["nn", "plan"],
    "models": ["routing", "text", "image"],
    "checkpoints/read": ["models", "io"],
    "checkpoints/write": ["checkpoints/read"],
    "session": ["checkpoints/write"],
    "api": ["session"],
    "tasks": ["data", "text"],
    "tune": ["session", "tasks"],
    "eval": ["session", "tasks", "web"],
    "serve": ["session", "web"],
    "cli": ["eval", "serve", "tune"],  # everything
}
SEES_TENSORS = {"ops", "nn", "routing", "models", "checkpoints/read", "checkpoints/write", "session", "api", "tune"}
# The public face (include/lithe) is carried out by the api folder alone.
SEES_PUBLIC_FACE = {"api"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
TORCH = re.compile(r"^(ATen|torch|c10|caffe2)/")
SOURCES = {".h", ".cpp", ".inc"}


def allowed(folder, rows=ROWS):
    """Every folder that `folder` may include, itself among them."""
    seen, todo = set(), [folder]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(rows[name])
    return seen


def folder_of(name):
    """The folder of the table that a file below src/ is in, or None."""
    parts = name.split("/")[:-1]
    return next((folder for folder in ("/".join(parts[:depth]) for depth in (1, 2)) if folder in ROWS), None)


def folders_of(src):
    """Every folder of src/ that must be in the table: one or two levels deep, as the table has it."""
    for top in sorted(p for p in src.iterdir() if p.is_dir()):
        split = any(folder.startswith(top.name + "/") for folder in ROWS)
        yield from sorted(p for p in top.iterdir() if p.is_dir()) if split else [top]


def includes_of(path):
    """(line number, bracket, name) of every #include of a file."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def resolve(root, name):
    """The project's header that an include line names, or None."""
    for base in (root / "src", root / "include"):
        if (base / name).is_file():
            return base / name
    return None


def torch_route(root, path, routes):
    """The chain of files from `path` to the first LibTorch header that it reaches, or None."""
    if path in routes:
        return routes[path]
    routes[path] = None  # cuts cycles
    for _, _, name in includes_of(path):
        if TORCH.match(name):
            routes[path] = [name]
            break
        header = resolve(root, name)
        tail = torch_route(root, header, routes) if header else None
        if tail:
            routes[path] = [name] + tail
            break
    return routes[path]


def line_fault(folder, bracket, name):
    """What is wrong with one include line in src/FOLDER, or None."""
    if ".." in Path(name).parts:
        return f'includes "{name}": write "folder/file.h"'
    top = name.split("/")[0]
    if top == "lithe" and folder not in SEES_PUBLIC_FACE:
        return f"may not include the public face ({name})"
    target = folder_of(name)
    if bracket == '"' and target is None and top != "lithe":
        return f'includes "{name}": no such folder in the table; write "folder/file.h", or <...> for a library'
    if target and target not in allowed(folder):
        return f"may not include {target} ({name})"
    return None


def check_source(root, folder, path, routes):
    where = path.relative_to(root)
    for number, bracket, name in includes_of(path):
        fault = line_fault(folder, bracket, name)
        if fault:
            yield f"{where}:{number}: {folder} {fault}"
    if folder not in SEES_TENSORS:
        route = torch_route(root, path, routes)
        if route:
            yield f"{where}: {folder} may not see tensors, but includes {' -> '.join(route)}"


def check_public_header(root, path, routes):
    where = path.relative_to(root)
    for number, _, name in includes_of(path):
        if folder_of(name):
            yield f"{where}:{number}: a public header includes {name}, which is not installed"
    route = torch_route(root, path, routes)
    if route:
        yield f"{where}: a public header may not see tensors, but includes {' -> '.join(route)}"


def check_cmake(root, folder, path):
    """The targets that a folder links must be folders that it may include."""
    for call in re.finditer(r"lithe_module\(\s*([\w/]+)([^)]*)\)", path.read_text(encoding="utf-8")):
        words = call.group(2).split()
        if "ATEN" in words and folder not in SEES_TENSORS:
            yield f"{path.relative_to(root)}: {folder} may not see tensors, but says ATEN"
        deps = words[words.index("DEPS") + 1 :] if "DEPS" in words else []
        for name in deps[: deps.index("LIBS")] if "LIBS" in deps else deps:
            if name not in allowed(folder):
                yield f"{path.relative_to(root)}: {folder} may not link {name}"


def check(root):
    """Every fault under ROOT, one line each."""
    routes = {}
    for folder in folders_of(root / "src"):
        name = folder.relative_to(root / "src").as_posix()
        if name not in ROWS:
            yield f"src/{name}: not in the table of tools/check_includes.py"
            continue
        for path in sorted(p for p in folder.rglob("*") if p.suffix in SOURCES):
            yield from check_source(root, name, path, routes)
        for path in sorted(folder.rglob("CMakeLists.txt")):
            yield from check_cmake(root, name, path)
    for path in sorted((root / "include").rglob("*.h")):
        yield from check_public_header(root, path, routes)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    faults = list(check(root))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
