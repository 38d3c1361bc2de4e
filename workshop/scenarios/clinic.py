"""The clinic: a fault is put into `src/`, and somebody finds it, names it and cures it.

`.saved/clinic.json` keeps the open case and those before. A case is open from `workshop break` on, and closed by a green check
with the cause named, or, given up, by what brings `src/` back to what it was: `workshop undo`.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from workshop.checks.beside import Beside
from workshop.checks.checkpoint import Checkpoint
from workshop.checks.sandbox import MINE, Sandbox
from workshop.course import lessons
from workshop.course.faults import Fault, faults
from workshop.course.lessons import Lesson
from workshop.course.quiz import Choice
from workshop.errors import UserError
from workshop.learner.quiz import asked
from workshop.learner.workspace import Workspace, WorkspaceError
from workshop.scenarios.wards import examine
from workshop.scenarios.wards.finding import Finding
from workshop.setup.cache import write_whole
from workshop.setup.environments import EnvironmentFailed, environment_of
from workshop.terminal import say, wrapped

LESSON, FOLDER = "400/100", "WORKSHOP_CLINIC_FOLDER"
CURED, GIVEN_UP = "cured", "given up"


class ClinicError(UserError):
    """Nothing can be broken, or there is no open case. The message says why, and what to do."""


@dataclass
class Case:
    """A fault that somebody met. `before` is the digest of `src/` without it; `end` is empty while the case is open."""

    fault: str
    seed: int | None
    before: str
    hints: int = 0
    tries: int = 0
    named: bool = False
    end: str = ""


class Clinic:
    """The faults, and what a learner has met of them. `folder` holds `src/` and `.saved/`; by default it is the repository."""

    def __init__(self, lesson: Lesson | None = None, folder: Path | None = None):
        self.lesson = lesson or lessons.find(LESSON)
        self.workspace = Workspace(folder or Path(os.environ.get(FOLDER) or self.lesson.root))
        self.path = self.workspace.saved / "clinic.json"
        self.faults = {fault.name: fault for fault in faults(self.lesson)}
        self.cases = _kept(self.path, self.faults)

    @property
    def open(self) -> Case | None:
        return next((case for case in self.cases if not case.end), None)

    @property
    def fault(self) -> Fault:
        """The fault of the open case. Raises ClinicError where there is none."""
        if not self.open:
            raise ClinicError("no fault is open; `workshop break` puts one into src/")
        return self.faults[self.open.fault]

    def break_(
        self, seed: int | None, level: str | None, progress: Callable[[str], None] = lambda line: None
    ) -> tuple[Fault, int]:
        """Put a fault into `src/`: with a seed the one that is next for everybody with that seed, else one that was not met yet.

        Returns it, and how many that would have come first do not fit this `src/`. Raises ClinicError, and leaves `src/` as it
        is, where it is empty, broken already or not well, and where no fault fits."""
        self.give_up()
        if self.open:
            raise ClinicError(
                f"a fault is in src/ already: “{self.fault.complaint}”\nName it and cure it, then `workshop check {self.lesson.name}`. "
                "`workshop undo` gives it up and takes it out."
            )
        files = self._files()
        if not files:
            raise ClinicError(f"src/ is empty; {self._cure()}")
        order = self.order(seed, level)
        fault = next((fault for fault in order if fault.fits(files)), None)
        if not fault:
            raise ClinicError(f"src/ is not the app that the lessons build, and no fault fits it; {self._cure()}")
        progress("Looking whether src/ is well …")
        found = self.examine(fault.ward)
        if found.red:
            raise ClinicError(
                f"src/ was not broken, for it is not well already:\n{found.red}\nMend that first, or {self._cure()}"
            )
        self._prepare(fault, progress)
        self._put(fault, Case(fault.name, seed, _digest(files)))
        return fault, order.index(fault)

    def order(self, seed: int | None, level: str | None = None) -> list[Fault]:
        """The faults of a level as they come: with a seed as it has them, from the one on that this learner has not met by it.

        Without one those that were not met come first, in any order."""
        every = [fault for fault in self.faults.values() if level in (None, fault.level)]
        if seed is None:
            met = {case.fault for case in self.cases}
            every = [fault for fault in every if fault.name not in met] or every
            return random.sample(every, len(every))
        random.Random(seed).shuffle(every)
        met = len([case for case in self.cases if case.seed == seed and self.faults[case.fault] in every]) % len(every)
        return every[met:] + every[:met]

    def hint(self) -> str:
        """The next hint; each is counted. Raises ClinicError without an open case, and when there is none left."""
        fault, case = self.fault, self.open
        if case.hints >= 3:
            raise ClinicError("there is no further hint; one of the four choices of `workshop break --name` is right")
        hints = (
            lambda: f"Look at this stage: {fault.stage}.",
            lambda: f"The lesson to read again is {fault.lesson}.",
            lambda: f"A check would say: {self._seen(fault)}",
        )
        said = hints[case.hints]()
        case.hints += 1
        self._keep()
        return said

    def name(self, letter: str) -> Choice:
        """Name the cause of the open case by the letter of a choice; each try is counted. Raises ClinicError without one."""
        question = self.fault.question
        choice = question.choices[question.letters.index(letter)]
        self.open.tries += 1
        self.open.named = self.open.named or choice.right
        self._keep()
        return choice

    def grade(self, checkpoint: Checkpoint) -> None:
        """Close the open case if its fault is cured in this copy of `src/`, and its cause is named.

        Raises Broken unless it is, and where nothing was cured yet."""
        if not self.open:
            checkpoint.must(
                any(case.end == CURED for case in self.cases),
                "no-patient",
                seen="no fault is open, and none was cured yet",
                expected="one that you have named and cured",
                why="who has found a fault that nobody announced can find the next one",
                do="`workshop break` puts one into src/",
            )
            return
        found = examine(checkpoint, self.fault.ward)
        checkpoint.must(
            not found.red,
            "still-ill",
            seen=found.wrong,
            expected="telemetry that is right, all of it",
            why=f"somebody complained: “{self.fault.complaint}” A cure makes it right; what only makes the complaint go away is none",
            do="look again at the same place; `workshop break --hint` says a little more",
            lesson=self.lesson.name,
        )
        checkpoint.must(
            self.open.named,
            "not-named",
            seen="telemetry is right again, and nobody knows why",
            expected="the name of the cause",
            why="a cure without a cause is luck",
            do="`workshop break --name`",
            lesson=self.lesson.name,
        )
        self.close()

    def give_up(self) -> bool:
        """Close the open case as given up if `src/` is what it was before: taken back, or never broken, for a stop came first."""
        gone = bool(self.open) and _digest(self._files()) == self.open.before
        if gone:
            self.close(GIVEN_UP)
        return gone

    def close(self, end: str = CURED) -> None:
        """The open case is over."""
        self.open.end = end
        self._keep()

    def examine(self, ward: str) -> Finding:
        """Examine the learner's `src/`, in a copy, and leave no process."""
        beside = Beside(bring=True)
        try:
            with tempfile.TemporaryDirectory(prefix="workshop-clinic-") as folder:
                checkpoint = Checkpoint(self.lesson, MINE, Path(folder), beside.program)
                checkpoint.sandbox = Sandbox.copy_of(self.workspace.src, Path(folder))
                return examine(checkpoint, ward)
        finally:
            beside.stop()

    def _seen(self, fault: Fault) -> str:
        red = self.examine(fault.ward).red
        return f"{red.seen}; expected: {red.expected}" if red else "nothing. Telemetry is right again."

    def _prepare(self, fault: Fault, progress: Callable[[str], None]) -> None:
        """Make the environment that a fault brings along."""
        if fault.packages:
            try:
                environment_of(self.lesson.root / fault.packages, progress=progress)
            except EnvironmentFailed as error:
                raise ClinicError(
                    f"nothing was broken, for this fault needs packages that cannot be had now: {error}"
                ) from None

    def _put(self, fault: Fault, case: Case) -> None:
        """Put a fault into `src/` as a whole, or leave it as it was."""
        self.cases.append(case)
        try:
            self._keep()
            self.workspace.change(fault.put_into(self._files()), self.lesson.name)
        except BaseException:
            with suppress(WorkspaceError):
                if _digest(self._files()) != case.before:
                    self.workspace.undo()
            self.cases.remove(case)
            self._keep()
            raise

    def _files(self) -> dict[str, bytes]:
        return {path: mine for path, (mine, _) in self.workspace.differences({}).items()}

    def _cure(self) -> str:
        before = [lesson.name for lesson in lessons.lessons(self.lesson.root) if lesson.name < self.lesson.name]
        return f"`workshop solve {before[-1]}` puts the finished app there, and keeps what you had."

    def _keep(self) -> None:
        try:
            keep(self.path, self.cases)
        except OSError as error:
            raise ClinicError(f"src/ was not changed: {error.filename or self.path}: {error.strerror}") from None


