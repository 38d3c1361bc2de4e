"""The faults of the clinic: each is a small file beside the lesson, `faults/NAME.md`.

Its blocks come in the order of its sections. What stands above the first section is the fault itself:

    # What the patient complains of, in one sentence
    level: easy, normal or hard
    stage: where in the chain it sits, such as network
    ward: which examination sees it: app, collector or prometheus
    lesson: the one to read, such as 300/400/300
    packages: a requirements file for an environment that the fault brings along, if it does
    (blocks that make the fault of a `src/` in which they fit)

    ## Symptoms       - what must be seen after breaking: `rung` of the examination, or words that one of them said
    ## Causes         - Right: the cause; and three times - No: a cause that would be plausible
    ## Cure: how      blocks upon the fault; at least two such sections
    ## Hides: how     a change after which the symptom is gone and the telemetry is not right; it must be refused
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from workshop.course.fences import Block, LessonError, parse
from workshop.course.lessons import Lesson
from workshop.course.quiz import Choice, Question
from workshop.course.replay import apply

FOLDER = "faults"
LEVELS = ("easy", "normal", "hard")
STAGES = ("command line", "environment", "packages", "code", "network", "collector", "prometheus", "sampling", "clock")
WARDS = ("app", "collector", "prometheus")
ABOUT = {"level": LEVELS, "stage": STAGES, "ward": WARDS}
SECTION = re.compile(r"^## (?P<kind>Symptoms|Causes|Cure|Hides)(?:: (?P<what>.+))?$")
SYMPTOM = re.compile(r"- (?P<where>[a-z]+): `(?P<words>[^`]+)`$")
CAUSE = re.compile(r"- (?P<verdict>Right|No): (?P<text>.+?) \| (?P<why>.+)$")


@dataclass(frozen=True)
class Change:
    """Blocks upon the fault, as a section of its file has them; `kind` is Cure or Hides."""

    kind: str
    what: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Fault:
    """One fault. `symptoms` are pairs of who says it and what: a rung where it is `check`, else words of a program."""

    name: str
    complaint: str
    level: str
    stage: str
    ward: str
    lesson: str
    packages: str
    blocks: tuple[Block, ...]
    symptoms: tuple[tuple[str, str], ...]
    causes: tuple[Choice, ...]
    changes: tuple[Change, ...]

    @property
    def put(self) -> list[str]:
        """The files that it changes or adds, as paths below `src/`."""
        return sorted({block.title[4:] for block in self.blocks})

    @property
    def cause(self) -> str:
        return next(choice.text for choice in self.causes if choice.right)

    @cached_property
    def question(self) -> Question:
        """Which cause? The choices stand in an order of the fault's own."""
        order = list(self.causes)
        random.Random(self.name).shuffle(order)
        return Question(self.name, "What is the cause?", tuple(order))

    def fits(self, files: dict[str, bytes]) -> bool:
        """Whether these files of `src/` are such that the fault can be put into them."""
        try:
            self.put_into(files)
        except LessonError:
            return False
        return True

    def put_into(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """Those of the files that the fault changes or adds, with it. Raises LessonError where it does not fit."""
        changed = dict(files)
        for block in self.blocks:
            if block.language != "diff" and block.title[4:] in files:
                raise block.error(f"{block.title} is there already")
            apply(block, changed)
        return {path: data for path, data in changed.items() if files.get(path) != data}


def faults(lesson: Lesson) -> list[Fault]:
    """The faults of a lesson, by name. Raises LessonError, with file and line, for one that is not in the format."""
    return [_fault(path, lesson) for path in sorted((lesson.folder / FOLDER).glob("*.md"))]


@dataclass
class _Part:
    """A part of a file: its heading, with the line that it stands in, and the lines below."""

    line: int
    kind: str
    what: str
    lines: list[str] = field(default_factory=list)


def _fault(path: Path, lesson: Lesson) -> Fault:
    where = path.relative_to(lesson.root).as_posix()
    first, *parts = _parts(path.read_text(encoding="utf-8"), where)
    blocks = {id(part): parse("\n" * part.line + "\n".join(part.lines), where, lesson.root)[0] for part in (first, *parts)}
    known = dict(re.findall(r"^(\w+): (.+)$", "\n".join(first.lines[:8]), re.MULTILINE))
    for name, allowed in ABOUT.items():
        if known.get(name) not in allowed:
            raise LessonError(f"{where}:1: {name} is {known.get(name)!r}; write one of {', '.join(allowed)}")
    symptoms = [_matched(SYMPTOM, line, number, where) for number, line in _listed(parts, "Symptoms")]
    causes = [_matched(CAUSE, line, number, where) for number, line in _listed(parts, "Causes")]
    changes = tuple(Change(part.kind, part.what, blocks[id(part)]) for part in parts if part.kind in ("Cure", "Hides"))
    kinds = [change.kind for change in changes]
    if kinds.count("Cure") < 2 or kinds.count("Hides") < 1 or not all(change.blocks for change in changes):
        raise LessonError(f"{where}:1: needs two sections `## Cure: …` and one `## Hides: …`, each with its blocks")
    if len(causes) != 4 or not any(of["where"] == "check" for of in symptoms):
        raise LessonError(f"{where}:1: needs four causes, and a symptom `- check: …`")
    return Fault(
        path.stem,
        first.what,
        known["level"],
        known["stage"],
        known["ward"],
        known.get("lesson", ""),
        known.get("packages", ""),
        blocks[id(first)],
        tuple((of["where"], of["words"]) for of in symptoms),
        tuple(Choice(of["text"], of["why"], of["verdict"] == "Right") for of in causes),
        changes,
    )


def _parts(text: str, where: str) -> list[_Part]:
    lines = text.splitlines()
    if not lines or not lines[0].startswith("# "):
        raise LessonError(f"{where}:1: begin it with `# ` and what the patient complains of")
    parts = [_Part(1, "", lines[0][2:])]
    for number, line in enumerate(lines[1:], 2):
        if line.startswith("## "):
            if not (match := SECTION.match(line)):
                raise LessonError(f"{where}:{number}: {line!r} is none of Symptoms, Causes, `Cure: …`, `Hides: …`")
            parts.append(_Part(number, match["kind"], match["what"] or ""))
        else:
            parts[-1].lines.append(line)
    return parts


def _listed(parts: list[_Part], kind: str) -> list[tuple[int, str]]:
    of = next((part for part in parts if part.kind == kind), _Part(0, "", ""))
    return [(of.line + offset, line) for offset, line in enumerate(of.lines, 1) if line.strip()]


def _matched(pattern: re.Pattern, line: str, number: int, where: str) -> re.Match:
    if not (match := pattern.match(line)):
        raise LessonError(f"{where}:{number}: {line!r} is not in the format; workshop/course/faults.py has it")
    return match
