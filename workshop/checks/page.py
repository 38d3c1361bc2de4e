"""The commands and outputs of a page that no test of its lesson uses: they are run as they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from workshop.checks.checkpoint import SERVES, Checkpoint, Record
from workshop.checks.sandbox import END
from workshop.course.fences import Block
from workshop.course.lessons import Lesson
from workshop.errors import UserError

# Run as they stand by the test that follows all lessons in a clone of the repository.
FOLLOWED = ("workshop check ", "workshop start ", "workshop solve ", "workshop diff ", "workshop undo")


def left(lesson: Lesson, record: Record) -> list[Block]:
    """The commands, shown outputs and queries of a lesson that nothing has used yet."""
    kinds = ("command", "output", "console", "query")
    unused = [block for block in lesson.blocks if block.kind in kinds and block.line not in record.used]
    return [block for block in unused if not block.text.startswith(FOLLOWED)]


def run_rest(lesson: Lesson, program: Callable, record: Record, folder: Path) -> list[str]:
    """Run what is left of a page in its order, each command on `src/` as the text has it there, and compare what it shows.

    A command that serves the app does so until the next one that does. Returns what is wrong, with its line; a block that
    cannot be run like this needs a test."""
    problems = []
    for serving, commands in _parts(lesson):
        try:
            if any(block in left(lesson, record) for block in [*serving, *commands]):
                _run_part(serving, commands, lesson, program, record, folder)
        except UserError as error:
            first = (serving or commands)[0]
            problems.append(
                f"{first.where}:{first.line}: no test uses all that stands here, and run by itself it is red:\n{error}"
            )
    return problems + [
        str(block.error(f"no test uses this {block.kind} block; use it in {lesson.name}/test_*.py, or take it out"))
        for block in left(lesson, record)
    ]


def _parts(lesson: Lesson) -> Iterator[tuple[list[Block], list[Block]]]:
    """A page's blocks as (what serves the app and what that shows, the commands meanwhile and what they show), in order."""
    serving: list[Block] = []
    commands: list[Block] = []
    for block in lesson.blocks:
        if block.kind == "command" and SERVES.search(block.text):
            yield serving, commands
            serving, commands = [block], []
        elif block.kind == "console":
            serving.append(block)
        elif block.kind in ("command", "output") and not block.text.startswith(FOLLOWED):
            commands.append(block)
    yield serving, commands


def _run_part(serving: list[Block], commands: list[Block], *given) -> None:
    lesson, _, record, _ = given
    with ExitStack() as served:
        running = None
        if serving:
            asked = [block for block in commands if block.kind == "command"]
            running = _there([serving[0], *asked][-1], *given)  # what is typed in between is there after a restart
            shown = any(block in left(lesson, record) for block in serving[1:])
            served.enter_context(running.serve(serving[0].text, shown=shown, jaeger=True))
        for block in commands:
            if block.kind == "command":
                (running or _there(block, *given)).run(block.text)


def _there(block: Block, lesson: Lesson, program: Callable, record: Record, folder: Path) -> Checkpoint:
    return Checkpoint(lesson, END, folder / f"rest-{block.line}", program, record).on_the_way(block.text)
