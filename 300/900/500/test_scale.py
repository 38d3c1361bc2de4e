"""Two processes share a PostgreSQL that may be killed, and no accepted span is lost between the app and a Jaeger on a disk."""

import json
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from workshop.checks.fake_server import FakeServer
from workshop.checks.process import patient
from workshop.checks.sandbox import OTLP_HTTP
from workshop.diagnosis.arrival import ROAD
from workshop.diagnosis.spans import SPANS
from workshop.programs.instance import ProgramError
from workshop.telemetry.otlp import Telemetry
from workshop.telemetry.spans import Span

ALONE = {"Connection": "close"}  # so that any worker may take the next one
TRACES, SERVICES = 100, 8
FIRST, SECOND = 5417, 5427  # where the page has its gateways
MS = 1_000_000


# The app


def served(checkpoint):
    """Two workers that are asked before, while and after PostgreSQL is away."""
    run = SimpleNamespace(away=None, after=[])
    # Its data lie apart: where all is root's, a user of its own must get there, and pytest closes its folders to others.
    with tempfile.TemporaryDirectory(prefix="workshop-postgres-") as data:
        checkpoint.environment["POSTGRES_DATA"] = data
        try:
            with (
                FakeServer(port=checkpoint.sandbox.own_ports[OTLP_HTTP]) as backend,
                checkpoint.serve("sh scale.sh") as run.app,
            ):
                run.before = ask_all(run.app, backend)
                run.systems = {s.attributes.get("db.system") for s in backend.stored.spans if s.statement}
                run.processes = len(instances(backend, run.before))
                run.options = run.app.variables.get("FLASK_SQLALCHEMY_ENGINE_OPTIONS")
                if run.systems == {"postgresql"} and postmaster(data) and run.processes > 1:
                    postmaster(data).kill()
                    run.app.until(lambda: not postmaster(data), patient(2))
                    run.away = run.app.get("/", wanted=500, headers=ALONE)
                    checkpoint.run("DATABASE")
                    run.after = ask_all(run.app, backend)
                run.app.terminate()
            run.spans = backend.stored.spans
            if checkpoint.showing:
                checkpoint.run("python arithmetic.py")
                checkpoint.run("python -W ignore database.py stop")
        finally:
            if found := postmaster(data):
                below = found.children(recursive=True)
                found.kill()
                psutil.wait_procs(below, 5)  # they notice, and end
    return run


def ask_all(app, backend):
    """Ask until two workers have answered, one has failed, or it takes too long."""
    asked, deadline = [], time.monotonic() + patient(3)
    both = lambda: len(instances(backend, asked)) > 1  # noqa: E731
    while time.monotonic() < deadline and not both() and all(response.status == 200 for response in asked):
        asked += [app.get("/", headers=ALONE) for _ in range(4)]
        app.until(both, 0.3)
    return asked


def instances(backend, asked):
    """The processes that have told of these requests."""
    agents = {response.agent for response in asked}
    return {
        s.resource.get("service.instance.id") for s in backend.stored.spans if s.kind == "server" and s.user_agent in agents
    }


def postmaster(data):
    """PostgreSQL's first process, as it wrote down itself."""
    try:
        found = psutil.Process(int(Path(data, "postmaster.pid").read_text(encoding="utf-8").split()[0]))
        return found if found.name() == "postgres" and found.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


@pytest.mark.before("no-run-file")
def test_two_processes_share_a_database_and_outlive_its_end(checkpoint):
    run = checkpoint.shared(served)
    servers = {s.user_agent: s for s in run.spans if s.kind == "server"}
    if bare := next((response for response in run.app.responses if response.agent not in servers), None):
        run.app.require(*ROAD, SPANS, spans=run.spans, stored=run.spans, about=bare)
    checkpoint.must(
        run.systems == {"postgresql"},
        "not-postgresql",
        seen=f"the statements of these requests went to {', '.join(sorted(map(str, run.systems))) or 'no database'}",
        expected="PostgreSQL, at the URL that src/database.py prints",
        why="SQLite is a file, and an app on another machine has another one",
        do="`export FLASK_SQLALCHEMY_DATABASE_URI=$URL` in src/scale.sh",
    )
    checkpoint.must(
        run.processes > 1,
        "one-process",
        seen="one process has answered all requests",
        expected="two behind one address",
        why="what one process keeps for itself is missed only when there is a second one",
        do="`-w 2` in src/scale.sh",
    )
    asked = servers[run.before[-1].agent]
    statements = Counter(s.statement for s in run.spans if s.trace_id == asked.trace_id and s.statement)
    twice = next((text for text, count in statements.items() if count > 1), "")
    checkpoint.must(
        statements and not twice,
        "statements-twice",
        seen=f"`{twice[:60]}` has {statements[twice]} spans in one request" if twice else "a request without a statement",
        expected="one span for each statement",
        why="the driver has an instrumentation of its own, and SQLAlchemy's stands above it: each statement passes both",
        do="`export OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=psycopg` in src/scale.sh",
    )
    checkpoint.must(
        not run.options or json.loads(run.options).get("hide_parameters") is True,
        "values-shown",
        seen=f"FLASK_SQLALCHEMY_ENGINE_OPTIONS={run.options}",
        expected='"hide_parameters": true in it, too',
        why="the variable takes the place of what create_app() has set; a statement that fails would put what people typed into its span",
        do="add it in src/scale.sh",
    )
    assert servers[run.away.agent].status == "ERROR" and run.after


