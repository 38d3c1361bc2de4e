"""What a check knows about one run, and how a diagnosis is found in it.

Each rung is a pure function of `Facts`: it returns a `Diagnosis` when it is the broken one, else None. Rungs are climbed in the
order in which an app comes to life, so the first broken rung is the cause and not one of its effects. They stand in this
folder, one file for each stage, and what only one lesson needs in that lesson's `rungs.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from workshop.course.pins import Packages
from workshop.diagnosis import settings
from workshop.diagnosis.settings import Setting
from workshop.errors import UserError
from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import Metric
from workshop.telemetry.spans import Span
from workshop.terminal import wrapped

if TYPE_CHECKING:
    from workshop.diagnosis.backend import Backend
    from workshop.diagnosis.kept import Kept
    from workshop.diagnosis.stored import Store

EXCERPT = 200  # characters of one line that a program printed
# A line of the console exporter's JSON, or of the log of requests.
TELEMETRY = re.compile(r'^\s*(?:[{}\[\]],?|"[\w.@]+": .*|"[^"]*",?|[\d.-]+,?|[}\]],?)\s*$|^\S+ - - \[')
FRAME = re.compile(r'File "(src/[^"]+)", line (\d+)')


@dataclass(frozen=True)
class Diagnosis:
    """One broken rung. `rung` is its name; `do` is the next action; `lesson` is where to read about it."""

    rung: str
    seen: str
    expected: str
    why: str
    do: str
    lesson: str = ""

    def __str__(self) -> str:
        read = f"{self.lesson}/README.md" if self.lesson else ""
        rows = [("seen", self.seen), ("expected", self.expected), ("why", self.why), ("do", self.do), ("read", read)]
        return "\n".join(_row(name, text) for name, text in rows if text)


def _row(name: str, text: str) -> str:
    first, *more = text.splitlines() or [""]
    lines = [first, *(line if len(line) <= EXCERPT else f"{line[:EXCERPT].rpartition(' ')[0] or line} …" for line in more)]
    return wrapped("\n".join(lines), f"{name:>10}  ", " " * 12)


class Broken(UserError):
    """A check is red; `diagnosis` says why."""

    def __init__(self, diagnosis: Diagnosis):
        super().__init__(str(diagnosis))
        self.diagnosis = diagnosis


@dataclass
class Response:
    """One request of the check and what came back. `agent` is its own User-Agent, by which its span is found.

    `trace_id` and `parent_id` are what the request's `traceparent` header said, if it had one. `status` is 0 when the app
    did not answer, and `problem` says why. `wanted` holds the statuses that are right; `traced` is whether a span is due."""

    method: str
    path: str
    agent: str
    wanted: tuple[int, ...] = ()
    traced: bool = True
    trace_id: str | None = None
    parent_id: str | None = None
    status: int = 0
    headers: dict = field(default_factory=dict)
    text: str = ""
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Dropped:
    """A log record that a filter of the app has dropped: where the filter stands, what it returned, and what the record said."""

    where: str
    returned: str
    said: str


@dataclass
class Facts:
    """All that a check knows about one run of the learner's app. Paths and ports are the learner's own, not the copy's.

    `lacks` names what a verb asked for and did not find. `held` is what was raised in a thread's Future and nobody asked for,
    `ended` what ended a thread, `dropped` what filters of the app kept from their handlers. `logs`, `lines` of the terminal and `span` are where a verb looked for a record that says `text`.
    `metric` is the one that a verb asks about; it is to come to `expected`, and to have at most so many series, where given.
    `store` is the Prometheus, and `kept` the log store, in which a verb found something missing,
    and `backend` the one that a check has played.
    `collector` is what the Collector has said, on its `configuration` below `src/`.
    `packages` looks up those of the environment in which the app runs; `inactive` is the one that the learner's shell misses."""

    lesson: str
    command: str
    files: dict[str, str] = field(default_factory=dict)
    output: str = ""
    exit_code: int | None = None
    listened: bool = False
    port: int = 5001
    listening_ports: tuple[int, ...] = ()
    port_owner: str = ""
    stopped: bool = True
    responses: list[Response] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    stored: list[Span] | None = None
    jaeger_problem: str = ""
    wants: str = ""
    about: Response | None = None
    service: str = "todo"
    shadows: tuple[str, ...] = ()
    packages: Callable[[], Packages] = Packages
    inactive: str = ""
    metrics: list[Metric] = field(default_factory=list)
    metric: str = ""
    expected: float | None = None
    most: int | None = None
    store: Store | None = None
    kept: Kept | None = None
    backend: Backend | None = None
    lacks: str = ""
    held: str = ""
    ended: str = ""
    dropped: list[Dropped] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    span: Span | None = None
    text: str = ""
    collector: str = ""
    configuration: str = "otel/collector.yaml"

    @property
    def missing(self) -> bool:
        """Whether telemetry that the check asked for is not there. Only then can a setting be to blame."""
        unnamed = self.service and self.spans and not any(span.service == self.service for span in self.spans)
        bare = any(not self.spans_of(response) for response in self.asked)
        return bool(self.lacks or unnamed or bare or self.stored == [])

    @property
    def script(self) -> str:
        """The learner's file that holds the command line: run.sh, or what the lesson starts instead."""
        return script(self.command)

    @property
    def configuration_file(self) -> str:
        return f"src/{self.configuration}"

    @property
    def run_sh(self) -> str:
        return self.files.get(self.script, "")

    @property
    def makes_environment(self) -> bool:
        """Whether the app runs in an environment that its script names, whatever is installed in the learner's."""
        return "$(workshop environment " in self.run_sh

    @property
    def all_settings(self) -> dict[str, Setting]:
        """The settings that run.sh holds, also those that no program sees."""
        return settings.read(self.run_sh, f"src/{self.script}")

    @property
    def settings(self) -> dict[str, Setting]:
        """The settings that the app sees."""
        return {name: setting for name, setting in self.all_settings.items() if setting.exported}

    def known(self, name: str) -> Setting | None:
        """A setting that the app sees, if its value is known; what only a shell could work out is left alone."""
        setting = self.settings.get(name)
        return setting if setting and setting.plain else None

    @property
    def modules(self) -> dict[str, str]:
        """The learner's Python files."""
        return {path: text for path, text in self.files.items() if path.endswith(".py")}

    @property
    def asked(self) -> list[Response]:
        """The requests that the check is about: one, or all that must be traced."""
        return [self.about] if self.about else [response for response in self.responses if response.traced]

    def spans_of(self, response: Response) -> list[Span]:
        return [span for span in self.spans if span.user_agent == response.agent]


