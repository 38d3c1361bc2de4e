"""What learners do otherwise than the page: wrong turns, and other solutions that are right.

A lesson's `wrong-turns.md` holds sections `## rung: what was done`, its `other-solutions.md` sections `## what was done`, each with
blocks that change the lesson's end. With `--at end` every section is a test: a wrong turn must be red with that very rung,
another solution must be green.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from workshop.course.fences import Block, LessonError, parse
from workshop.course.lessons import Lesson

WRONG, OTHER = "wrong-turns.md", "other-solutions.md"
HEADINGS = {
    WRONG: re.compile(r"^## (?P<rung>[\w-]+): (?P<what>.+)$", re.MULTILINE),
    OTHER: re.compile(r"^## (?P<rung>)(?P<what>.+)$", re.MULTILINE),
}


@dataclass(frozen=True)
class Turn:
    """`blocks` make it of the lesson's end; `rung` is the diagnosis that it must get, empty where it must be green."""

    rung: str
    what: str
    blocks: tuple[Block, ...]


def of(lesson: Lesson, file: str) -> list[Turn]:
    """The turns in one of a lesson's two files; none where it keeps no such file.

    Raises LessonError for a section without a block."""
    path = lesson.folder / file
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    headings = list(HEADINGS[file].finditer(text))
    turns = []
    for heading, after in zip(headings, [*headings[1:], None]):
        section = text[heading.start() : after.start() if after else len(text)]
        before = text[: heading.start()].count("\n")
        blocks, _ = parse("\n" * before + section, f"{lesson.name}/{file}", lesson.root)
        if not blocks:
            raise LessonError(f"{lesson.name}/{file}:{before + 1}: this section changes nothing; give it a ```diff block")
        turns.append(Turn(heading["rung"], heading["what"], blocks))
    return turns