# The way of its traces


class NotTaken(Exception):
    """The agent did not accept what it was sent."""


class Chain:
    """Jaeger, two gateways and an agent on the learner's files, and what was sent through them."""

    def __init__(self, checkpoint, stack, jaeger="otel/jaeger.yaml"):
        self.jaeger = stack(checkpoint.start("jaeger", jaeger))
        self.gateways = [stack(checkpoint.start("collector", "otel/gateway.yaml")) for _ in range(2)]
        first, second = (gateway.ports["grpc"] for gateway in self.gateways)
        checkpoint.sandbox.own_ports |= {FIRST: first, SECOND: second}
        self.agent = stack(checkpoint.start("collector", "otel/agent.yaml"))

    def send(self, failed: bool = True, between: Callable[[], object] = lambda: None) -> set[str]:
        """Hand over traces, first one half of each, then the other, which has failed or not; they are accepted when this returns.

        Raises NotTaken."""
        halves, service = ([], []), f"todo-{secrets.token_hex(4)}"
        for number in range(TRACES):
            trace_id, root, now = secrets.token_hex(16), secrets.token_hex(8), time.time_ns()
            for half, parent, span_id in ((0, None, root), (1, root, secrets.token_hex(8))):
                status, kind = "ERROR" if half and failed else "UNSET", "client" if half else "server"
                resource = {"service.name": f"{service}-{half}-{number % SERVICES}"}
                halves[half].append(
                    Span("GET", kind, trace_id, span_id, parent, now, now + MS, status, "", {}, resource=resource)
                )
        try:
            for half in halves:
                self.agent.send(Telemetry(half))
                between()
        except ProgramError as error:
            raise NotTaken from error
        return {span.trace_id for span in halves[0]}

    def arrived(self, ids: set[str], seconds: float) -> int:
        """How many spans of these traces are in Jaeger, as soon as all are, or when time is over."""
        missing, count = set(ids), 0

        def all_there() -> bool:
            nonlocal count
            for trace_id in list(missing):
                if len(self.jaeger.trace(trace_id)) < 2:
                    return False
                missing.discard(trace_id)
            return True

        self.jaeger.until(all_there, patient(seconds))
        count = sum(len(self.jaeger.trace(trace_id)) for trace_id in missing)
        return 2 * (len(ids) - len(missing)) + count

    def counted(self, name: str) -> list[float]:
        """One of the gateways' own numbers, for each of them; 0 where it does not tell."""
        numbers = [0.0 for _ in self.gateways]
        for place, gateway in enumerate(self.gateways):
            with suppress(ProgramError):
                numbers[place] = sum(s.value for s in gateway.metrics() if s.labels["__name__"].startswith(name))
        return numbers

    def shares(self) -> list[float]:
        """How many spans each gateway has accepted."""
        return self.counted("otelcol_receiver_accepted_spans")

    def decisions(self) -> float:
        return sum(self.counted("otelcol_processor_tail_sampling_global_count_traces_sampled"))

    def decided(self, traces: float) -> bool:
        """Wait until so many traces have been judged since the gateways started."""
        return self.jaeger.until(lambda: self.decisions() >= traces, patient(4))


def killed(checkpoint):
    """How many spans arrived of what was sent before anything was killed, while Jaeger was away, and while the gateways were."""
    run = SimpleNamespace(refused="", gateways=True)
    with ExitStack() as stack:
        chain = Chain(checkpoint, stack.enter_context)
        run.behind = chain.agent
        try:
            kill(checkpoint, chain, run)
        except NotTaken as error:
            run.refused = str(error.__cause__)
    return run


def kill(checkpoint, chain, run) -> None:
    healthy, before = chain.send(failed=False), chain.send()
    run.quiet = chain.arrived(before, 4)
    if run.quiet < 2 * TRACES:
        return
    run.healthy = chain.arrived(healthy, 0)  # judged by now, for they came first
    run.shares = chain.shares()
    chain.jaeger.kill()
    jaeger_away = chain.send()
    chain.decided(3 * TRACES)
    for gateway in chain.gateways:
        gateway.kill()
    run.gateways = False
    gateways_away = chain.send()
    chain.agent.kill()
    for each in (chain.jaeger, *chain.gateways, chain.agent):
        each.again()
    run.kept = chain.arrived(before, 1)
    if run.kept < 2 * TRACES:
        return
    run.jaeger_away = chain.arrived(jaeger_away, 4)
    if run.jaeger_away < 2 * TRACES:
        return
    run.gateways_away = chain.arrived(gateways_away, 5)
    if checkpoint.showing:
        undecided(chain)
        late(chain)