Rung = Callable[[Facts], "Diagnosis | None"]


class Stage(tuple):
    """The rungs of one stage of an app's life, in their order. `name` is the one under which a lesson adds its own."""

    name: str

    def __new__(cls, name: str, *rungs: Rung) -> Stage:
        stage = super().__new__(cls, rungs)
        stage.name = name
        return stage


def script(command: str) -> str:
    """The file that a command line runs, such as run.sh in `sh run.sh`."""
    found = re.search(r"\bsh ([\w-]+\.sh)\b", command)
    return found[1] if found else "run.sh"


def climb(facts: Facts, rungs: Iterable[Rung], otherwise: Diagnosis | None = None) -> Diagnosis | None:
    """The first broken rung, or `otherwise` when all hold."""
    for rung in rungs:
        if found := rung(facts):
            return found
    return otherwise


@lru_cache(maxsize=64)
def search(pattern: str, text: str) -> re.Match | None:
    """The first match in what an app printed, in which ^ and $ are a line's. It is remembered: each verb climbs with the same text."""
    return re.search(pattern, text, re.MULTILINE)


def words(text: str, lines: int = 5, intro: str = "; it printed last") -> str:
    """The last words of an app, to be put behind what was seen."""
    return f"{intro}\n{tail(text, lines)}" if tail(text) else ", and it printed nothing"


def tail(text: str, lines: int = 5) -> str:
    """The last lines of what an app printed, apart from its telemetry and from the log of its requests."""
    kept = [line.rstrip() for line in text.splitlines() if line.strip() and not TELEMETRY.match(line)]
    return "\n".join(kept[-lines:])


def line_at(text: str, at: int) -> int:
    """The number of the line in which a character of a text stands."""
    return text.count("\n", 0, at) + 1


def place(files: dict[str, str], pattern: str) -> str:
    """Where a pattern is found first in these files, as `src/file:line`; empty where it is in none."""
    for path, text in files.items():
        if found := re.search(pattern, text, re.MULTILINE):
            return f"src/{path}:{line_at(text, found.start())}"
    return ""


def frame(output: str) -> str:
    """The last line of the learner's code in a traceback, as `file:line`; empty where there is none."""
    frames = FRAME.findall(output)
    return ":".join(frames[-1]) if frames else ""


def exception(output: str) -> str:
    """The last exception that an app printed."""
    lines = re.findall(r"^((?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt|NotFound|Warning)(?:: .*)?)$", output, re.MULTILINE)
    return lines[-1][:200] if lines else "it failed"
