"""Where a program that reads a learner's YAML has stumbled, from what it said of it."""

from __future__ import annotations

import re

FILE = re.compile(r"src/([\w./-]+\.ya?ml)")
LINE = re.compile(r"(?:\bline |\.ya?ml: )(\d+):(?:\d+:)? (?P<problem>.+?)(?:\\n|\"?$)", re.MULTILINE)
TAB = re.compile(r"tab character|cannot start any token")


def stumbled(said: str, file: str, files: dict[str, str]) -> tuple[str, str]:
    """The place, such as `src/otel/rules.yml:6`, and what is wrong there; both empty where the program names no line.

    `file` is what it was to read, below `src/`, and may name others; `files` are the texts of all. A YAML reader counts a tab's line
    in its own way, so the tab itself is looked for."""
    found = LINE.search(said)
    if not found:
        return "", ""
    named = FILE.findall(said, 0, found.start(2))
    file, line, problem = (named or [file])[-1], int(found[1]), found["problem"]
    if TAB.search(problem):
        lines = files.get(file, "").splitlines()
        if tabs := [number for number, text in enumerate(lines, 1) if re.match(r" *\t", text)]:
            line, problem = tabs[0], "a tab at its beginning; YAML takes blanks only"
    return f"src/{file}:{line}", problem.replace('\\"', '"')
