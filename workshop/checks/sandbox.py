"""Whose code is checked: the learner's own, or a replay of a lesson's end or start, always as a copy with ports of its own."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import weakref
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from workshop.course.fences import Block
from workshop.course.lessons import Lesson, LessonError
from workshop.course.replay import apply, replay
from workshop.diagnosis.facts import Broken, Diagnosis
from workshop.learner import workspace
from workshop.programs.program import Program, programs
from workshop.setup.ports import free_port, release

MINE, END, START = "mine", "end", "start"
APP, ADVISOR, OTLP_GRPC, OTLP_HTTP, JAEGER_QUERY, OLLAMA = 5001, 5002, 4317, 4318, 16686, 11434
COLLECTOR_GRPC, COLLECTOR_HTTP = 5317, 5318
BEHIND = {COLLECTOR_GRPC: OTLP_GRPC, COLLECTOR_HTTP: OTLP_HTTP}


class Sandbox:
    """A copy of `src/` in a temporary folder, byte for byte; what runs in it has ports of its own.

    `ports` maps each port that the text names to the one used here. On those of OTLP, and of the programs beside the app,
    nothing listens until a check leads them to one: what is checked never reaches the learner's own. Where the text sends to
    a Collector, as a later lesson has it do, and the check has started none, that leads to where it leads without one."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ports: dict[int, int] = {}
        self._texts: dict[Path, tuple[bytes, bytes]] = {}  # what was written here, and what it was in place of
        self._changes: dict[Path, Callable[[str], str]] = {}
        self.running = 0  # apps
        beside = [port for program in programs().values() if not program.for_all_lessons for port in program.numbers.values()]
        own = {port: free_port() for port in (APP, ADVISOR, OTLP_GRPC, OTLP_HTTP, OLLAMA)}
        self.own_ports = {**own, **{port: _nowhere(port) for port in beside}}
        weakref.finalize(self, release, list(own.values()))
        self.led_to: dict[str, dict[str, int]] = {}  # the ports of programs, by the program's name

    @classmethod
    def of(cls, lesson: Lesson, at: str, temporary: Path, more: Iterable[Block] = ()) -> Sandbox:
        """The learner's `src/` (`mine`), or what a replay makes of it at the lesson's `end` or `start`, and `more` blocks after.

        Raises Broken when the learner's `src/` cannot be read."""
        if at == MINE:
            return cls.copy_of(lesson.root / "src", temporary)
        folder = temporary / "src"
        state = replay(lesson, end=at == END)
        for block in more:
            apply(block, state)
        for name, data in state.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    @classmethod
    def copy_of(cls, src: Path, temporary: Path) -> Sandbox:
        """A copy of what is in this folder. Raises Broken when it cannot be read."""
        folder = temporary / "src"
        _copy(src, folder)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    def files(self) -> dict[str, str]:
        """The text files of the copy by path below `src/`, with the learner's own ports and line ends."""
        found = {}
        for path in workspace.files(self.folder):
            data = _data(self.folder / path)
            if data is None and path.suffix in (".py", ".sh", ".html"):  # text in another encoding, such as UTF-16
                data = (self.folder / path).read_bytes()
            if data is not None:
                found[path.as_posix()] = self._with_own_paths(self._original(path, data).decode(errors="replace"))
        return found

    def run_as(self, pattern: str, change: Callable[[str], str] | None) -> None:
        """Have what runs here read the files of the copy as `change` makes them, such as with shorter windows, or (None) as they are.

        `files` tells the learner's own text, and so does every diagnosis."""
        for path in self.folder.glob(pattern):
            file = path.relative_to(self.folder)
            original = self._original(file, path.read_bytes())
            self._changes[file] = change or (lambda text: text)
            self._write(file, original, self.ports)

    def use_ports(self, others: dict[int, int] | None = None) -> None:
        """Write this run's ports into the copy: its own, and `others` where given. Only digits of ports change.

        Raises LessonError when that would change ports under an app that runs."""
        ports = {**self.own_ports, **(others or {})}
        if "collector" not in self.led_to and self.sends_to_collector:
            ports |= {between: ports[behind] for between, behind in BEHIND.items()}
        if ports == self.ports:
            return
        if self.running:
            raise LessonError("an app runs in this copy of src/, and its ports cannot change: serve both with the same options")
        for path in workspace.files(self.folder):
            if (data := _data(self.folder / path)) is None:
                continue
            self._write(path, self._original(path, data), ports)
        self.ports = ports

    def _write(self, path: Path, original: bytes, ports: dict[int, int]) -> None:
        data = _swapped(original, ports)
        if change := self._changes.get(path):
            data = change(data.decode(errors="surrogateescape")).encode(errors="surrogateescape")
        if data != (self.folder / path).read_bytes():
            (self.folder / path).write_bytes(data)
        self._texts[path] = data, original

    def lead_to(self, program: Program, ports: dict[str, int]) -> None:
        """Let the usual ports of a program in the text of the copy lead to the one that has these."""
        self.led_to[program.name] = ports
        self.own_ports |= {number: ports[name] for name, number in program.numbers.items()}
        self.use_ports()

    @property
    def sends_to_collector(self) -> bool:
        """Whether a script or a module of the copy names a port at which a Collector takes telemetry."""
        texts = (text for name, text in self.files().items() if name.endswith((".sh", ".py")))
        return any(re.search(rf"\b({'|'.join(map(str, BEHIND))})\b", text) for text in texts)

    def swap(self, text: str) -> str:
        return _swapped(text.encode(), self.ports or self.own_ports).decode()

    def unswap(self, text: str) -> str:
        """Ports and paths as the learner knows them."""
        return self._swapped_back(self._with_own_paths(text).encode()).decode()

    def _with_own_paths(self, text: str) -> str:
        database = str(self.folder.with_name("check.db"))
        return text.replace(database, "/…/src/instance/todo.db").replace(f"{self.folder}/", "src/")

    def _swapped_back(self, data: bytes) -> bytes:
        return _swapped(data, {here: theirs for theirs, here in self.ports.items()})

    def _original(self, path: Path, data: bytes) -> bytes:
        """What a file that holds this would be without other ports: two of the text's may lead to the same one."""
        written, original = self._texts.get(path, (None, b""))
        return original if data == written else self._swapped_back(data)

    def renew_port(self, port: int) -> None:
        """Take another port in place of one of the copy's own, which a neighbor took between choosing and starting."""
        self.own_ports[port] = free_port()
        self.use_ports({theirs: here for theirs, here in self.ports.items() if theirs != port})

    def shadows(self) -> tuple[str, ...]:
        """Files and folders directly in `src/` that hide a package or a module of Python's own."""
        own = {path.parts[0] for path in workspace.files(self.folder)}
        modules = {name for name in own if name.endswith(".py") and _taken(name[:-3])}
        packages = {name for name in own if (self.folder / name / "__init__.py").exists() and _taken(name)}
        return tuple(f"src/{name}" for name in sorted(modules | packages))


def _taken(name: str) -> bool:
    return name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None


def _swapped(data: bytes, ports: dict[int, int]) -> bytes:
    """The same with other ports, wherever one, of four digits or more, stands alone: in no longer number, address or version."""
    others = {str(port).encode(): str(other).encode() for port, other in ports.items()}

    def other(run: re.Match) -> bytes:
        port = run[0].rstrip(b".")
        return others.get(port, port) + run[0][len(port) :]

    return re.sub(rb"[\d.]{4,}", other, data) if ports else data


@cache
def _nowhere(port: int) -> int:
    """Where this port of a program leads in every copy of this process until a check leads it to one: nobody listens there."""
    return free_port()


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


def _data(path: Path) -> bytes | None:
    """The bytes of a file that may hold a port; None for what is large or no text in any encoding of one byte or UTF-8."""
    try:
        data = path.read_bytes() if path.stat().st_size < 1_000_000 else b"\0"
    except OSError:
        return None
    return None if b"\0" in data else data
