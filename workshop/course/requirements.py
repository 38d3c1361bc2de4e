"""What operators ask of the app: the tables of 200/300, which the checks of later lessons read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workshop.course.fences import ROOT, LessonError

PAGE = "200/300/README.md"
SIGNALS = ("trace", "metric", "log", "all")
NONE = "–"
CODE = re.compile(r"`([^`]+)`")
OBJECTIVE = re.compile(r"(?P<percent>\d+(?:\.\d+)?) % in (?P<days>\d+) days")


@dataclass(frozen=True)
class Objective:
    """A service level objective: the share of good answers in all answers, and the time in which it is counted."""

    share: float
    days: int

    def budget(self, answers: int) -> int:
        """How many of so many answers may fail."""
        return round(answers * (1 - self.share))


@dataclass(frozen=True)
class Name:
    """An attribute, field or metric: its name by the conventions, and the one that 0.66b1 gives it by default."""

    stable: str
    default: str


@dataclass(frozen=True)
class Need:
    """A question that an operator asks, the signal that answers, and by which names; `sli` and `slo` if it has them."""

    question: str
    signal: str
    names: tuple[Name, ...]
    sli: str = ""
    slo: Objective | None = None


@dataclass(frozen=True)
class Secret:
    """What must never be recorded, the canary that stands for it in checks, and where it would slip in."""

    what: str
    canary: str
    where: str


@dataclass(frozen=True)
class Requirements:
    """The tables of 200/300."""

    needs: tuple[Need, ...]
    secrets: tuple[Secret, ...]

    @property
    def canaries(self) -> tuple[str, ...]:
        return tuple(secret.canary for secret in self.secrets)


def requirements() -> Requirements:
    """What 200/300 asks for.

    Raises LessonError, with the line, where a table is missing or says what it cannot mean."""
    return read((ROOT / PAGE).read_text(encoding="utf-8"))


def read(text: str) -> Requirements:
    """As `requirements`, of the page's text."""
    rows = _table(text, "names", 2)
    names = {_one(stable, line): _one(default, line) for line, (stable, default) in rows}
    needs = []
    asked = _table(text, "questions", 5)
    for line, (question, signal, recorded, sli, slo) in asked:
        if signal not in SIGNALS:
            raise LessonError(f"{PAGE}:{line}: {signal!r} is no signal; write one of {', '.join(SIGNALS)}")
        recorded_as = CODE.findall(recorded)
        if not recorded_as:
            raise LessonError(f"{PAGE}:{line}: {question!r} names nothing that is recorded; write a name in `…`")
        found = tuple(Name(name, names.get(name, name)) for name in recorded_as)
        needs.append(Need(question, signal, found, sli.replace(NONE, ""), _objective(slo, line)))
    never = _table(text, "secrets", 3)
    secrets = tuple(Secret(what, _one(canary, line), where) for line, (what, canary, where) in never)
    return Requirements(tuple(needs), secrets)


def _objective(text: str, line: int) -> Objective | None:
    if text == NONE:
        return None
    if not (match := OBJECTIVE.fullmatch(text)):
        raise LessonError(f"{PAGE}:{line}: {text!r} is no objective; write it as `99 % in 28 days`, or {NONE} for none")
    return Objective(float(match["percent"]) / 100, int(match["days"]))


def _table(text: str, name: str, columns: int) -> list[tuple[int, tuple[str, ...]]]:
    """The rows of the table that stands below `<!-- name -->`, each with its line; its heads may be in any language."""
    rows: list[tuple[int, tuple[str, ...]]] = []
    named, _, below = text.partition(f"<!-- {name} -->\n\n")
    for number, line in enumerate(below.splitlines(), named.count("\n") + 3):
        if not line.startswith("|"):
            break
        cells = tuple(cell.strip() for cell in line.strip("| ").split("|"))
        if len(cells) != columns:
            row = " | ".join(rows[0][1]) if rows else "…"
            raise LessonError(f"{PAGE}:{number}: {len(cells)} cells in a table of {columns}; a row is `| {row} |`")
        rows.append((number, cells))
    if len(rows) < 3:
        raise LessonError(f"{PAGE}: has no table below `<!-- {name} -->`; later checks read it")
    return rows[2:]


def _one(cell: str, line: int) -> str:
    found = CODE.findall(cell)
    if len(found) != 1:
        raise LessonError(f"{PAGE}:{line}: {cell!r} must hold one name or value in `…`")
    return found[0]