def undecided(chain) -> None:
    """What the page says of a gateway that is ended before it has decided: TERM loses nothing, kill -9 all that waited."""
    for end, arrive in ((lambda gateway: gateway.process.terminate(), 2 * TRACES), (lambda gateway: gateway.kill(), 0)):
        received = sum(chain.shares())
        sent = chain.send()
        chain.jaeger.until(lambda r=received: sum(chain.shares()) >= r + 2 * TRACES, 4)
        for gateway in chain.gateways:
            end(gateway)
            gateway.process.wait(5)
            gateway.again()
        found = chain.arrived(sent, 3 if arrive else 1)
        assert found == arrive if arrive else found < 2 * TRACES, found


def late(chain) -> None:
    """What the page says of spans that come after the decision: that they have failed saves neither them nor their traces."""
    enough = chain.decisions() + TRACES
    found = chain.arrived(chain.send(between=lambda: chain.decided(enough)), 1.5)
    assert found < TRACES, found


@pytest.mark.before("collector-unconfigured")
def test_no_accepted_span_is_lost_on_the_way(checkpoint):
    run, all_of = checkpoint.shared(killed), 2 * TRACES
    checkpoint.must(
        not run.refused,
        "agent-takes-nothing" if run.gateways else "agent-holds-up",
        seen=f"the agent has not accepted what it was sent by OTLP over HTTP, at port 5318: {run.refused.rpartition(': ')[2]}"
        if run.gateways
        else "while the gateways were away, the agent accepted nothing",
        expected="spans that it accepts, and keeps while the gateways are away",
        why="apps send to port 5318, where the agent takes them"
        if run.gateways
        else "without a queue this exporter tries again while the app waits",
        do=""
        if run.gateways
        else "`sending_queue: {storage: file_storage}` directly below load_balancing in src/otel/agent.yaml",
        behind=run.behind if run.gateways else None,
    )
    checkpoint.must(
        run.quiet == all_of,
        "traces-torn" if run.quiet else "not-passed-on",
        seen=f"{TRACES} traces of 2 spans were sent, one half after the other, each with a span that failed; Jaeger has {run.quiet} spans",
        expected=f"{all_of}",
        why="a gateway judges what it has; a half that went to the other one is judged without the failure, and thrown away"
        if run.quiet
        else "the agent sends to the gateways, and they to Jaeger after `decision_wait`, for which the check waits four seconds",
        do="`routing_key: traceID` in src/otel/agent.yaml, and `decision_wait` long enough" if run.quiet else "",
        behind=run.behind,
    )
    checkpoint.must(
        run.healthy < all_of,
        "nothing-thrown-away",
        seen=f"{TRACES} traces in which nothing failed were sent as well, and all of them are in Jaeger",
        expected="about a tenth of them",
        why="a processor judges only in a pipeline that names it",
        do="`processors: [tail_sampling]` in the pipeline of traces in src/otel/gateway.yaml, and its policies as on the page",
    )
    checkpoint.must(
        all(run.shares) or not any(run.shares),
        "one-gateway",
        seen=f"of {sum(run.shares):g} spans the gateways got {' and '.join(f'{share:g}' for share in run.shares)}",
        expected="a part for each",
        why="the load of one machine is what a second one is there for",
        do="both gateways in `hostnames`, in src/otel/agent.yaml",
    )
    checkpoint.must(
        run.kept == all_of,
        "traces-forgotten",
        seen=f"Jaeger was killed and started again, and has {run.kept} of the {all_of} spans that it had",
        expected="all",
        why="what is in memory ends with its process",
        do="`badger` with `ephemeral: false` in src/otel/jaeger.yaml",
    )
    checkpoint.must(
        run.jaeger_away == all_of,
        "gateway-lost",
        seen=f"Jaeger was away, and the gateways were killed: {run.jaeger_away} of {all_of} accepted spans arrived",
        expected="all",
        why="a queue in memory ends with its process, and an exporter that gives up throws away",
        do="`sending_queue: {storage: file_storage}` and `max_elapsed_time: 0` in src/otel/gateway.yaml",
    )
    checkpoint.must(
        run.gateways_away == all_of,
        "agent-lost",
        seen=f"the gateways were away, and the agent was killed: {run.gateways_away} of {all_of} accepted spans arrived",
        expected="all",
        why="this exporter has no queue on the disk unless it is given one, and does not try again unless `enabled: true` says so",
        do="`sending_queue: {storage: file_storage}` and `retry_on_failure: {enabled: true, max_elapsed_time: 0}` directly below "
        "load_balancing in src/otel/agent.yaml",
    )
    checkpoint.note(f"kill -9 of Jaeger, both gateways and the agent: {3 * all_of} of {3 * all_of} accepted spans arrived")
