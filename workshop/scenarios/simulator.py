"""Some minutes of the to-do app's life, played from a seed: what its processes and the advisor would have told of them.

Nothing runs. Spans, metrics and log records have the names, kinds and attributes that the finished app's have (a test compares
them), and times of the past. One of the outages begins somewhere on the way.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from workshop.scenarios.outages import OUTAGES, Outage
from workshop.scenarios.traffic import Visit, plan
from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import Exemplar, HistogramPoint, Metric, NumberPoint
from workshop.telemetry.otlp import Telemetry
from workshop.telemetry.spans import Event, Span

SECONDS, HEALTHY, RATE, EXPORT = 300, (70, 130), 1.6, 5
MIX = {"reader": 6, "searcher": 2, "planner": 2, "importer": 2}
WORKERS = 3
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SQLALCHEMY = "opentelemetry.instrumentation.sqlalchemy"
DATABASE = "/srv/todo/src/instance/todo.db"
LIST = "SELECT task.id, task.text, task.created_at, task.done_at \nFROM task ORDER BY task.done_at IS NOT NULL, task.id DESC"
TASKS = "SELECT task.id, task.text, task.created_at, task.done_at \nFROM task"
STEPS = (
    "SELECT step.task_id AS step_task_id, step.id AS step_id, step.text AS step_text, step.done_at AS step_done_at \n"
    "FROM step \nWHERE step.task_id IN (?, ?, ?) ORDER BY step.id"
)
ADD = "INSERT INTO task (text, created_at, done_at) VALUES (?, ?, ?)"
DONE = "UPDATE task SET done_at=? WHERE task.id = ? AND task.done_at IS NULL RETURNING created_at"
DELETE = "DELETE FROM task WHERE task.id = ?"
ROUTES = {"done": "/tasks/<id:task_id>/done", "delete": "/tasks/<id:task_id>/delete"}
LARGE = 100  # tasks in a file


class Failed(Exception):
    """What a request raises: the type of the exception, as telemetry names it."""


@dataclass
class Worker:
    """A process of the app: between which moments (seconds of the play) it lives, and what it keeps."""

    instance: str
    begin: float
    end: float
    kept: int = 0
    open_files: int = 14
    attached: tuple[str, str] | None = None

    def __post_init__(self):
        self.memory: list[tuple[float, int, int]] = []


@dataclass
class Request:
    """One request to the app, as it was: `at` and `seconds` are seconds of the play, `hit` says that the outage did it."""

    route: str
    journey: str
    worker: Worker
    at: float
    trace_id: str = ""
    span_id: str = ""
    status: int = 200
    seconds: float = 0
    began: str = "none"
    hit: bool = False


@dataclass
class Play:
    """What happened in the minutes before `end_ns` (nanoseconds since the epoch), the same for the same seed.

    Names of traces and processes depend on `end_ns`, too: two plays of a seed can be in one store."""

    seed: int
    end_ns: int
    requests: list[Request] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)

    def __post_init__(self):
        self.begin_ns = self.end_ns - SECONDS * 10**9
        self.chance, self._ids = random.Random(self.seed), random.Random(f"{self.seed} {self.end_ns}")
        self.outage: Outage = OUTAGES[self.seed % len(OUTAGES)]
        self.since = self.chance.uniform(*HEALTHY)
        deployed = self.since if self.outage.name == "propagation" else SECONDS
        self.workers = [self._worker(0, deployed) for _ in range(WORKERS)]
        if deployed < SECONDS:
            self.workers += [self._worker(deployed, SECONDS) for _ in range(WORKERS)]
        steps = [step for visit in plan(RATE, SECONDS - 15, self.seed, mix=MIX) for step in self._way(visit)]
        for at, journey, method, route in sorted(steps):
            self._request(at, journey, method, route)

    @property
    def environment(self) -> str:
        """The name by which its telemetry is told from that of other incidents, and from that of the running app."""
        return f"incident-{self.seed}"

    @property
    def since_ns(self) -> int:
        """When it began."""
        return self.ns(self.since)

    @property
    def later(self) -> list[Request]:
        """The requests since then."""
        return [request for request in self.requests if request.at >= self.since]

    @property
    def hit(self) -> list[Request]:
        """Those that it hit."""
        return [request for request in self.requests if request.hit]

    @property
    def share(self) -> float:
        """The part of all requests since then that it hit."""
        return len(self.hit) / len(self.later)

    @property
    def sick(self) -> Worker:
        """The process that is ill in an outage that is about one."""
        return self.workers[0]

    def ns(self, at: float) -> int:
        return self.begin_ns + round(at * 1e9)

    def telemetry(self) -> Telemetry:
        """All that it left behind."""
        return Telemetry(self.spans, self._metrics(), self.logs)

    # The way of a visit, and of a request

    def _way(self, visit: Visit) -> Iterator[tuple[float, str, str, str]]:
        ways = {
            "reader": ["GET /"],
            "searcher": ["GET /", "POST /search"],
            "planner": ["GET /", "POST /add", "GET /", f"POST {ROUTES['done']}", f"POST {ROUTES['delete']}"],
            "importer": ["GET /", "POST /import"],
        }
        at = visit.due
        for step in ways[visit.journey]:
            yield at, visit.journey, *step.split(" ", 1)
            at += self.chance.uniform(0.6, 2)

    def _request(self, at: float, journey: str, method: str, route: str) -> None:
        alive = [worker for worker in self.workers if worker.begin <= at < worker.end]
        worker = self.chance.choice(alive)
        request = Request(f"{method} {route}", journey, worker, at)
        self.requests.append(request)
        _Answer(self, request).give(method, route)

    def ill(self, name: str, at: float) -> bool:
        """Whether this outage has begun."""
        return self.outage.name == name and at >= self.since

    def id(self, digits: int) -> str:
        return f"{self._ids.getrandbits(4 * digits):0{digits}x}"

    def _worker(self, begin: float, end: float) -> Worker:
        return Worker(str(UUID(int=self._ids.getrandbits(128), version=4)), begin, end)

    def resource(self, service: str, instance: str) -> dict:
        return {
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": "1.45.1",
            "service.instance.id": instance,
            "deployment.environment.name": self.environment,
            "service.name": service,
            "telemetry.auto.version": "0.66b1",
        }

    # What is counted

    def _metrics(self) -> list[Metric]:
        return [metric for worker in self.workers for metric in self._of(worker)]

    def _of(self, worker: Worker) -> Iterator[Metric]:
        mine = [request for request in self.requests if request.worker is worker]
        first = worker.begin + 0.5
        ticks = [first + EXPORT * n for n in range(int((worker.end - first) / EXPORT) + 1)]
        ticks.append(min(worker.end + 0.5, SECONDS - 0.001))  # the last export, when a process ends; or what is known now
        start_ns, resource = self.ns(worker.begin), self.resource("todo", worker.instance)

        def metric(name: str, kind: str, unit: str, points, scope: str, **more) -> Metric:
            temporality = "" if kind == "gauge" else "cumulative"
            return Metric(name, kind, tuple(points), unit, "", temporality, resource=resource, scope=scope, **more)

        by: dict[tuple, list[Request]] = defaultdict(list)
        began: dict[str, list[Request]] = defaultdict(list)
        for request in mine:
            by[request.route, request.status].append(request)
            began[request.began].append(request)
        flask = "opentelemetry.instrumentation.flask"
        histograms = [p for (route, status), them in by.items() for p in self._histogram(route, status, them, ticks, start_ns)]
        yield metric("http.server.request.duration", "histogram", "s", histograms, flask)
        started = [
            NumberPoint(
                {"otel.span.parent.origin": origin, "otel.span.sampling_result": "RECORD_AND_SAMPLE"},
                start_ns,
                self.ns(tick),
                (),
                float(sum(r.at + r.seconds <= tick for r in them)),
            )
            for origin, them in began.items()
            for tick in ticks
        ]
        yield metric("otel.sdk.span.started", "sum", "{span}", started, "opentelemetry-sdk", monotonic=True)
        for name, unit, of in (("process.memory.usage", "By", 1), ("process.open_file_descriptor.count", "", 2)):
            points = [NumberPoint({}, start_ns, self.ns(tick), (), float(_last(worker, tick)[of])) for tick in ticks]
            yield metric(name, "sum", unit, points, "opentelemetry.instrumentation.system_metrics")

    def _histogram(self, route: str, status: int, them: list[Request], ticks: list[float], start_ns: int) -> Iterator:
        method, path = route.split(" ", 1)
        attributes = {
            "http.request.method": method,
            "url.scheme": "http",
            "network.protocol.version": "1.1",
            "http.response.status_code": status,
            "http.route": path,
        }
        buckets, total, done = [0] * (len(BOUNDS) + 1), 0.0, 0
        waiting = sorted(them, key=lambda request: request.at + request.seconds)
        for tick in ticks:
            slowest: dict[int, Request] = {}
            while done < len(waiting) and waiting[done].at + waiting[done].seconds <= tick:
                request = waiting[done]
                bucket = bisect_left(BOUNDS, request.seconds)
                buckets[bucket] += 1
                total += request.seconds
                slowest[bucket] = max(slowest.get(bucket, request), request, key=lambda r: r.seconds)
                done += 1
            examples = sorted(
                (Exemplar(r.seconds, self.ns(r.at + r.seconds), r.trace_id, r.span_id) for r in slowest.values()),
                key=lambda one: one.time_ns,
            )
            yield HistogramPoint(
                attributes, start_ns, self.ns(tick), tuple(examples), done, total, bounds=BOUNDS, buckets=tuple(buckets)
            )


def _last(worker: Worker, tick: float) -> tuple[float, int, int]:
    before = [kept for kept in worker.memory if kept[0] <= tick]
    return before[-1] if before else (0, 78_000_000, 14)


class _Answer:
    """How the app answers one request: its spans, one after the other, on a clock of its own."""

    def __init__(self, play: Play, request: Request):
        self.play, self.request, self.clock, self.chance = play, request, request.at, play.chance
        self.worker = request.worker
        self.resource = play.resource("todo", self.worker.instance)
        self.advisor = play.resource("advisor", "advisor-1")
        self.parents: list[str] = []

    def give(self, method: str, route: str) -> None:
        request, play, worker = self.request, self.play, self.worker
        request.trace_id, kind = play.id(32), "server"
        if worker.attached:
            request.trace_id, parent = worker.attached
            self.parents.append(parent)
            kind, request.began, request.hit = "internal", "local", True
        path, peer = route.replace("<id:task_id>", str(self.chance.randrange(1, 400))), self.chance.randrange(40000, 60000)
        agent = f"workshop-traffic/{request.journey}"
        attributes = {
            "http.method": method, "http.request.method": method, "http.server_name": "127.0.0.1", "http.scheme": "http",
            "url.scheme": "http", "net.host.name": "localhost:5001", "server.address": "localhost:5001",
            "http.host": "localhost:5001", "net.host.port": 5001, "server.port": 5001, "http.target": path, "url.path": path,
            "net.peer.ip": "127.0.0.1", "client.address": "127.0.0.1", "net.peer.port": peer, "client.port": peer,
            "http.user_agent": agent, "user_agent.original": agent, "http.flavor": "1.1", "network.protocol.version": "1.1",
            "http.route": route,
        }  # fmt: skip
        events: list[Event] = []
        with self.span(request.route, kind, "opentelemetry.instrumentation.flask", attributes, events=events) as span_id:
            request.span_id = span_id
            self.work(0.003, 0.012)
            try:
                self._connect()
                request.status = {"GET": 200}.get(method, 200 if route == "/search" else 302)
                getattr(self, f"_{route.strip('/').split('/')[-1] or 'index'}")(attributes)
            except Failed as failed:
                request.status, request.hit = 500, True
                kind = str(failed)
                events.append(Event("exception", play.ns(self.clock), {"exception.type": kind, "exception.escaped": "False"}))
                self.log(f"Exception on {path} [{method}]", "todo", {"exception.type": kind}, "ERROR")
            self.work(0.002, 0.006)
            attributes |= {"http.status_code": request.status, "http.response.status_code": request.status}
            known = {name: attributes[name] for name in ("http.request.method", "http.route", "http.response.status_code")}
            known["todo.duration_ms"] = round((self.clock - request.at) * 1000, 1)
            self.log(f"{request.route} {request.status}", "todo.logs", known)
        request.seconds = self.clock - request.at
        worker.memory.append(
            (self.clock, 78_000_000 + worker.kept * 9_000_000 + self.chance.randrange(400_000), worker.open_files)
        )
        if play.ill("propagation", request.at) and not worker.attached:
            worker.attached = request.trace_id, request.span_id

    def _connect(self) -> None:
        """Each page asks the database. A connection that is kept from before makes no span."""
        if self.play.ill("worker", self.request.at) and self.worker is self.play.sick:
            self.worker.open_files = 1024
            known = {"db.name": DATABASE, "db.namespace": DATABASE, "db.system": "sqlite", "db.system.name": "sqlite"}
            with self.span("connect", "client", SQLALCHEMY, known, "ERROR"):
                self.work(0.001, 0.003)
            raise Failed("sqlalchemy.exc.OperationalError")

    # The pages

    def _index(self, attributes: dict) -> None:
        self.sql(LIST)
        self.sql(STEPS)
        with self.span("read notice", "internal", "todo.notice", {}):
            self.work(0.0001, 0.0003)
        self.advice()
        self.work(0.004, 0.02)

    def _add(self, attributes: dict) -> None:
        self.sql(ADD)
        attributes["todo.task.length"] = length = self.chance.randrange(6, 60)
        self.log("A task was added.", "todo.views", {"todo.task.length": length})

    def _done(self, attributes: dict) -> None:
        self.sql(DONE)

    def _delete(self, attributes: dict) -> None:
        self.sql(DELETE)

    def _search(self, attributes: dict) -> None:
        known = {"todo.search.length": self.chance.randrange(3, 20), "todo.search.compared": 212}
        with self.span("search tasks", "internal", "todo.search", known):
            if self.play.ill("slow-list", self.request.at):
                self.request.hit = True
                self.sql(TASKS, 0.7, 1.6)
            else:
                self.sql(TASKS)
            self.sql(STEPS)
            self.work(0.01, 0.03)
            known["todo.search.found"] = self.chance.randrange(9)

    def _import(self, attributes: dict) -> None:
        large = self.chance.random() < 0.55
        tasks = self.chance.randrange(LARGE + 20, 300) if large else self.chance.randrange(2, LARGE - 40)
        if large and self.play.ill("import", self.request.at):
            many = ", ".join(["(?, ?, ?)"] * tasks)
            self.sql(f"INSERT INTO task (text, created_at, done_at) VALUES {many}", status="ERROR")
            raise Failed("sqlalchemy.exc.OperationalError")
        self.sql(ADD, 0.005, 0.02)
        if self.play.ill("leak", self.request.at):
            self.worker.kept += 1
            self.work(0.2 + 0.09 * self.worker.kept, 0.25 + 0.1 * self.worker.kept)
            self.request.hit = True
        attributes |= {"todo.import.id": self.play.id(32), "todo.import.tasks": tasks}
        known = {"todo.import.tasks": tasks}
        self.log("A file was imported.", "todo.imports", known, event="todo.file.imported")

    def advice(self) -> None:
        """The list asks the advisor for a word."""
        at = self.request.at
        if self.play.ill("cache", at) and self.chance.random() < 0.45:
            raise Failed("json.decoder.JSONDecodeError")
        if self.play.ill("advisor", at):
            self.request.hit = True
            for _ in range(3):
                self.call(1.3, 1.9, waits=1)
        elif self.play.ill("limit", at) and self.chance.random() < 0.6:
            self.request.hit = True
            self.call(0.002, 0.005, status=429)
            self.work(0.5, 0.7)
            self.call(0.006, 0.02)
        else:
            self.call(0.006, 0.02)

    def call(self, least: float, most: float, status: int = 200, waits: float = 10) -> None:
        """Ask the advisor, which works so long; the app waits so long for it."""
        left = self.chance.randrange(1, 40)
        url, agent = f"http://localhost:5002/advice?left={left}", "python-requests/2.34.2"
        attributes = {
            "http.method": "GET", "http.request.method": "GET", "http.url": url, "url.full": url, "user_agent.original": agent,
            "http.host": "localhost", "server.address": "localhost", "network.peer.address": "localhost", "net.peer.port": 5002,
            "server.port": 5002, "network.peer.port": 5002,
        }  # fmt: skip
        seconds = self.chance.uniform(least, most)
        late = seconds > waits
        with self.span(
            "GET",
            "client",
            "opentelemetry.instrumentation.requests",
            attributes,
            "ERROR" if late or status >= 400 else "UNSET",
        ) as client:
            self.work(0.001, 0.003)
            there = {
                "http.request.method": "GET", "url.scheme": "http", "server.address": "localhost:5002", "server.port": 5002,
                "url.path": "/advice", "url.query": f"left={left}", "client.address": "127.0.0.1",
                "client.port": self.chance.randrange(40000, 60000), "user_agent.original": agent,
                "network.protocol.version": "1.1", "http.route": "/advice",
                "http.request.header.traceparent": [f"00-{self.request.trace_id}-{client}-03"],
                "http.response.status_code": status,
            }  # fmt: skip
            begun = self.clock
            with self.span("GET /advice", "server", "opentelemetry.instrumentation.flask", there, resource=self.advisor):
                self.clock += seconds
            if late:
                self.clock = begun + waits
                attributes["error.type"] = "ReadTimeout"
            else:
                self.work(0.001, 0.002)
                attributes |= {"http.status_code": status, "http.response.status_code": status, "http.flavor": "1.1"}
                attributes |= {"network.protocol.version": "1.1"} | ({"error.type": str(status)} if status >= 400 else {})

    def sql(self, statement: str, least: float = 0.0005, most: float = 0.004, status: str = "UNSET") -> None:
        operation = f"{statement.split()[0]} {DATABASE}"
        attributes = {
            "db.name": DATABASE, "db.namespace": DATABASE, "db.statement": statement, "db.query.text": statement,
            "db.system": "sqlite", "db.system.name": "sqlite", "db.operation": operation, "db.operation.name": operation,
        }  # fmt: skip
        with self.span(operation, "client", SQLALCHEMY, attributes, status):
            self.work(least, most)

    # The clock, spans and records

    def work(self, least: float, most: float) -> None:
        self.clock += self.chance.uniform(least, most)

    @contextmanager
    def span(
        self,
        name: str,
        kind: str,
        scope: str,
        attributes: dict,
        status: str = "UNSET",
        resource: dict | None = None,
        events: list[Event] | None = None,
    ) -> Iterator[str]:
        span_id, begun, parent = self.play.id(16), self.clock, (self.parents or [None])[-1]
        self.parents.append(span_id)
        yield span_id
        self.parents.pop()
        moments = self.play.ns(begun), self.play.ns(self.clock)
        status = "ERROR" if attributes.get("http.response.status_code") == 500 else status
        of = {"attributes": attributes, "resource": resource or self.resource, "scope": scope, "events": tuple(events or ())}
        self.play.spans.append(Span(name, kind, self.request.trace_id, span_id, parent, *moments, status, **of))

    def log(self, body: str, scope: str, attributes: dict, severity: str = "INFO", event: str = "") -> None:
        moment, number = self.play.ns(self.clock), {"INFO": 9, "ERROR": 17}[severity]
        self.play.logs.append(
            LogRecord(
                body,
                severity,
                number,
                moment,
                moment,
                self.request.trace_id,
                self.parents[-1],
                event,
                attributes,
                self.resource,
                scope,
            )  # fmt: skip
        )
