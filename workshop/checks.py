"""The verbs of the lessons' tests.

A test gets a `checkpoint`, serves the app by the lesson's own command line, asks it, and states what must be true of its
telemetry. A verb that finds otherwise climbs the diagnosis ladder and raises `Broken` with the first broken rung.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

from workshop import diagnosis, lessons, outputs
from workshop.app import LISTEN_SECONDS, LISTENS, STOP_SECONDS, Answer, Browser, Process, answers, environment, free_port
from workshop.diagnosis import ANSWERS, ARRIVAL, CALLS, SPANS, STARTS, STATEMENTS, Broken, Diagnosis, Facts, Rung
from workshop.lessons import Block, Lesson, LessonError
from workshop.spans import Console, Span, read_console
from workshop.subject import APP, END, START, Subject
from workshop.wrong_turns import Turn

OTLP_GRPC, OTLP_HTTP, QUERY = 4317, 4318, 16686
SERVES = re.compile(r"\bsh (run|advisor|old)\.sh\b")


@dataclass(frozen=True)
class Result:
    """What a command that ended has printed (both streams, with the learner's own ports and paths) and its exit status."""

    output: str
    exit_code: int


@dataclass
class Record:
    """What the tests of one lesson note, by the lines of its blocks: which were used, what commands took (seconds), and,
    when it is `rewriting`, the lines that each shown block ought to have."""

    rewriting: bool = False
    used: set[int] = field(default_factory=set)
    seconds: dict[int, float] = field(default_factory=dict)
    rewrites: dict[int, tuple[Block, list[str]]] = field(default_factory=dict)


class Checkpoint:
    """One test of one lesson on one subject: the learner's `src/`, or a replay of the lesson's end or start.

    `prefix` is the virtual environment in which its commands run; without it, the one of the lesson's own packages."""

    def __init__(
        self,
        lesson: Lesson,
        at: str,
        temporary: Path,
        jaeger: Callable,
        record: Record | None = None,
        turn: Turn | None = None,
        prefix: Path | None = None,
    ):
        self.lesson, self.at, self.turn, self._prefix = lesson, at, turn, prefix
        self._temporary, self._jaeger, self._record = temporary, jaeger, record or Record()

    @cached_property
    def subject(self) -> Subject:
        return Subject.of(self.lesson, self.at, self._temporary, self.turn.blocks if self.turn else ())

    @property
    def folder(self) -> Path:
        """The copy of `src/` in which this test's commands run."""
        return self.subject.folder

    @cached_property
    def environment(self) -> dict[str, str]:
        """What the commands of this test see: a clean shell, the environment active, a database of the check's own."""
        base = environment(self._prefix or packages(self.lesson))
        return {**base, "FLASK_SQLALCHEMY_DATABASE_URI": f"sqlite:///{self.database}"}

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
        return self._jaeger()

    def block(self, kind: str, start: str) -> Block:
        """The lesson's block of this kind whose text begins so. The test that asks for it has thereby used it."""
        found = [b for b in self.lesson.blocks if b.kind == kind and b.text.startswith(start)]
        if not found:
            raise LessonError(f"{self.lesson.name}/README.md: has no {kind} block that begins {start!r}, and a test uses it")
        self._record.used.update(b.line for b in found if b.text == found[0].text)
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
        app = App(self, line, service, port, self.jaeger if jaeger else None, closed)
        try:
            app.start()
            yield app
            app.stop()
            app.require(*ANSWERS)
        except Exception:
            app.stop()
            app.require(*ANSWERS)  # what the test stumbled over may be the effect of a wrong answer
            raise
        finally:
            app.stop()
        if shown:
            self.shows(line, app.console)

    def run(self, command: str, folder: Path | None = None, seconds: float = 60, **env: str) -> Result:
        """Run the lesson's command that begins so, in the copy of `src/`, and compare the output block below it.

        Raises Broken when it does not end in time."""
        block = self.block("command", command)
        begun = time.monotonic()
        process = Process(self.subject.swap(block.text), folder or self.folder, {**self.environment, **env})
        try:
            if not process.wait(seconds):
                raise Broken(
                    Diagnosis(
                        "does-not-end",
                        f"`{block.text}` still runs after {seconds:.0f} s",
                        "a command that ends",
                        "it waits for something",
                        f"run it yourself and see; compare: `workshop diff {self.lesson.name}`",
                        self.lesson.name,
                    )
                )
        finally:
            process.kill()
        self._record.seconds[block.line] = time.monotonic() - begun
        result = Result(self.subject.unswap(process.output), process.exit_code or 0)
        self._compare_output(block, result.output)
        return result

    def on_the_way(self, command: str) -> Checkpoint:
        """This test on `src/` as the text has it where its command that begins so stands: later steps are not taken yet.

        It is the text's `src/` in every mode, never the learner's."""
        until = self.block("command", command)
        steps = [block for block in self.lesson.blocks if block.line < until.line and block.title.startswith("src/")]
        temporary = self._temporary / f"line-{until.line}"
        there = Checkpoint(self.lesson, self.at, temporary, self._jaeger, self._record, self.turn)
        there.subject = Subject.of(self.lesson, START, temporary, steps)
        return there

    def must(self, held: object, rung: str, seen: str, expected: str, why: str, do: str = "", lesson: str = "") -> None:
        """What only this lesson asks for and no rung of the ladder knows. Raises Broken with this diagnosis unless `held`."""
        if not held:
            do = do or f"compare: `workshop diff {self.lesson.name}`"
            raise Broken(Diagnosis(rung, seen, expected, why, do, lesson or self.lesson.name))

    def picture(self, name: str, spans: list[Span]) -> None:
        """Hold the lesson's picture of a trace against spans of this run: the same spans in the same order (`--at end`).

        `workshop output LESSON` draws it anew."""
        from workshop import waterfall

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
            self._hold(block, outputs.matches(block.lines, printed, whole=True), lambda b: outputs.rewrite(b, printed), printed)

    def shows(self, line: str, console: Console) -> None:
        """Hold the console blocks of a serving command against what it printed (`--at end`)."""
        serving = lambda b: b.kind == "command" and (b.text == line or SERVES.search(b.text))  # noqa: E731
        for block in self._shown_after(lambda b: b.text == line, "console", serving):
            self._record.used.add(block.line)
            held = outputs.console_matches(block, console)
            self._hold(block, held, lambda b: outputs.rewrite_console(b, console), console.text)

    def _shown_after(self, begins: Callable[[Block], bool], kind: str, ends: Callable[[Block], bool]) -> Iterator[Block]:
        """The shown blocks that belong to a command: those between it and the next command of its sort."""
        belongs = False
        for block in self.lesson.blocks:
            if block.kind == "command" and begins(block):
                belongs = True
            elif ends(block):
                belongs = False
            elif belongs and block.kind == kind:
                yield block

    def _hold(self, block: Block, held: bool, rewrite: Callable[[Block], list[str]], printed: str) -> None:
        if not self.showing or (held and any(line.strip() != outputs.ANY for line in block.lines)):
            return
        if self._record.rewriting:
            self._record.rewrites[block.line] = (block, rewrite(block))
            return
        raise block.error(
            f"the run printed something else than this block shows; `workshop output {self.lesson.name}` writes it anew. "
            f"Printed:\n" + "\n".join(rewrite(block)[:60])
        )


class App(Browser):
    """The app under check. While the block of `serve` lasts it is asked; after it its telemetry is read."""

    def __init__(self, checkpoint: Checkpoint, line: str, service: str, port: int, jaeger, closed: int = 0):
        self.checkpoint, self.line, self.service, self.jaeger = checkpoint, line, service, jaeger
        subject = checkpoint.subject
        if jaeger:
            subject.ports |= {OTLP_GRPC: jaeger.grpc_port, OTLP_HTTP: jaeger.http_port, QUERY: jaeger.query_port}
        else:
            subject.ports |= {port: free_port() for port in (OTLP_GRPC, OTLP_HTTP) if port not in subject.ports}
        if closed:
            subject.ports[closed] = free_port()
        self.shown_port, self.port = port, subject.ports[port]
        self._environment = checkpoint.environment
        self._files = subject.files()
        self._process: Process | None = None
        self._listened = self._taken = False
        self._stopped, self._over = True, False
        self._stored: list[Span] = []

    def start(self) -> None:
        """Start the command and wait until the app listens. Raises Broken when it does not."""
        subject = self.checkpoint.subject
        subject.swap_ports()
        self._taken = answers(self.port)  # by another program: what answers there is not this app
        default = OTLP_HTTP if "http/protobuf" in self._files.get(diagnosis.script(self.line), "") else OTLP_GRPC
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{subject.ports[default]}", **self._environment}
        self._process = Process(subject.swap(self.line), subject.folder, env, apart=True)
        super().__init__(f"http://127.0.0.1:{self.port}")
        self._process.wait_until(self._known_to_listen_or_not, LISTEN_SECONDS)
        if self._process.exit_code is not None:
            self._process.wait(1)  # until its last words are read
        self._listened = self._process.exit_code is None and not self._taken and answers(self.port)
        self.require(*STARTS)

    def stop(self) -> None:
        """Stop the app as Ctrl-C does, and whatever of it does not stop by force."""
        if self._process is None or self._over:
            return
        self._over = True
        try:
            if self._listened:
                self._process.interrupt()
                self._stopped = self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()

    def processes(self) -> list:
        """The running processes of the app, as psutil knows them."""
        return self._process.members()

    def wait(self) -> None:
        """Serve until the app ends by itself or the user presses Ctrl-C."""
        while not self._process.wait(1):
            pass

    def until(self, condition: Callable[[], bool], seconds: float = 5) -> bool:
        """Serve until something in the background is done; False if it is not in time."""
        deadline, pause = time.monotonic() + seconds, threading.Event()
        while not condition():
            if time.monotonic() > deadline:
                return False
            pause.wait(0.02)
        return True

    @property
    def output(self) -> str:
        """What the app has printed so far, with the learner's own ports and paths."""
        return self._last_words if self._over else self.checkpoint.subject.unswap(self._process.output if self._process else "")

    @cached_property
    def _last_words(self) -> str:
        return self.checkpoint.subject.unswap(self._process.output)

    @cached_property
    def console(self) -> Console:
        """What the app printed in its whole life, by signal. To be read after it has stopped."""
        return replace(read_console(self.checkpoint.subject.unswap(self._process.stdout)), text=self.output)

    @property
    def spans(self) -> list[Span]:
        return self.console.spans

    def facts(self, **more) -> Facts:
        """All that is known about this run, for the ladder; `more` is what the asking verb knows besides."""
        listening = tuple(int(port) for _, port in LISTENS.findall(self._process.output) if int(port) != self.port)
        known = {
            "lesson": self.checkpoint.lesson.name,
            "command": self.line,
            "files": self._files,
            "output": self.output,
            "exit_code": self._process.exit_code,
            "listened": self._listened,
            "port": self.shown_port,
            "listening_ports": listening,
            "port_owner": _port_owner(self.output),
            "stopped": self._stopped,
            "answers": self.answers,
            "spans": self.spans if self._process.exit_code is not None else [],
            "service": self.service,
            "shadows": () if self._listened else self.checkpoint.subject.shadows(),
            "packages": _versions("sqlalchemy"),
        }
        return Facts(**{**known, **more})

    def require(self, *rungs: Rung, otherwise: Diagnosis | None = None, **more) -> None:
        """Raise Broken with the first broken rung, or with `otherwise` when all of them hold."""
        if found := diagnosis.climb(self.facts(**more), rungs, otherwise):
            raise Broken(found)

    # Verbs: each returns what it proved, so that a test can say more about it.

    def server_span(self, answer: Answer, name: str = "", route: str = "", where: str = "console") -> Span:
        """The one SERVER span of a request: own trace when no parent was sent, the sent trace and parent when one was.

        `name` and `route`, where given, must be the span's. Raises Broken."""
        spans = self._seen(where)
        self.require(*SPANS, spans=spans, about=answer, wants=where)
        own = [s for s in spans if s.kind == "server" and diagnosis.user_agent(s) == answer.agent]
        if len(own) != 1:
            raise self._broken(
                "server-spans",
                f"{answer}: {len(own)} SERVER spans in {where}",
                "exactly one",
                "each request is one piece of work" + ("; two instrumentations watch it" if own else ""),
            )
        span = own[0]
        if (span.parent_id, answer.trace_id or span.trace_id) != (answer.parent_id, span.trace_id):
            raise self._broken(
                "wrong-parent",
                f"{answer}: trace {span.trace_id}, parent {span.parent_id or 'none'}",
                f"trace {answer.trace_id}, parent {answer.parent_id}" if answer.trace_id else "no parent: a trace of its own",
                "the request's `traceparent` header says which trace it belongs to"
                if answer.trace_id
                else "something in the app was still open when the request came",
            )
        others = [s for s in spans if s.kind == "server" and s.trace_id == span.trace_id and s.span_id != span.span_id]
        shared = [s for s in others if s not in self.below(span, where)]
        if shared:
            raise self._broken(
                "shared-trace",
                f"{answer} and {shared[0].name} are one trace",
                "a trace for each request",
                "one story per request is what makes a trace readable",
                "300/400/600",
            )
        self._named(answer, span, name, route)
        return span

    def sql_below(self, span: Span, at_least: int = 1, exactly: int | None = None, where: str = "console") -> list[Span]:
        """The SQL statements of a request: CLIENT spans below its span that carry a statement. Raises Broken."""
        found = [s for s in self.below(span, where) if s.kind == "client" and statement(s)]
        wanted = f"{exactly}" if exactly is not None else f"at least {at_least}"
        if len(found) == exactly or (exactly is None and len(found) >= at_least):
            return found
        shown = "\n".join(f"{statement(s)[:60]}" for s in found[:4])
        self.require(
            *STATEMENTS,
            otherwise=self._diagnosis(
                "statements",
                f"{span.name}: {len(found)} SQL statements\n{shown}".rstrip(),
                wanted,
                "each statement that SQLAlchemy sends is a CLIENT span below the request",
                "300/300/400",
            ),
        )
        return found

    def below(self, span: Span, where: str = "console") -> list[Span]:
        """All spans below a span, by parent."""
        spans = self._seen(where)
        found, wanted = [], {span.span_id}
        while more := [s for s in spans if s.parent_id in wanted and s not in found]:
            found += more
            wanted = {s.span_id for s in more}
        return found

    def called(self, span: Span, other: App, exactly: int = 1) -> list[Span]:
        """What the app `other` made of the calls below a span: SERVER spans whose parents are this app's CLIENT spans.

        Raises Broken when a call was not watched, or when its trace ended on the way."""
        calls = [s for s in self.below(span) if s.kind == "client" and diagnosis.is_http(s)]
        asked = [
            s for s in other.spans if s.kind == "server" and diagnosis.user_agent(s) not in {a.agent for a in other.answers}
        ]
        found = [s for s in asked if s.trace_id == span.trace_id and s.parent_id in {call.span_id for call in calls}]
        if len(found) == exactly:
            return found
        other.require(*SPANS, wants="console")
        self.require(*CALLS)
        other.require(*CALLS)
        roots = [s for s in asked if not s.parent_id]
        if len(calls) < exactly and roots:
            raise self._broken(
                "no-client-span",
                f"{span.name}: {len(calls)} CLIENT spans of calls below it; {other.service} was called all the same",
                f"{exactly}",
                "a call is watched, and takes the trace along, only where its library is instrumented: `requests` is",
                "300/400/300",
            )
        if roots:
            raise self._broken(
                "trace-broken",
                f"{span.name}: nothing below its CLIENT span {calls[0].name} in trace {span.trace_id}; "
                f"{other.service}'s {roots[-1].name} began a trace of its own, {roots[-1].trace_id}",
                f"the SERVER span of {other.service} below that CLIENT span, in one trace",
                "the trace travels in the header `traceparent`, and on the way it was lost: a proxy or a middleware dropped it",
                "300/400/300",
            )
        said = "".join(f"\n{call.name}: {call.status} {call.status_text}" for call in calls[:3])
        raise self._broken(
            "not-called",
            f"{span.name}: {len(found)} calls came to {other.service}{said}",
            f"{exactly}",
            "a call that is not made, or does not arrive, makes no span on the other side",
            "300/400/300",
        )

    def attribute(self, span: Span, name: str, value: object) -> None:
        """A span's attribute, or one of its resource, has this value. Raises Broken."""
        found = span.attributes.get(name, span.resource.get(name))
        if found != value:
            raise self._broken(
                "attribute",
                f"{span.name}: {name} is {found!r}" if found is not None else f"{span.name}: has no {name}",
                repr(value),
                "the lesson's setting or code gives it this value",
                self.checkpoint.lesson.name,
            )

    def keeps_secrets(self) -> None:
        """No canary of 200/300 stands in a span, on the console or in Jaeger, or in any other line that the app printed.

        Raises Broken, naming the place."""
        from workshop import operators

        own = {span.trace_id for span in self.spans}
        stored = [span for span in self.jaeger.traces(self.service) if span.trace_id in own] if self.jaeger else []
        for secret in operators.requirements().secrets:
            shapes = (secret.canary, quote(secret.canary, safe=""))
            told = (
                f"{where}: {what} of the span {span.name!r}"
                for where, spans in (("the console", self.spans), ("Jaeger", stored))
                for span in spans
                for what, text in _texts(span)
                if any(shape in text for shape in shapes)
            )
            lines = (f"the terminal: {line.strip()}" for line in self.output.splitlines() if any(s in line for s in shapes))
            if place := next(told, next(lines, "")):
                raise self._broken(
                    "private",
                    f"{secret.what} in {place}",
                    "it nowhere but in the app's own database and pages",
                    f"telemetry is copied, kept for months and read by many; this slips in by {secret.where}",
                    "200/300",
                )

    def metric(self, name: str) -> dict:
        """The last state of a metric on the console, as the SDK printed it: `{"name", "unit", "data": ...}`. Raises Broken."""
        found = [metric for metric in self.console.metrics if metric["name"] == name]
        if not found:
            others = ", ".join(sorted({metric["name"] for metric in self.console.metrics})) or "none at all"
            self.require(
                diagnosis.misspelt_setting,
                diagnosis.wrong_exporter,
                diagnosis.not_under_agent,
                otherwise=self._diagnosis(
                    "no-metric",
                    f"the metrics on the console: {others}",
                    name,
                    "metrics go where OTEL_METRICS_EXPORTER says; they leave every minute, and when the app stops",
                    "300/300/100",
                ),
            )
        return found[-1]

    def in_jaeger(self, answer: Answer, name: str = "", route: str = "") -> Span:
        """The SERVER span of a request as Jaeger stored it; `below(span, where="jaeger")` then finds its children.

        Raises Broken when the trace did not arrive, or arrived otherwise."""
        problem = ""
        try:
            found = self.find(answer)
        except OSError as error:
            found, problem = [], f"Jaeger does not answer at {self.jaeger.query_url}: {error}"
        if not found:
            rungs = SPANS if self.spans else [rung for rung in SPANS if rung is not diagnosis.no_span]
            self.require(*rungs, *ARRIVAL, about=answer, stored=[], jaeger_problem=problem)
        known = {span.span_id for span in self._stored}
        self._stored += [span for span in found if span.span_id not in known]
        return self.server_span(answer, name, route, where="jaeger")

    def find(self, answer: Answer) -> list[Span]:
        """The trace of a request in Jaeger, found by the trace that it was sent with or by its User-Agent; empty if not there."""
        if answer.trace_id:
            return self.jaeger.trace(answer.trace_id)
        spans = self.jaeger.traces(self.service)
        ids = {span.trace_id for span in spans if diagnosis.user_agent(span) == answer.agent}
        return [span for span in spans if span.trace_id in ids]

    def _seen(self, where: str) -> list[Span]:
        return self.spans if where == "console" else self._stored

    def _named(self, answer: Answer, span: Span, name: str, route: str) -> None:
        if name and span.name != name:
            raise self._broken(
                "span-name",
                f"{answer}: its span is named {span.name!r}",
                repr(name),
                "the name is the method and the route, so that many requests make one name",
            )
        if route and span.attributes.get("http.route") != route:
            raise self._broken(
                "span-route",
                f"{answer}: http.route is {span.attributes.get('http.route')!r}",
                repr(route),
                "the route is the pattern in @route(...), not the address that was asked for",
            )

    def _broken(self, rung: str, seen: str, expected: str, why: str, lesson: str = "300/300/100") -> Broken:
        return Broken(self._diagnosis(rung, seen, expected, why, lesson))

    def _diagnosis(self, rung: str, seen: str, expected: str, why: str, lesson: str) -> Diagnosis:
        return Diagnosis(rung, seen, expected, why, f"compare: `workshop diff {self.checkpoint.lesson.name}`", lesson)

    def _known_to_listen_or_not(self) -> bool:
        said = LISTENS.findall(self._process.output)
        return self._process.exit_code is not None or bool(said) or (not self._taken and answers(self.port))


def packages(lesson: Lesson) -> Path:
    """The virtual environment for a lesson's checks: this one, unless lessons up to it bring a `requirements.txt`.

    Then it is one of base and those files, kept in the user's cache by content. Raises Broken when it cannot be made."""
    from workshop.environments import EnvironmentFailed
    from workshop.packages import environment_of

    before = [other for other in lessons.lessons(lesson.root) if other.name <= lesson.name]
    files = [f for f in (other.folder / "requirements.txt" for other in before) if f.exists()]
    if not files:
        return Path(sys.prefix)
    tell = lambda line: print(f"{lesson.name}: {line}", file=sys.__stderr__)  # noqa: E731
    try:
        return environment_of(lesson.root / "requirements.txt", *files, progress=tell)
    except EnvironmentFailed as error:
        raise Broken(
            Diagnosis(
                "environment",
                str(error),
                "an environment with the packages of the lessons so far",
                "this lesson needs more packages than the base",
                f"workshop check {lesson.name}, once the cause is mended",
                lesson.name,
            )
        ) from None


def statement(span: Span) -> str:
    """The SQL of a database span, under its old or its stable name."""
    return span.attributes.get("db.statement") or span.attributes.get("db.query.text") or ""


def _texts(span: Span) -> Iterator[tuple[str, str]]:
    """Every text that a span carries, each as (what it is, the text)."""
    yield "the name", span.name
    yield "the status", span.status_text
    yield from ((f"the attribute {name}", str(value)) for name, value in span.attributes.items())
    for event in span.events:
        yield from ((f"{name} of the event {event.name!r}", str(value)) for name, value in event.attributes.items())


def _versions(*names: str) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _port_owner(output: str) -> str:
    """Who listens on the port that the output says is in use; empty where the system does not tell."""
    from workshop.jaeger import port_owner

    match = re.search(r"Port (\d+) is in use", output)
    return port_owner(int(match[1])) if match else ""
