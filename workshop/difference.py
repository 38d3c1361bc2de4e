"""What lies between `src/` and a lesson, as a diff whose hunks can be pasted into a lesson's ```diff block."""

from __future__ import annotations

import difflib

CONTEXT = 2


def between(differences: dict[str, tuple[bytes | None, bytes | None]]) -> str:
    """A readable diff of `{path: (mine, the lesson's)}`; empty when there is none."""
    return "\n".join(_file(path, mine, theirs) for path, (mine, theirs) in differences.items())


def _file(path: str, mine: bytes | None, theirs: bytes | None) -> str:
    if theirs is None:
        return f"src/{path}: only yours; the lesson has no such file"
    try:
        old = (mine or b"").decode().splitlines()
        new = theirs.decode().splitlines()
    except UnicodeDecodeError:
        return f"src/{path}: differs, and is not text"
    if mine is None:
        return "\n".join([f"src/{path}: missing; it begins", *("+" + line for line in new[:12])])
    if old == new:
        return f"src/{path}: differs only in line ends (CRLF or LF)"
    return "\n".join([f"src/{path}", *hunks(old, new)])


def hunks(old: list[str], new: list[str]) -> list[str]:
    """The lines of a ```diff block: hunks divided by a bare `@@`, each with enough context to fit one place."""
    lines = list(difflib.unified_diff(old, new, n=CONTEXT, lineterm=""))[2:]
    return ["@@" if line.startswith("@@") else line for line in lines][1:]
