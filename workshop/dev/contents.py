"""The tables of lessons on chapters' pages, with minutes that are computed.

`workshop output` writes them anew.
"""

from __future__ import annotations

from pathlib import Path

from workshop.course import lessons
from workshop.course.fences import ROOT
from workshop.course.lessons import Lesson
from workshop.learner.reporter import run

HEADING = "## Lessons"


def table(chapter: Path, root: Path = ROOT) -> list[str]:
    """A chapter's lessons and chapters, one row each, with the minutes of all that is in it; a sentence where there are none."""
    minutes: dict[str, int] = {}
    for lesson in lessons.lessons(root):
        if chapter in lesson.folder.parents:
            part = lesson.folder.relative_to(chapter).parts[0]
            minutes[part] = minutes.get(part, 0) + lesson.minutes
    rows = [
        f"| [{(chapter / part).relative_to(root).as_posix()} {lessons.title(chapter / part / 'README.md')}]({part}/README.md) | {total} min |"
        for part, total in sorted(minutes.items())
    ]
    return ["| lesson | time |", "| --- | ---: |", *rows] if rows else ["They are being written."]


def page(chapter: Path, root: Path = ROOT) -> str:
    """The chapter's page as it is to be: its own text, and the table below its heading `## Lessons`."""
    lines = (chapter / "README.md").read_text(encoding="utf-8").splitlines()
    if HEADING in lines:
        start = lines.index(HEADING) + 1
        end = next((at for at in range(start, len(lines)) if lines[at].startswith("#")), len(lines))
        lines[start:end] = ["", *table(chapter, root), *([""] if end < len(lines) else [])]
    return "\n".join(lines) + "\n"


def write(root: Path = ROOT) -> None:
    """Write the table of every chapter."""
    for chapter in lessons.chapters(root):
        if (fresh := page(chapter, root)) != (readme := chapter / "README.md").read_text(encoding="utf-8"):
            readme.write_text(fresh, encoding="utf-8")


def write_output(lesson: Lesson) -> int:
    """Write the lesson's output blocks from a run of its checks at its end, and the chapters' tables of minutes.

    Returns pytest's exit status."""
    code = run(lesson, "end", "--write-output")
    write(lesson.root)
    return code
