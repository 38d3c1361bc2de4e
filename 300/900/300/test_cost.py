"""Each mode sends what its row of the table says, counted and not timed, and the queue has room for what must wait in it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from workshop.checks.app import App
from workshop.checks.fake_server import FakeServer, refuse
from workshop.checks.sandbox import OTLP_HTTP
from workshop.diagnosis.arrival import ROAD
from workshop.diagnosis.spans import SPANS
from workshop.scenarios import cost
from workshop.telemetry.otlp import Telemetry

SERVED = "sh modes.sh $MODE"
AGENT = {"agent", "console", "otlp", "all"}
TRACES_SENT = {"code", "simple", "otlp", "all"}
A_SECOND, ASKED = 50 * 5, 40
# A batch that finds nobody is tried five times more; each wait is twice the one before, give or take a fifth. After 20 seconds without
# a backend the last of them may be the one that arrives.
LAST_TRY = 1.2 * (1 + 2 + 4 + 8 + 16)
DEFAULT_QUEUE, DEFAULT_TIMEOUT = 2048, 10


@dataclass
class Served:
    """A mode's run: its app, whether the agent has started it, what exports its spans if a variable says so, the size of its queue, for how many seconds a batch is tried, what a
    backend got, and with how many requests it got the spans."""

    app: App
    agent: bool
    exporter: str
    queue: int
    timeout: float
    stored: Telemetry
    posts: int


def serve(checkpoint, mode: str) -> Served:
    there = checkpoint.beside(mode)
    there.environment["MODE"] = mode
    there.environment["OTEL_METRIC_EXPORT_INTERVAL"] = "60000"
    there.environment["OTEL_EXPORTER_OTLP_TIMEOUT"] = f"{DEFAULT_TIMEOUT}"
    with FakeServer(port=there.sandbox.own_ports[OTLP_HTTP]) as backend, there.serve(SERVED) as app:
        for _ in range(3):
            app.get("/", headers={"Connection": "close"})
        agent, variables = app.under_agent, app.variables
        app.terminate()
    queue = int(variables.get("OTEL_BSP_MAX_QUEUE_SIZE", DEFAULT_QUEUE))
    timeout = float(variables.get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") or variables["OTEL_EXPORTER_OTLP_TIMEOUT"])
    return Served(
        app,
        agent,
        variables.get("OTEL_TRACES_EXPORTER", ""),
        queue,
        timeout,
        backend.stored,
        sum(request.signal == "traces" for request in backend.requests),
    )


def all_signals(checkpoint) -> Served:
    return serve(checkpoint, "all")


def other_modes(checkpoint) -> dict[str, Served]:
    """The other modes, some at the same time."""
    modes = [mode for mode in cost.MODES if mode != "all"]
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(modes, pool.map(lambda mode: serve(checkpoint, mode), modes), strict=True))


@pytest.mark.before("no-run-file")
def test_nothing_is_lost_in_twenty_seconds(checkpoint):
    run = checkpoint.shared(all_signals)
    checkpoint.must(
        run.stored.spans or run.exporter != "none",
        "wrong-mode",
        seen="mode all: the app runs with OTEL_TRACES_EXPORTER=none, and sends nothing",
        expected="three signals, sent",
        why="a row of the table is only worth what it measures",
        do="write the branch `all)` in src/modes.sh, with all its lines, and `;;` at its end",
    )
    run.app.require(*ROAD, SPANS, spans=run.stored.spans, stored=run.stored.spans)
    least, most = round(A_SECOND * LAST_TRY), 10 * A_SECOND * ASKED
    checkpoint.must(
        least <= run.queue <= most,
        "queue-too-small" if run.queue < least else "queue-too-large",
        seen=f"in mode all the app has a queue of {run.queue} spans",
        expected=f"{A_SECOND * ASKED}; at least {least} and at most {most}",
        why="while a backend is away all spans wait in it, and the oldest are lost when it is full; this is your own step of the lesson",
        do="`export OTEL_BSP_MAX_QUEUE_SIZE=…` for mode all in src/modes.sh",
    )
    checkpoint.must(
        LAST_TRY <= run.timeout <= 10 * ASKED,
        "batch-given-up" if run.timeout < LAST_TRY else "timeout-too-long",
        seen=f"in mode all a batch is tried for {run.timeout:g} seconds",
        expected=f"{ASKED} seconds",
        why="it is tried again after about 1, 3, 7, 15 and 31 seconds, and a backend that is away for 20 may have only the last of them; "
        "a batch that is given up is lost, whatever room the queue has; this is your own step of the lesson"
        if run.timeout < LAST_TRY
        else "Python reads seconds, not milliseconds; a backend that accepts and never answers holds up all batches for so long",
        do=f"`export OTEL_EXPORTER_OTLP_TIMEOUT={ASKED}` for mode all in src/modes.sh",
    )
    if checkpoint.showing:
        # No wait is as short as half a second, and after the sixth refusal no second of patience helps.
        assert [tries(0.5), tries(ASKED, Retry_After="0")] == [1, 6]
        own = {metric.name.removeprefix("otel.sdk.processor.span.") for metric in run.stored.metrics}
        assert "queue.size" in own and "queue.capacity" not in own  # as the page says of the agent
        show(checkpoint)


def tries(timeout: float, **headers: str) -> int:
    """How often a batch is sent to a backend that refuses it."""
    with FakeServer(refuse(503, **headers)) as backend:
        OTLPSpanExporter(backend.url, timeout=timeout).export([])
    return len(backend.requests)


@pytest.mark.before("no-run-file")
def test_each_mode_sends_what_its_row_says(checkpoint):
    runs = {**checkpoint.shared(other_modes), "all": checkpoint.shared(all_signals)}
    for mode, run in runs.items():
        told, sent = run.app.spans, run.stored.spans
        checkpoint.must(
            run.agent == (mode in AGENT),
            "wrong-start",
            seen=f"mode {mode} runs {'under' if run.agent else 'without'} the agent",
            expected=f"{'under' if mode in AGENT else 'without'} it",
            why="a row of the table is only worth what it measures",
        )
        watched = told if mode == "console" else sent
        if mode in TRACES_SENT | {"console"}:
            run.app.require(*ROAD, SPANS, spans=watched, stored=watched)
        others = {"metrics": run.stored.metrics, "logs": run.stored.logs}
        extra = [name for name, found in others.items() if bool(found) != (mode == "all")]
        extra += ["traces"] if bool(sent) != (mode in TRACES_SENT) else []
        extra += ["the console"] if bool(told) != (mode == "console") else []
        checkpoint.must(
            not extra,
            "wrong-mode",
            seen=f"mode {mode}: {', '.join(extra)} is not as the table says; {len(sent)} spans, {len(others['metrics'])} metrics and "
            f"{len(others['logs'])} log records were sent, {len(told)} spans printed",
            expected="off and agent send nothing, console prints, all sends three signals, the others send spans",
            why="a row of the table is only worth what it measures",
        )
        if mode not in TRACES_SENT:
            continue
        checkpoint.must(
            (run.posts == len(sent)) == (mode == "simple"),
            "wrong-processor",
            seen=f"mode {mode}: {len(sent)} spans came in {run.posts} requests to the backend",
            expected="one request for each span" if mode == "simple" else "many spans in one request",
            why="simple sends each span by itself, batch many together",
        )


def show(checkpoint):
    """What the page shows: the kept table and its picture, a full queue, and one that is smaller than a batch."""
    root, folder = checkpoint.lesson.root, checkpoint.lesson.folder
    checkpoint.run("workshop cost --read", folder=root)
    checkpoint.run("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED")
    checkpoint.run("OTEL_BSP_MAX_QUEUE_SIZE=256")
    table = cost.Table.read(folder / "measured.json")
    assert (folder / "cost.svg").read_text(encoding="utf-8") == cost.svg(table)
    assert [row.mode for row in table.rows] == list(cost.MODES)
