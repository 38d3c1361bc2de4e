"""Whose code is checked: the learner's own, or a replay of a lesson's end or start, always as a copy with ports of its own."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from workshop import lessons, workspace
from workshop.app import free_port
from workshop.diagnosis import Broken, Diagnosis
from workshop.lessons import Block, Lesson

MINE, END, START = "mine", "end", "start"
APP, ADVISOR = 5001, 5002


@dataclass
class Subject:
    """A copy of `src/` in a temporary folder. `ports` maps each port that the text names to the one used here."""

    folder: Path
    ports: dict[int, int] = field(default_factory=lambda: {port: free_port() for port in (APP, ADVISOR)})

    @classmethod
    def of(cls, lesson: Lesson, at: str, temporary: Path, more: Iterable[Block] = ()) -> Subject:
        """The learner's `src/` (`mine`), or what a replay makes of it at the lesson's `end` or `start`, and `more` blocks after.

        Raises Broken when the learner's `src/` cannot be read."""
        folder = temporary / "src"
        if at == MINE:
            _copy(lesson.root / "src", folder)
        else:
            state = lessons.replay(lesson, end=at == END)
            for block in more:
                lessons.apply(block, state)
            for name, data in state.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    def files(self) -> dict[str, str]:
        """The text files of the copy by path below `src/`, with the learner's own ports."""
        found = {}
        for path in workspace.files(self.folder):
            text = _text(self.folder / path)
            if text is not None:
                found[path.as_posix()] = self.unswap(text)
        return found

    def swap_ports(self) -> None:
        """Write this run's ports into the text of the copy. LF replaces CRLF in scripts, as git would do it."""
        for path in workspace.files(self.folder):
            text = _text(self.folder / path)
            if text is not None and (swapped := self.swap(text).replace("\r\n", "\n")) != text:
                (self.folder / path).write_text(swapped, encoding="utf-8", newline="")

    def swap(self, text: str) -> str:
        return _swapped(text, self.ports)

    def unswap(self, text: str) -> str:
        """Ports and paths as the learner knows them."""
        database = str(self.folder.with_name("check.db"))
        text = text.replace(database, "/…/src/instance/todo.db").replace(f"{self.folder}/", "src/")
        return _swapped(text, {here: theirs for theirs, here in self.ports.items()})

    def shadows(self) -> tuple[str, ...]:
        """Files and folders directly in `src/` that hide a package or a module of Python's own."""
        own = {path.parts[0] for path in workspace.files(self.folder)}
        modules = {name for name in own if name.endswith(".py") and _taken(name[:-3])}
        packages = {name for name in own if (self.folder / name / "__init__.py").exists() and _taken(name)}
        return tuple(f"src/{name}" for name in sorted(modules | packages))


def _taken(name: str) -> bool:
    return name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None


def _swapped(text: str, ports: dict[int, int]) -> str:
    if not ports:
        return text
    pattern = r"(?<![\d.])(" + "|".join(map(str, ports)) + r")(?![\d.]*\d)"
    return re.sub(pattern, lambda match: str(ports[int(match[1])]), text)


def _copy(source: Path, target: Path) -> None:
    for path in workspace.files(source):
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(source / path, copy)
        except OSError as error:
            raise Broken(
                Diagnosis(
                    "unreadable",
                    f"src/{path}: {error.strerror}",
                    "files that you may read",
                    "the check runs a copy of src/, and cannot copy this file",
                    f"`ls -l src/{path}` shows what it is; mend it or move it out of src/",
                )
            ) from None


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode() if path.stat().st_size < 1_000_000 else None
    except (UnicodeDecodeError, OSError):
        return None
