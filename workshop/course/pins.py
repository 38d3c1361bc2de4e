"""The versions that a requirements file pins, and the packages that an environment has."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from workshop.course import lessons
from workshop.course.lessons import Lesson

BASE = "requirements.txt"


@dataclass(frozen=True)
class Packages:
    """`installed` and `pinned` hold versions by name; `by` the requirements file that pins a package, below the repository."""

    installed: dict[str, str] = field(default_factory=dict)
    pinned: dict[str, str] = field(default_factory=dict)
    by: dict[str, str] = field(default_factory=dict)

    @property
    def absent(self) -> list[str]:
        """What is pinned and not installed."""
        return [name for name in self.pinned if name not in self.installed]

    @property
    def drifted(self) -> list[str]:
        """What is installed in another version than the pinned one."""
        return [name for name, version in self.pinned.items() if self.installed.get(name, version) != version]

    def cure(self, name: str) -> str:
        """The command that installs a package as it is pinned."""
        file = self.by.get(name, BASE)
        return "make install" if file == BASE else f"pip install --require-hashes -r {file}"


def compared(lesson: Lesson, prefix: Path) -> Packages:
    """The packages of an environment beside what the base and the lessons so far pin."""
    pinned, by = {}, {}
    for file in files(lesson):
        found = pins(file.read_text(encoding="utf-8"))
        pinned |= found
        by |= dict.fromkeys(found, file.relative_to(lesson.root).as_posix())
    return Packages(installed(prefix), pinned, by)


def files(lesson: Lesson) -> list[Path]:
    """The requirements files of the base and of the lessons so far."""
    before = [other.folder for other in lessons.lessons(lesson.root) if other.name <= lesson.name]
    return [file for folder in (lesson.root, *before) if (file := folder / BASE).exists()]


def canonical(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(requirements: str) -> dict[str, str]:
    """The versions that a hashed requirements file pins for this Python and this system."""
    from packaging.requirements import Requirement

    found = {}
    for line in requirements.replace("\\\n", " ").splitlines():
        text = re.split(r"\s--hash|^#", line)[0].strip()
        need = Requirement(text) if text else None
        if need and (need.marker is None or need.marker.evaluate()):
            found[canonical(need.name)] = next(iter(need.specifier)).version
    return found


def installed(prefix: Path) -> dict[str, str]:
    """The packages of the virtual environment in this folder, each with its version; none where it is no environment."""
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for package in distributions(path=[str(folder) for folder in prefix.glob("lib*/python*/site-packages")]):
        if name := package.metadata["Name"]:  # a half removed package leaves a folder without
            found.setdefault(canonical(name), package.version)
    return found
