"""The pytest side of the workshop: whose code is checked (`--at`), the `checkpoint` fixture, and what counts as proved.

- `--at mine` (default): the learner's `src/`. A red check is a diagnosis, without a traceback.
- `--at end`: a fresh replay of each lesson. A command or output block of the lesson that no test used is run by itself.
- `--at start`: the replay before it. Every test must be red, with the diagnosis that its `before` mark names.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from workshop.checks.process import inherited, keep_children_interruptible
from workshop.checks.sandbox import END, MINE, START
from workshop.course import lessons, turns
from workshop.course.fences import LessonError
from workshop.course.lessons import Lesson
from workshop.diagnosis.facts import Broken, Diagnosis
from workshop.errors import UserError
from workshop.learner.workspace import Workspace
from workshop.terminal import say, wrapped

if TYPE_CHECKING:
    from workshop.checks.beside import Beside
    from workshop.checks.checkpoint import Checkpoint, Record
    from workshop.programs.instance import Instance


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("workshop")
    group.addoption(
        "--at", choices=(MINE, END, START), default=MINE, help="whose code the lessons' tests check (default: mine)"
    )
    group.addoption(
        "--write-output", action="store_true", help="write what the runs printed into the lessons' output blocks (--at end)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "before(rung): the diagnosis that this test gives before its lesson (--at start)")
    config.stash[KEY] = Session(config.getoption("--at"), config.getoption("--write-output"))
    keep_children_interruptible()
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal ends a check as Ctrl-C does: what it started is stopped
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


class Session:
    """What the tests of one run share: the programs of the checks, which blocks were used, how the lessons fared."""

    def __init__(self, at: str, write_output: bool):
        self.at = at
        self.rewriting = write_output and at == END
        self.records: dict[str, Record] = {}
        self.collected: dict[str, list[pytest.Item]] = {}
        self.passed: dict[str, int] = {}
        self.partly: set[str] = set()
        self.checkpoints: dict[str, list[Checkpoint]] = {}
        self.notes: list[str] = []
        self.problems: list[str] = []

    @cached_property
    def beside(self) -> Beside:
        """The programs of the checks."""
        from workshop.checks.beside import Beside

        return Beside(bring=self.at != MINE)

    def program(self, *asked, **more) -> Instance:
        """A program of the checks: `Beside.program`."""
        return self.beside.program(*asked, **more)

    def record(self, lesson: Lesson) -> Record:
        """What the tests of a lesson note, shared by all of them."""
        from workshop.checks.checkpoint import Record

        return self.records.setdefault(lesson.name, Record(self.rewriting))

    def green(self) -> list[Lesson]:
        """The lessons whose every test was run and passed."""
        found = []
        for name, items in self.collected.items():
            lesson = lessons.find(name)
            whole = {item.path for item in items} == set(lesson.tests) and name not in self.partly
            if whole and self.passed.get(name, 0) == len(items):
                found.append(lesson)
        return found

    def rest_of(self, lesson: Lesson) -> list[str]:
        """What is wrong with the lesson's commands and shown outputs that no test of it used, each with its line."""
        from workshop.checks.page import run_rest

        folder = Path(tempfile.mkdtemp(prefix="workshop-"))
        try:
            return run_rest(lesson, self.program, self.record(lesson), folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def set_aside(self, lesson: Lesson) -> list[str]:
        """What the lesson's green checks have set aside, and what would bite by hand."""
        from workshop.checks import aside
        from workshop.course.pins import compared

        served = [checkpoint for checkpoint in self.checkpoints.get(lesson.name, ()) if checkpoint.served]
        if not served:
            return []
        made = [file for one in served for file in (one.database, *(one.folder / "instance").glob("*.db"))]
        found = aside.notes(lesson, made, compared(lesson, served[-1].active))
        return [wrapped(note) for note in (*self.record(lesson).notes, *found)]

    def last_words(self) -> list[str]:
        """What is to be said when the run is over: about blocks that no test used, and about what the checks set aside."""
        names = inherited() if self.at == MINE and self.collected else []
        said = "the check leaves that out, your own `sh run.sh` does not. `workshop doctor` says more."
        return [
            *self.problems,
            *dict.fromkeys(self.notes),
            *([wrapped(f"Your shell exports {', '.join(names)}: {said}")] if names else []),
        ]

    def close(self) -> None:
        from workshop.checks import warm

        warm.stop()
        if "beside" in vars(self):
            self.beside.stop()


KEY = pytest.StashKey[Session]()


def lesson_of(path: Path) -> Lesson | None:
    """The lesson in whose folder a test lies, None for any other test."""
    try:
        if not path.name.startswith("test_") and path.name not in turns.HEADINGS:
            return None
        name = path.parent.relative_to(lessons.ROOT).as_posix()
        return lessons.find(name) if lessons.NUMBER.match(name) else None
    except (ValueError, LessonError):
        return None


@pytest.fixture
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path):
    """The lesson of this test on the subject of this run; see `workshop.checks.checkpoint.Checkpoint`."""
    from workshop.checks.checkpoint import Checkpoint

    session = request.config.stash[KEY]
    lesson = lesson_of(request.path)
    if lesson is None:
        raise LessonError(f"{request.path}: the checkpoint fixture is for tests in a lesson's folder")
    made = Checkpoint(lesson, session.at, tmp_path, session.program, session.record(lesson))
    session.checkpoints.setdefault(lesson.name, []).append(made)
    return made


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.name in turns.HEADINGS and parent.config.stash[KEY].at == END:
        return Turns.from_parent(parent, path=file_path)
    return None


