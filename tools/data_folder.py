"""What the tools that write data sets have in common."""

import json
import shutil
from contextlib import contextmanager


@contextmanager
def whole_folder(out):
    """A folder to write into, which gets the name `out` in the end: a stopped run leaves no `out`."""
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    part.rename(out)


def write_records(file, records):
    """LLaVA's JSON, a record a line."""
    lines = ",\n".join(json.dumps(one) for one in records)
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
