"""`workshop watch`: the check of a lesson again at every save, and on to the next lesson when it is green.

The files' times are read four times a second. For the few files of `src/` that costs nothing to speak of, and it also
sees a save in a folder that is mounted from elsewhere, where the system reports none.
"""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from workshop.course import lessons
from workshop.course.lessons import Lesson
from workshop.learner import reporter
from workshop.learner.workspace import Workspace, WorkspaceError, files

PAUSE = 0.25  # seconds between two looks, and for which nothing may change before a save is taken to be complete


def watch(lesson: Lesson, say: Callable[[str], None]) -> None:
    """Check a lesson at every save, then each one after it that is not done yet; returns after the last.

    Raises KeyboardInterrupt when a check is stopped by Ctrl-C, after it has ended what it had started."""
    workspace = Workspace(lesson.root)
    while True:
        seen = _saved(workspace)
        code = reporter.run(lesson, "mine")
        if code == pytest.ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if code == pytest.ExitCode.OK:
            left = [other for other in lessons.lessons(lesson.root) if other.name not in workspace.progress()["done"]]
            lesson = next((other for other in left if other.name > lesson.name), None)
            if lesson is None:
                return
            workspace.go_on(lesson)
            seen = _saved(workspace)
            say(f"\nOn to {lesson.name} {lesson.title}: read {lesson.name}/README.md.")
        events = "save or Enter" if sys.stdin.isatty() else "save"
        say(f"Watching src/; the next {events} checks {lesson.name}. Ctrl-C stops.\n")
        _wait(workspace, seen)


def _saved(workspace: Workspace) -> dict[Path, tuple[int, int, int]]:
    """What a save changes: time, size and number of each file of `src/`, and of the answers to quizzes."""
    found = {}
    with suppress(WorkspaceError):  # of a folder that cannot be read the check speaks
        answers = (workspace.saved / "quiz").glob("*.json")
        for path in [*(workspace.src / path for path in files(workspace.src)), *answers]:
            with suppress(OSError):
                about = path.stat()
                found[path] = (about.st_mtime_ns, about.st_size, about.st_ino)
    return found


def _wait(workspace: Workspace, seen: dict) -> None:
    """Wait until something was saved and the saving is over, or for Enter at a terminal."""
    before = seen
    while True:
        entered, now = _pause(), _saved(workspace)
        if entered or before == now != seen:
            return
        before = now


def _pause() -> bool:
    """Wait a moment. True when Enter was pressed."""
    if not sys.stdin.isatty():
        threading.Event().wait(PAUSE)
        return False
    return bool(select.select([sys.stdin], [], [], PAUSE)[0] and sys.stdin.readline())
