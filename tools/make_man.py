#!/usr/bin/env python3
"""Writes the manual pages of lithe from its own --help: lithe.1, and lithe-COMMAND.1 for every command.

  tools/make_man.py PROGRAM FOLDER
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

HEADING = re.compile(r"^([A-Z][A-Za-z ]*):$")
LABEL = re.compile(r"^(Usage|Exit codes):\s*(.*)")
ENTRY = re.compile(r"^  (\S.*?)(?:\s{2,}(\S.*))?$")
TITLES = {"Positionals": "ARGUMENTS", "Subcommands": "COMMANDS", "Exit codes": "EXIT STATUS"}


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def escaped(text):
    """Text that troff prints as it is: a leading dot or quote would be a request, a bare hyphen is typeset as a dash."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def sections(text):
    """(heading, lines) of a help text, in order; what stands before the first heading has the heading None."""
    heading, lines = None, []
    for line in text.splitlines():
        match = HEADING.match(line) or LABEL.match(line)
        if match:
            yield heading, lines
            heading, lines = match.group(1), list(match.groups()[1:])
        else:
            lines.append(line)
    yield heading, lines


def entries(lines):
    """(term, description) of a list of flags or commands; a long term has its description on the next line."""
    found = []
    for line in lines:
        match = ENTRY.match(line)
        if match:
            found.append([match.group(1), match.group(2) or ""])
        elif line.strip() and found:
            found[-1][1] = (found[-1][1] + " " + line.strip()).strip()
    return found


def paragraphs(lines):
    """Text in paragraphs; an indented line stays a line of its own."""
    out, after_gap = [], False
    for line in lines:
        if not line.strip():
            after_gap = bool(out)
            continue
        if after_gap:
            out.append(".PP")
        elif line.startswith(" ") and out:
            out.append(".br")
        out.append(escaped(line.strip()))
        after_gap = False
    return out


def verbatim(lines):
    body = "\n".join(lines).strip("\n").splitlines()
    return [".nf", *(escaped(line[2:] if line.startswith("  ") else line) for line in body), ".fi"]


def body(heading, lines):
    """A section as troff: flags and commands as a list, examples as they are, anything else as text."""
    if heading == "Examples":
        return verbatim(lines)
    if heading in (None, "Usage", "Exit codes"):
        return paragraphs(lines)
    return [line for term, does in entries(lines) for line in (".TP", f".B {escaped(term)}", escaped(does))]


def page(name, summary, text, others, version):
    """The manual page of a help text. SOURCE_DATE_EPOCH fixes its date."""
    title = name.replace(" ", "-")
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    out = [f'.TH "{title.upper()}" 1 {date} "{version}" "User Commands"', ".SH NAME", f"{escaped(title)} \\- {escaped(summary)}"]
    parts = list(sections(text))
    for wanted, shown in (("Usage", "SYNOPSIS"), (None, "DESCRIPTION")):
        out += [f".SH {shown}", *(line for heading, lines in parts if heading == wanted for line in body(heading, lines))]
    for heading, lines in parts:
        if heading not in (None, "Usage"):
            out += [f'.SH "{TITLES.get(heading, heading.upper())}"', *body(heading, lines)]
    out += ['.SH "SEE ALSO"', ", ".join(f"\\fB{escaped(other)}\\fR(1)" for other in others if other != title)]
    return "\n".join(out) + "\n"


def main():
    program, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    version = output_of(program, "--version").splitlines()[0]
    top = output_of(program, "--help")
    commands = [entry for heading, lines in sections(top) if heading == "Subcommands" for entry in entries(lines)]
    names = ["lithe", *(f"lithe-{command}" for command, _ in commands)]
    summary = "run vision-language models and skip computation they do not need"
    (folder / "lithe.1").write_text(page("lithe", summary, top, names, version), encoding="utf-8")
    for command, does in commands:
        text = page(f"lithe {command}", does, output_of(program, command, "--help"), ["lithe"], version)
        (folder / f"lithe-{command}.1").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
