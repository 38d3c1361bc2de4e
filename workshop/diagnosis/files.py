"""Are the learner's files the text that they seem to be? Encodings, and marks of a diff."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from workshop.diagnosis.facts import Diagnosis, Facts, frame, line_at
from workshop.diagnosis.script import marked

# A template's line that begins with a mark, and goes on as a line of HTML or of Jinja does, or not at all.
OF_A_TEMPLATE = re.compile(r"^(?:[+-][ \t]*(?:[<{].*)?|@@(?: .*)?)$", re.MULTILINE)
IN_PYTHON = re.compile(r"^(?:[+-](?!\d)|@@)")
# What a line of such a file cannot mean, except that it was pasted with its mark. In CSS `+ p` goes on with a
# selector, and `-webkit-…` is a property; in YAML a line that begins with `-` is an item of a list.
IN_CSS = re.compile(
    r"^@@|^[+-]\s*\}|^(?:\+\s*|-\s+)[\w-]+\s*:[^{]*;\s*$|(?:\A|(?<=\}\n))(?:\+(?=[.#:*@\[a-zA-Z])|-(?=[.#:*@\[]))", re.MULTILINE
)
IN_YAML = re.compile(r"^(?:\+|@@)", re.MULTILINE)
UNSEEN = {".css": IN_CSS, ".yaml": IN_YAML, ".yml": IN_YAML}
NOT_UTF_8 = re.compile(r"codec can't decode byte|Non-UTF-8 code|\(unicode error\)|null bytes|SyntaxError: encoding problem")


def _failed(f: Facts) -> bool:
    return not f.listened or any(r.status == 500 and r.wanted and 500 not in r.wanted for r in f.responses)


def unreadable(f: Facts) -> Diagnosis | None:
    """A file that is no UTF-8, going by what Python said about it."""
    # What stands in a span that was printed is an error that the app has seen to.
    said = re.search(rf'^(?! *").*(?:{NOT_UTF_8.pattern}).*$', f.output, re.MULTILINE)
    strange = [name for name, text in f.files.items() if "\ufffd" in text]
    if not _failed(f) or not said or not (strange or "SyntaxError" in said[0]):
        return None  # another file than those in src/ may be the one that cannot be read
    place = strange[0] if strange else ""
    number = line_at(f.files[place], f.files[place].index("\ufffd")) if place else 0
    where = f"src/{place}:{number}" if place else frame(f.output) or "a file in src/"
    return Diagnosis(
        "not-utf-8",
        f"{where} is not UTF-8\n{said[0].strip()}",
        "files in UTF-8",
        "Python and Jinja read every file as UTF-8; in another encoding letters such as ä or é are other bytes",
        f"save the file as UTF-8 in your editor: {where}",
        f.lesson,
    )


def in_the_way(f: Facts) -> Diagnosis | None:
    """Marks of a diff in a Python file, going by the line at which Python gave up."""
    if not _failed(f) or not re.search(r"SyntaxError|IndentationError|bad operand type for unary", f.output):
        return None
    path, _, number = frame(f.output).removeprefix("src/").rpartition(":")
    lines = f.files.get(path, "").split("\n")
    if not number:
        return None
    # A line with a mark may only be noticed where the next one begins.
    for n in (int(number), int(number) - 1):
        if 0 < n <= len(lines) and IN_PYTHON.match(lines[n - 1]):
            return marked(path, n, lines[n - 1], f.lesson)
    return None


def mark_on_page(f: Facts) -> Diagnosis | None:
    """A mark of a diff that a page shows, and that stands in a template."""
    pages = "\n".join(response.text for response in f.responses)
    for path, text in f.files.items():
        found = OF_A_TEMPLATE.search(text) if path.endswith(".html") else None
        if found and re.search(
            rf"^{re.escape(found[0][:2] if found[0].startswith('@@') else found[0][0])}", pages, re.MULTILINE
        ):
            return marked(path, line_at(text, found.start()), found[0], f.lesson)
    return None


def mark_unseen(f: Facts) -> Diagnosis | None:
    """A mark of a diff in a style sheet or in YAML: whoever reads the file takes it for something else, and says nothing."""
    for path, text in f.files.items():
        marks = UNSEEN.get(PurePosixPath(path).suffix)
        if marks and (found := marks.search(text)):
            number = line_at(text, found.start())
            return marked(path, number, text.split("\n")[number - 1], f.lesson)
    return None
