"""One line of the report of an examination."""

from __future__ import annotations

from dataclasses import dataclass

PASSED, FAILED, OPEN = "passed", "failed", "open"


@dataclass(frozen=True)
class Entry:
    """A rung, a rule or a thing that the course taught, and what came of it.

    `state` is "passed", "failed", or "open" where this run cannot tell; `seen` is the evidence, or why it is open. `do` is the
    cure and `lesson` where to read of it."""

    id: str
    title: str
    state: str
    seen: str = ""
    do: str = ""
    lesson: str = ""
    impact: str = ""


def some(names: list[str], most: int = 3) -> str:
    """A few of many names, each once."""
    once = list(dict.fromkeys(names))
    return ", ".join(once[:most]) + (f" and {len(once) - most} more" if len(once) > most else "")
