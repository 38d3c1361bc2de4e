"""The wrong turns that a learner is likely to take, and the diagnosis that each must get.

A lesson's `wrong-turns.md` holds sections `## rung: what was done`, each with blocks that change the lesson's end. With
`--at end` every section is a test: the lesson's checks must turn red, and with that very rung.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from workshop.course import lessons
from workshop.course.lessons import Block, Lesson, LessonError

FILE = "wrong-turns.md"
HEADING = re.compile(r"^## (?P<rung>[\w-]+): (?P<what>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Turn:
    """One wrong turn: `blocks` make it of the lesson's end, `rung` is the diagnosis that it must get."""

    rung: str
    what: str
    blocks: tuple[Block, ...]


def of(lesson: Lesson) -> list[Turn]:
    """The wrong turns of a lesson; none where it keeps no such file.

    Raises LessonError for a section without a block."""
    path = lesson.folder / FILE
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    headings = list(HEADING.finditer(text))
    turns = []
    for heading, after in zip(headings, [*headings[1:], None]):
        section = text[heading.start() : after.start() if after else len(text)]
        before = text[: heading.start()].count("\n")
        blocks, _ = lessons.parse("\n" * before + section, f"{lesson.name}/{FILE}", lesson.root)
        if not blocks:
            raise LessonError(f"{lesson.name}/{FILE}:{before + 1}: this section changes nothing; give it a ```diff block")
        turns.append(Turn(heading["rung"], heading["what"], blocks))
    return turns
