"""What lies between `src/` and a lesson, as a diff whose hunks can be pasted into a lesson's ```diff block."""

from __future__ import annotations

import difflib

from workshop.course.fences import Block, LessonError
from workshop.course.replay import apply, bytes_of

CONTEXT = 2


def between(differences: dict[str, tuple[bytes | None, bytes | None]]) -> str:
    """A readable diff of `{path: (mine, the lesson's)}`; empty when there is none."""
    return "\n".join(_file(path, mine, theirs) for path, (mine, theirs) in differences.items())


def _file(path: str, mine: bytes | None, theirs: bytes | None) -> str:
    shown = path.encode(errors="surrogateescape").decode(errors="replace")
    if theirs is None:
        return f"src/{shown}: only yours; the lesson has no such file"
    try:
        old = (mine or b"").decode().splitlines()
        new = theirs.decode().splitlines()
    except UnicodeDecodeError:
        return f"src/{shown}: {'missing' if mine is None else 'differs'}, and is not text"
    if mine is None:
        more = ["…"] if len(new) > 12 else []
        return "\n".join([f"src/{shown}: missing; it begins", *("+" + line for line in new[:12]), *more])
    if old == new:
        return f"src/{shown}: differs only in how lines end (CRLF or LF, or a last line that does not end)"
    return "\n".join([f"src/{shown}", *hunks(old, new)])


def hunks(old: list[str], new: list[str]) -> list[str]:
    """The lines of a ```diff block: hunks divided by a bare `@@`, each with enough context to fit one place."""
    for context in range(CONTEXT, max(CONTEXT, len(old)) + 1):
        lines = list(difflib.unified_diff(old, new, n=context, lineterm=""))[2:]
        lines = ["@@" if line.startswith("@@") else line for line in lines][1:]
        if _fits(lines, old, new):
            break
    return lines


def _fits(lines: list[str], old: list[str], new: list[str]) -> bool:
    state = {"file": bytes_of(old)}
    try:
        apply(Block("", 0, "diff", "src/file", "change", tuple(lines)), state)
    except LessonError:
        return False
    return state["file"] == bytes_of(new)