def keep(path: Path, cases: list) -> None:
    """Write cases into a file, as a whole or not at all. Raises OSError."""
    path.parent.mkdir(exist_ok=True)
    write_whole(path, json.dumps([asdict(case) for case in cases], indent=1))


def _kept(path: Path, known: dict[str, Fault]) -> list[Case]:
    """The cases as they were kept; none where there is nothing that can be read."""
    try:
        return [case for kept in json.loads(path.read_text(encoding="utf-8")) if (case := Case(**kept)).fault in known]
    except (OSError, ValueError, TypeError):
        return []


def _digest(files: dict[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, data in sorted(files.items()):
        whole.update(f"{name}\0{len(data)}\0".encode() + data)
    return whole.hexdigest()


# Telling


def show(fault: Fault, left_out: int) -> None:
    """Say what somebody complains of, and what can be done."""
    say("src/ has a fault now. Somebody says:\n")
    say(wrapped(f"“{fault.complaint}”", "  ", "  "))
    say(f"\nWhat you had is kept; `workshop undo` gives up and brings it back. The fault is {fault.level}.")
    if left_out:
        say(f"{left_out} faults that would have come first do not fit your src/.")
    say(f"Look, cure it, `workshop break --name`, then `workshop check {LESSON}`.")


def name(clinic: Clinic, letter: str | None) -> bool:
    """Ask for the cause of the open case, unless a letter is given, until it is right. Returns whether it is."""
    question = clinic.fault.question
    if letter is not None and letter.lower() not in tuple(question.letters):
        raise ClinicError(f"{letter!r} is no choice; write {', '.join(question.letters)}, or nothing to be asked")
    say(wrapped(f"“{clinic.fault.complaint}” {question.ask}"))
    for at, choice in zip(question.letters, question.choices):
        say(wrapped(choice.text, f"  {at}  ", " " * 5))
    while True:
        if not letter and not sys.stdin.isatty():
            say("\nName it with its letter: `workshop break --name a`")
            return False
        said = letter or asked(question)
        choice = clinic.name(said.lower())
        say(f"\n{wrapped(str(choice))}")
        if choice.right or letter:
            return choice.right
