"""The verbs of the lessons' tests.

A test gets a `checkpoint`, serves the app by the lesson's own command line, asks it, and states what must be true of its
telemetry. A verb that finds otherwise climbs the diagnosis ladder and raises `Broken` with the first broken rung.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path

from workshop.checks import outputs, warm
from workshop.checks.app import App
from workshop.checks.process import Process, environment, shell_environment
from workshop.checks.sandbox import APP, END, MINE, START, Sandbox
from workshop.course import pins
from workshop.course.fences import Block, LessonError
from workshop.course.lessons import Lesson
from workshop.course.replay import replay
from workshop.course.turns import Turn
from workshop.diagnosis import stages
from workshop.diagnosis.answering import ANSWERS
from workshop.diagnosis.collector import COLLECTOR
from workshop.diagnosis.facts import Broken, Diagnosis, Facts, climb, place, words
from workshop.diagnosis.read_files import stumbled
from workshop.programs.collector import COLLECTOR as COLLECTOR_PROGRAM
from workshop.programs.instance import Instance, NotReady, PortTaken
from workshop.programs.lifecycle import port_settings
from workshop.programs.program import find
from workshop.telemetry.console import Console
from workshop.telemetry.spans import Span

OBSERVE = Path(__file__).with_name("observe")
SERVES = re.compile(r"\bsh (run|advisor|old|llm|configured|elastic|sampled|production|modes|edot|distro|cloud|azure)\.sh\b")


@dataclass(frozen=True)
class Result:
    """What a command that ended has printed (both streams, with the learner's own ports and paths) and its exit status."""

    output: str
    exit_code: int


@dataclass
class Record:
    """What the tests of one lesson note, by the lines of its blocks: which were used, what commands took (seconds), and,
    when it is `rewriting`, the lines that each shown block ought to have. `runs` holds what its tests share, `notes` what
    is to be said after a green check, and `trace` is the first trace that a check has proved something by."""

    rewriting: bool = False
    used: set[int] = field(default_factory=set)
    seconds: dict[int, float] = field(default_factory=dict)
    rewrites: dict[int, tuple[Block, list[str]]] = field(default_factory=dict)
    runs: dict[Callable, tuple[object, Broken | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    trace: str = ""


class Checkpoint:
    """One test of one lesson on one subject: the learner's `src/`, or a replay of the lesson's end or start.

    `prefix` is the virtual environment in which its commands run; without it, the one of the lesson's own packages."""

    def __init__(
        self,
        lesson: Lesson,
        at: str,
        temporary: Path,
        program: Callable,
        record: Record | None = None,
        turn: Turn | None = None,
        prefix: Path | None = None,
    ):
        self.lesson, self.at, self.turn, self._prefix = lesson, at, turn, prefix
        self._temporary, self._program, self._record = temporary, program, record or Record()
        self._app: App | None = None
        self._preparing = threading.Lock()  # an app writes its ports into src/

    @cached_property
    def sandbox(self) -> Sandbox:
        return Sandbox.of(self.lesson, self.at, self._temporary, self.turn.blocks if self.turn else ())

    @property
    def folder(self) -> Path:
        """The copy of `src/` in which this test's commands run."""
        return self.sandbox.folder

    @cached_property
    def environment(self) -> dict[str, str]:
        """What the commands of this test see: a clean shell, and a database of the check's own.

        At the learner's own `src/` the shell finds what the learner's finds; for a replay the lesson's packages are active."""
        mine = self.at == MINE and self._prefix is None
        base = shell_environment() if mine else environment(self._prefix or packages(self.lesson))
        observed = {"PYTHONPATH": str(OBSERVE), "WORKSHOP_HELD": str(self.held), "WORKSHOP_LESSON": self.lesson.name}
        return {**base, **observed, "FLASK_SQLALCHEMY_DATABASE_URI": f"sqlite:///{self.database}"}

    def variables(self, **more: str) -> dict[str, str]:
        """The environment variables of one command, `more` among them. What runs on a turn starts warm."""
        env = {**self.environment, **more}
        return warm.environment(env, self.active, self.folder) if self.turn else env

    def make_environment(self, *files: str) -> None:
        """Make what `workshop environment` with these files prints, before an app that runs in it is waited for.

        Raises Broken when it cannot be made."""
        expected, why = f"an environment with {' and '.join(files)}", "it is filled once, from the package index"
        _made(self.lesson, expected, why, *(self.lesson.root / file for file in files))

    @property
    def active(self) -> Path:
        """The virtual environment in which the app runs: the one whose commands its shell finds."""
        found = (shutil.which(name, path=self.environment["PATH"]) for name in ("flask", "python3"))
        return Path(next(filter(None, found), "/")).parent.parent

    @property
    def served(self) -> bool:
        """Whether this test has started an app."""
        return self._app is not None

    @property
    def held(self) -> Path:
        """The file in which `observe/` notes what the app's Futures hold."""
        return self.folder.with_name("held.jsonl")

    @property
    def database(self) -> Path:
        """The SQLite file of the app under check, to be read after the app has stopped, or made before it starts."""
        return self.folder.with_name("check.db")

    @property
    def showing(self) -> bool:
        """Whether the lesson's outputs and pictures are held against this run: at its end, and not on a wrong turn."""
        return self.at == END and not self.turn

    @property
    def jaeger(self):
        """The Jaeger that checks use. Raises Broken, naming `workshop up`, when there is none."""
        return self._program("jaeger")

    def program(self, name: str):
        """The program of that name that checks use, as the workshop configures it, to be asked by its client.

        From here on its ports in the text of the copy lead to it. Raises Broken, naming `workshop up`, when there is none."""
        found = self._program(name)
        self.sandbox.lead_to(found.program, found.ports)
        return found

    def start(self, name: str, configuration: str = "") -> Instance:
        """Start a program on what the learner has written for it, such as `otel/collector.yaml`, if it reads any; use it with `with`.

        A program that reads none, such as Jaeger, is then this test's own, and knows nothing of what others have sent.
        What it sends to or asks is asked for before; from here on its own ports in the text of the copy lead to it.
        Raises Broken when that file is missing, when the program does not run with it, or when there is no such program."""
        program = find(name)
        file = configuration or program.configuration.partition("src/")[2]
        if file and not (self.folder / file).is_file():
            raise Broken(
                Diagnosis(
                    f"{name}-unconfigured",
                    f"no src/{file}",
                    f"the file that configures the {program.title}",
                    "this lesson writes it, and the program of this check reads it",
                    f"write src/{file} as this page has it",
                    self.lesson.name,
                )
            )
        lead = lambda ports: self.sandbox.lead_to(program, ports)  # noqa: E731
        try:
            started = self._program(name, self.folder / file if file else None, lead)
            started.file = file
            return started
        except (NotReady, PortTaken) as error:
            seen, _, said = self.sandbox.unswap(str(error)).partition("\n")
            place, problem = stumbled(said, file, self.sandbox.files())
            found = Diagnosis(
                f"{name}-does-not-start",
                f"{place}: {problem}" if place else f"{seen}\n{said}",
                f"a {program.title} that runs with src/{file}",
                "it reads that file when it starts, and ends where something in it is wrong",
                f"mend line {place.rpartition(':')[2]} of {place.rpartition(':')[0]}" if place else f"mend src/{file}",
                self.lesson.name,
            )
            raise Broken(self._explained_by(name, error.log, file, found)) from None

    def _explained_by(self, program: str, log: str, configuration: str, found: Diagnosis | None = None) -> Diagnosis | None:
        """What a program has said of what is wrong, if that is known of this program, else what was found."""
        rungs = stages.expanded(self.lesson, [COLLECTOR]) if program == "collector" else ()
        files, said = self.sandbox.files(), self.sandbox.unswap(log)
        return climb(Facts(self.lesson.name, "", files, collector=said, configuration=configuration), rungs, found)

    def shared(self, make: Callable[[Checkpoint], object]) -> object:
        """What `make(checkpoint)` returns, made by the first test of the lesson that asks for it and shared by all that do.

        A learner waits for one start of the app, not for one a test. When `make` raised Broken, each of them raises it."""
        if make not in self._record.runs:
            try:
                self._record.runs[make] = (make(self), None)
            except Broken as broken:
                self._record.runs[make] = (None, broken)
        made, broken = self._record.runs[make]
        if broken:
            raise Broken(broken.diagnosis)
        return made

    def note(self, text: str) -> None:
        """Say this to the learner when the lesson's checks are green, such as what was not there to be asked."""
        self._record.notes.append(text)

    def prove_by(self, trace_id: str) -> None:
        """Keep the first trace by which a check of this lesson has proved something, for the learner's record."""
        self._record.trace = self._record.trace or trace_id

    def block(self, kind: str, start: str) -> Block:
        """The lesson's one block of this kind whose text begins so. The test that asks for it has thereby used it.

        Raises LessonError when there is none, or when blocks of different texts begin so."""
        found = [b for b in self.lesson.blocks if b.kind == kind and b.text.startswith(start)]
        exact = [b for b in found if b.text == start]
        found = exact or found
        if len({b.text for b in found}) != 1:
            how = f"{len(found)} {kind} blocks that begin" if found else f"no {kind} block that begins"
            raise LessonError(f"{self.lesson.name}/README.md: has {how} {start!r}, and a test uses it")
        self._record.used.update(b.line for b in found)
        return found[0]

    @contextmanager
    def serve(
        self,
        command: str = "sh run.sh",
        shown: bool = False,
        jaeger: bool = False,
        closed: int = 0,
        service: str = "todo",
        port: int = APP,
    ) -> Iterator[App]:
        """Run the lesson's serving command until the block ends, then stop it as Ctrl-C does and read what it printed.

        `shown` says that this is the run whose console the lesson shows. With `jaeger`, the ports of OTLP and of Jaeger's
        query in the text lead to the check's Jaeger, else to nothing; the port `closed` leads to nothing in any case.
        `port` and `service` are those of the app as the lesson's text has them.
        Raises Broken when the app does not start, listen or answer as wanted."""
        line = self.block("command", command).text
        with self._preparing:
            traces = self.jaeger if jaeger else None  # before what sends to it
            between = self._put_collector_between()
            app = self._app = App(self, line, service, port, traces, closed)
        try:
            app.start()
            yield app
            app.stop()
            app.require(ANSWERS)
        except Exception:
            app.stop()
            app.require(ANSWERS)  # what the test stumbled over may be the effect of a wrong answer
            raise
        finally:
            app.stop()
            if between:
                between.stop()
                del self.sandbox.led_to["collector"]
        if shown:
            self.shows(line, app.console)

    def _put_collector_between(self) -> Instance | None:
        """A Collector as the workshop configures it, where this copy sends to one, as a later lesson has it do, and the check has
        asked for what is behind it, and not for one."""
        there = self.sandbox.led_to
        if "collector" in there or not there.keys() & {"prometheus", "logs"} or not self.sandbox.sends_to_collector:
            return None
        settings = {}
        for name, ports in there.items():
            settings |= port_settings(find(name), ports)
        lead = lambda ports: self.sandbox.lead_to(COLLECTOR_PROGRAM, ports)  # noqa: E731
        return self._program("collector", self.lesson.root / COLLECTOR_PROGRAM.default, lead, settings)

    @contextmanager
    def serve_together(self, *services: dict) -> Iterator[list[App]]:
        """Serve several commands, each given as arguments of `serve`, that are started at the same time."""
        with ExitStack() as stack, ThreadPoolExecutor() as starting:
            serving = [starting.submit(stack.enter_context, self.serve(**service)) for service in services]
            yield [service.result() for service in serving]

    def watch_threads(self) -> None:
        """Let what is served from now on tell what its threads raise and leave attached, for the verbs of `Background`."""
        shutil.copy(OBSERVE / "watched.py", self.folder)
        self.environment["FLASK_APP"] = "watched"

    def fence(self) -> None:
        """Let what is served from now on reach this machine and no other; `asked` has the hosts that it asked for in vain."""
        self.environment["PYTHONPATH"] = os.pathsep.join([str(OBSERVE), str(OBSERVE / "fence")])
        self.environment["WORKSHOP_ASKED"] = str(self.folder.with_name("asked.txt"))

    @property
    def asked(self) -> list[str]:
        """The hosts beyond this machine that were asked for since `fence`."""
        file = self.folder.with_name("asked.txt")
        return sorted(set(file.read_text(encoding="utf-8").split())) if file.exists() else []

    def run(self, command: str, folder: Path | None = None, seconds: float = 60, whole: bool = False, **env: str) -> Result:
        """Run the lesson's command that begins so, in the copy of `src/`, and compare the output block below it.

        `whole` is for a command that looks at the processes which it starts: none of them starts warm.
        Raises Broken when it does not end in time."""
        block = self.block("command", command)
        begun = time.monotonic()
        variables = {**self.environment, **env} if whole else self.variables(**env)
        process = Process(self.sandbox.swap(block.text), folder or self.folder, variables)
        try:
            if not process.wait(seconds):
                raise Broken(
                    Diagnosis(
                        "does-not-end",
                        f"`{block.text}` still runs after {seconds:.0f} s",
                        "a command that ends",
                        "it waits for something" + words(process.output, 3),
                        "run it yourself; Ctrl-C ends it, and the traceback names the line in which it waited",
                        self.lesson.name,
                    )
                )
        finally:
            process.kill()
        self._record.seconds[block.line] = time.monotonic() - begun
        result = Result(self.sandbox.unswap(process.output), process.exit_code or 0)
        self._compare_output(block, result.output)
        return result

    def beside(self, name: str) -> Checkpoint:
        """This test once more, in a copy of `src/` of its own, so that two commands can be served at the same time."""
        return Checkpoint(
            self.lesson, self.at, self._temporary / name, self._program, self._record, turn=self.turn, prefix=self._prefix
        )

    def on_the_way(self, command: str) -> Checkpoint:
        """This test on `src/` as the text has it where its command that begins so stands: later steps are not taken yet.

        It is the text's `src/` in every mode, never the learner's."""
        until = self.block("command", command)
        steps = [block for block in self.lesson.blocks if block.line < until.line and block.title.startswith("src/")]
        temporary = self._temporary / f"line-{until.line}"
        there = Checkpoint(self.lesson, self.at, temporary, self._program, self._record, self.turn)
        there.sandbox = Sandbox.of(self.lesson, START, temporary, steps)
        return there

    def must(
        self,
        held: object,
        rung: str,
        seen: str,
        expected: str,
        why: str,
        do: str = "",
        lesson: str = "",
        behind: Instance | None = None,
    ) -> None:
        """What only this lesson asks for and no rung of the ladder knows. Raises Broken with this diagnosis unless `held`.

        What is wrong with the program `behind` it comes first."""
        if held:
            return
        if behind:
            self.blame(behind)
        found = Diagnosis(rung, seen, expected, why, do or self.where_it_differs(), lesson or self.lesson.name)
        raise Broken(self._app.explained(found) if self._app else found)

    def blame(self, program: Instance) -> None:
        """Raise Broken with what is wrong with a program that did not pass on what it was sent, if that can be known."""
        if found := self._explained_by(program.program.name, program.said, program.file):
            raise Broken(found)

    def where_it_differs(self) -> str:
        """What to do where only the comparison with the lesson's end is left; it names the files that differ, and from which line on."""
        mine = self.sandbox.files()
        texts = {name: data.decode(errors="replace") for name, data in replay(self.lesson).items()}
        theirs = {name: text for name, text in texts.items() if text != mine.get(name)}
        files = " and ".join(f"src/{name}{_first_difference(mine.get(name), theirs[name])}" for name in sorted(theirs)[:2])
        if not files:
            return "run the command of this page yourself, and compare what it says with what the page shows"
        more = f", and {len(theirs) - 2} other files" if len(theirs) > 2 else ""
        return f"look at {files}{more} with the page beside it; `workshop diff {self.lesson.name}` shows the lines that differ"

    def place(self, pattern: str, otherwise: str, files: str = "*.py") -> str:
        """Where a pattern is found first in the copy's `files`, as `src/file:line`, or `otherwise`."""
        chosen = {name: text for name, text in sorted(self.sandbox.files().items()) if fnmatchcase(name, files)}
        return place(chosen, pattern) or otherwise

    def picture(self, name: str, spans: list[Span]) -> None:
        """Hold the lesson's picture of a trace against spans of this run: the same spans in the same order (`--at end`).

        `workshop output LESSON` draws it anew."""
        from workshop.telemetry import waterfall

        if not self.showing:
            return
        path, drawn = self.lesson.folder / name, waterfall.svg(spans)
        if path.exists() and outputs.shape(path.read_text(encoding="utf-8")) == outputs.shape(drawn):
            return
        if not self._record.rewriting:
            raise LessonError(
                f"{self.lesson.name}/{name}: shows another trace than the run made; `workshop output {self.lesson.name}`"
            )
        path.write_text(drawn, encoding="utf-8")

    def _compare_output(self, command: Block, printed: str) -> None:
        for block in self._shown_after(lambda b: b.text == command.text, "output", lambda b: b.kind == "command"):
            self._record.used.add(block.line)
            self._hold(block, outputs.matches(block.lines, printed, whole=True), lambda b: outputs.rewrite(b, printed))

    def shows(self, line: str, console: Console) -> None:
        """Hold the console blocks of a serving command against what it printed (`--at end`)."""
        serving = lambda b: b.kind == "command" and (b.text == line or SERVES.search(b.text))  # noqa: E731
        for block in self._shown_after(lambda b: b.text == line, "console", serving):
            self._record.used.add(block.line)
            held = outputs.console_matches(block, console)
            self._hold(block, held, lambda b: outputs.rewrite_console(b, console))

    def _shown_after(self, begins: Callable[[Block], bool], kind: str, ends: Callable[[Block], bool]) -> Iterator[Block]:
        """The shown blocks that belong to a command, where outputs are shown: those between it and the next command of its sort."""
        belongs = False
        for block in self.lesson.blocks if self.showing else ():
            if block.kind == "command" and begins(block):
                belongs = True
            elif ends(block):
                belongs = False
            elif belongs and block.kind == kind:
                yield block

    def _hold(self, block: Block, held: bool, rewrite: Callable[[Block], list[str]]) -> None:
        if held and any(line.strip() != outputs.ANY for line in block.lines):
            return
        if self._record.rewriting:
            self._record.rewrites[block.line] = (block, rewrite(block))
            return
        raise block.error(
            f"the run printed something else than this block shows; `workshop output {self.lesson.name}` writes it anew. "
            f"Printed:\n" + "\n".join(rewrite(block)[:60])
        )


def _first_difference(mine: str | None, theirs: str) -> str:
    """`:line` of the first line that is not as in another text; empty where there is no text, or no such line."""
    lines = (mine or "").split("\n")
    line = next((n for n, (here, there) in enumerate(zip(lines, theirs.split("\n")), 1) if here != there), len(lines))
    return f":{line}" if mine else ""


def packages(lesson: Lesson) -> Path:
    """The virtual environment for a lesson's checks: this one, unless lessons up to it bring a `requirements.txt`.

    Then it is one of base and those files, kept in the user's cache by content. Raises Broken when it cannot be made."""
    files = pins.files(lesson)
    if len(files) < 2:
        return Path(sys.prefix)
    expected, why = "an environment with the packages of the lessons so far", "this lesson needs more packages than the base"
    return _made(lesson, expected, why, *files)


def _made(lesson: Lesson, expected: str, why: str, *files: Path) -> Path:
    """The environment of these files, which is made where it is not there. Raises Broken when it cannot be."""
    from workshop.setup.environments import EnvironmentFailed

    try:
        return _environment(*files)
    except EnvironmentFailed as error:
        do = f"workshop check {lesson.name}, once the cause is mended"
        raise Broken(Diagnosis("environment", str(error), expected, why, do, lesson.name)) from None


@cache
def _environment(*files: Path) -> Path:
    """As `environment_of`, which looks at every package that is there: once a process, for that takes half a second."""
    from workshop.setup.environments import environment_of

    return environment_of(*files, progress=lambda line: print(line, file=sys.__stderr__))
