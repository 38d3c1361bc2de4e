"""The stages of the ladder, and what a lesson adds to them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from workshop.course import lessons
from workshop.course.lessons import Lesson
from workshop.diagnosis.facts import Rung, Stage

FILE = "rungs.py"


def expanded(lesson: Lesson, wanted: Iterable[Stage | Rung]) -> list[Rung]:
    """The rungs to climb for a lesson. In each stage the lessons' own come first, those of the latest lesson before others.

    A rung that only one lesson needs lies in that lesson's `rungs.py`, in a tuple with the stage's name, such as
    `SPANS = (too_late,)`. It counts in that lesson and in those after it."""
    own = [_load(path) for path in _files(lesson.root, lesson.name)]
    rungs: list[Rung] = []
    for item in wanted:
        if isinstance(item, Stage):
            rungs += [rung for module in reversed(own) for rung in getattr(module, item.name, ())]
            rungs += item
        else:
            rungs.append(item)
    return rungs


@cache
def _files(root: Path, until: str) -> tuple[Path, ...]:
    found = (lesson.folder / FILE for lesson in lessons.lessons(root) if lesson.name <= until)
    return tuple(path for path in found if path.exists())


_load = cache(lessons.load)
