"""The built program, for the benchmarks beside this file."""
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def lithe_json(*arguments):
    """What a command prints with --json or -o json."""
    return json.loads(subprocess.run([str(ROOT / "build/lithe"), *arguments], check=True, capture_output=True, text=True).stdout)
