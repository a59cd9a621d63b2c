"""What the tools that tune models and print a table of the results have in common."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Runs:
    """Runs `lithe` and keeps what it makes: a folder for each row of the table in `work`."""

    def __init__(self, options):
        self.options = options
        self.work = Path(options.work).resolve()

    def lithe(self, command, *arguments):
        line = [self.options.lithe, command, *map(str, arguments)]
        if self.options.threads:
            line += ["--threads", str(self.options.threads)]
        print("$", " ".join(line), file=sys.stderr)
        done = subprocess.run(line, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{Path(sys.argv[0]).stem}: lithe {command} failed ({done.returncode})")
        return done.stdout

    def folder(self, name):
        place = self.work / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def kept(self, name, file):
        """What an earlier run measured of a row, or None."""
        place = self.work / name / file
        return json.loads(place.read_text()) if place.exists() else None

    def keep(self, name, file, measured):
        (self.folder(name) / file).write_text(json.dumps(measured))

    def tune(self, name, recipe):
        """Tunes by the text of a recipe into the row's folder `tuned`, and keeps the minutes that it took."""
        if self.kept(name, "tuned.json"):
            return
        file, tuned = self.folder(name) / "recipe.yaml", self.folder(name) / "tuned"
        file.write_text(with_keys(recipe, {"output_dir": tuned, "resume_from_checkpoint": "true"}))
        begin = time.time()
        self.lithe("tune", file)
        found = tuned / "search/scores.json"
        searched = found.stat().st_mtime if found.exists() else begin
        self.keep(name, "tuned.json", {"minutes": (time.time() - searched) / 60, "search": (searched - begin) / 60})

    def evaluate(self, name, model, *flags):
        self.lithe("eval", model, "-o", self.folder(name) / "eval", "--json", *flags)

    def samples(self, name):
        """What the row answered, as samples_in() has it."""
        return samples_in(self.work / name / "eval")

    def right(self, name):
        """For each question, whether the answer was right; None if some have no answer yet."""
        result = self.kept(name, "eval/result.json")
        if not result or not result["finished"]:
            return None
        scores = {sample["question"]: sample["score"] for sample in self.samples(name) if "score" in sample}
        return [scores[i] > 0.5 for i in range(result["questions"])]


def samples_in(folder):
    """What `lithe eval` wrote into a folder for each question, in the order in which it was answered."""
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def add_options(parser, rows, times=True):
    """`times`: the tool measures them."""
    parser.add_argument("--lithe", default="build/lithe")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rows", help="comma-separated: " + ", ".join(rows))
    if times:
        parser.add_argument("--no-times", action="store_true", help="do not measure the time of answers")


def wanted_rows(parser, options, rows):
    """Those that --rows names; all if it is not given."""
    wanted = options.rows.split(",") if options.rows is not None else list(rows)
    if unknown := [name for name in wanted if name and name not in rows]:
        parser.error(f"unknown rows: {', '.join(unknown)}")
    return [name for name in rows if name in wanted]


def filled(table, rows, wanted):
    """The table with its wanted rows made, in order."""
    for row in rows:
        if row.name in wanted:
            table.make(row)
    return table


def with_keys(recipe, keys):
    """A recipe with other values of keys, each of which is a line."""
    for key, value in keys.items():
        recipe, count = re.subn(rf"(?m)^{key}:.*$", f"{key}: {value}", recipe)
        recipe += "" if count else f"{key}: {value}\n"
    return recipe


def percent(right):
    return f"{100 * sum(right) / len(right):.2f}"


def difference(right, baseline):
    """In points, with the standard error of questions that only one of both answers right."""
    gained = sum(a and not b for a, b in zip(right, baseline))
    lost = sum(b and not a for a, b in zip(right, baseline))
    return f"{100 * (gained - lost) / len(right):+.2f} ± {100 * (gained + lost) ** 0.5 / len(right):.2f}"


def with_share(value, unit, share):
    return f"{value:,.0f} {unit} ({100 * share:.1f} %)"


def times_of(bench):
    """Prefill and decode as a share of dense, medians of runs that take turns; and how far equal runs differ."""
    cells = []
    for kind in ("pp", "tg"):
        test = next(t for t in bench["tests"] if t["test"].startswith(kind) and "median_ratio" in t)
        cells.append(f"{100 * test['median_ratio']:.0f} % ± {100 * test['aa_spread_share']:.0f}")
    return cells


def markdown(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows])


def put_tables(page, tables):
    """Each in the place of the table that begins like it."""
    text = page.read_text()
    for table in tables:
        first = re.escape(table.split("|", 2)[1])
        text = re.sub(rf"(?m)^\|{first}\|.*\n(\|.*\n)+", lambda _: table + "\n", text)
    page.write_text(text)