class Turns(pytest.File):
    """A lesson's wrong turns, or its other solutions: one test for each section, with the section's heading as its name."""

    def collect(self):
        for turn in turns.of(lesson_of(self.path), self.path.name):
            name = f"{turn.rung}: {turn.what}" if turn.rung else turn.what
            yield TurnTaken.from_parent(self, name=name, turn=turn)


class TurnTaken(pytest.Item):
    """The lesson's checks on one turn. Of a wrong one the first that is red must be red with the turn's own diagnosis."""

    def __init__(self, *, turn: turns.Turn, **more):
        super().__init__(**more)
        self.turn = turn

    def runtest(self) -> None:
        found = self._first_red()
        if found and not self.turn.rung:
            pytest.fail(f"this solution is right, and a check is red with {found.rung}\n{found}", pytrace=False)
        if self.turn.rung and not found:
            pytest.fail(f"every check of {lesson_of(self.path).name} is green on this wrong turn", pytrace=False)
        if self.turn.rung and found.rung != self.turn.rung:
            pytest.fail(f"must be red with {self.turn.rung}; is red with {found.rung}\n{found}", pytrace=False)

    def _first_red(self) -> Diagnosis | None:
        from workshop.checks.checkpoint import Checkpoint, Record

        lesson, session, record = lesson_of(self.path), self.config.stash[KEY], Record()
        folder = Path(tempfile.mkdtemp(prefix="workshop-"))
        try:
            for number, check in enumerate(_checks(lesson)):
                check(Checkpoint(lesson, END, folder / str(number), session.program, record, turn=self.turn))
        except Broken as broken:
            return broken.diagnosis
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return None

    def reportinfo(self) -> tuple:
        return self.path, None, self.name


def _checks(lesson: Lesson) -> Iterator[Callable]:
    """The check functions of a lesson, in the order in which they stand in its tests."""
    for path in lesson.tests:
        yield from (check for name, check in vars(lessons.load(path)).items() if name.startswith("test_") and callable(check))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under pytest-xdist the checks of a lesson stay in one process, which sees whether all of them are green."""
    if hasattr(config, "workerinput"):
        for item in items:
            if not isinstance(item, TurnTaken) and (lesson := lesson_of(item.path)):
                item.add_marker(pytest.mark.xdist_group(lesson.name))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """A process of pytest-xdist has ended: what it found is a problem of the whole run."""
    node.config.stash[KEY].problems += getattr(node, "workeroutput", {}).get("problems", [])


def pytest_deselected(items: list[pytest.Item]) -> None:
    """A lesson of which `-k`, `-m` or `--deselect` left a test out is not checked as a whole."""
    for item in items:
        if lesson := lesson_of(item.path):
            item.config.stash[KEY].partly.add(lesson.name)


def pytest_collection_finish(session: pytest.Session) -> None:
    collected = session.config.stash[KEY].collected
    for item in session.items:
        lesson = lesson_of(item.path)
        if lesson is None or isinstance(item, TurnTaken):
            continue
        collected.setdefault(lesson.name, []).append(item)
        if item.get_closest_marker("before") is None:
            raise pytest.UsageError(
                f"{item.nodeid}: names no diagnosis for the state before its lesson; mark it with @pytest.mark.before('...')"
            )


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function):
    session, lesson = pyfuncitem.config.stash[KEY], lesson_of(pyfuncitem.path)
    if lesson is None:
        return (yield)
    before = pyfuncitem.get_closest_marker("before").args[0]
    result = problem = None
    try:
        result = yield
    except Broken as broken:
        problem = broken.diagnosis
    except UserError as error:
        problem = error
    if session.at == START:
        problem = _not_red_as_it_must(problem, before)
    if problem is not None:
        pytest.fail(f"{problem.rung}\n{problem}" if isinstance(problem, Diagnosis) else str(problem), pytrace=False)
    session.passed[lesson.name] = session.passed.get(lesson.name, 0) + 1
    return result if session.at != START else True


def _not_red_as_it_must(problem: object, before: str) -> str | None:
    """What is wrong with a check before its lesson: None when it is red with the diagnosis that it names."""
    if problem is None:
        return f"This check is green before its lesson; it must be red with {before}."
    if not isinstance(problem, Diagnosis):
        return str(problem)
    if problem.rung == before:
        return None
    return f"Before its lesson this check must be red with {before}; it is red with {problem.rung}\n{problem}"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    state = session.config.stash[KEY]
    picked = any("::" in argument for argument in session.config.args)
    try:
        for lesson in [] if picked else state.green():
            if state.at == MINE:
                Workspace().mark_done(lesson, state.record(lesson).trace)
                state.notes += state.set_aside(lesson)
            elif state.at == END:
                state.problems += state.rest_of(lesson)
    finally:
        state.close()
    if state.rewriting:
        from workshop.checks import outputs

        outputs.write({name: record.rewrites for name, record in state.records.items()})
        lessons.note_seconds({name: sum(record.seconds.values()) for name, record in state.records.items()})
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["problems"] = state.problems
    if state.problems:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if not session.config.pluginmanager.has_plugin("terminalreporter") and not hasattr(session.config, "workerinput"):
        for line in state.last_words():
            say(f"\n{line}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[KEY].last_words():
        terminalreporter.write_line(line)
