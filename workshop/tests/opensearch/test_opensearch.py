"""The whole picture of lesson 300/900/500 with OpenSearch behind it: what is killed, for how long, and how many spans are found."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from workshop.checks.beside import Beside
from workshop.checks.checkpoint import Checkpoint
from workshop.checks.sandbox import END
from workshop.course import lessons
from workshop.dev.opensearch import OPENSEARCH, jars, opensearch
from workshop.telemetry.waterfall import by_trace

LESSON = lessons.find("300/900/500")
AWAY = 10  # seconds
PATIENCE = 30
SENT = "otelcol_exporter_sent_spans"
BEGUN, JUDGED = (f"otelcol_processor_tail_sampling_{name}" for name in ("new_trace_id_received", "global_count_traces_sampled"))


@pytest.fixture(scope="module")
def scale():
    """The lesson's own test, which starts the way of the traces and counts what arrives."""
    return lessons.load(LESSON.folder / "test_scale.py")


@pytest.fixture(scope="module")
def picture(scale, tmp_path_factory) -> Iterator[tuple]:
    """The lesson's checkpoint, its agent, gateways and Jaeger on the files of its end, and the OpenSearch behind them."""
    jars()  # apart, for its time is not the store's
    with ExitStack() as stack:
        begun = time.monotonic()
        store = stack.enter_context(opensearch())
        print(f"{OPENSEARCH}: ready in {time.monotonic() - begun:.1f} s")
        checkpoint = Checkpoint(LESSON, END, tmp_path_factory.mktemp("scale"), Beside(True).program)
        checkpoint.sandbox.own_ports |= {OPENSEARCH.numbers["http"]: store.ports["http"]}
        yield checkpoint, scale.Chain(checkpoint, stack.enter_context, "scale/jaeger-opensearch.yaml"), store


def settled(chain, traces: int) -> bool:
    """Whether the gateways have judged all that they have, at least so many traces."""
    judged, begun = (sum(chain.counted(name)) for name in (JUDGED, BEGUN))
    return judged == begun >= traces


def test_whatever_is_killed_each_accepted_span_is_found(picture):
    checkpoint, chain, store = picture
    sent, asked = chain.send(), []
    with ExitStack() as stack:
        # Its data lie apart: where all is root's, a user of its own must get there, and pytest closes its folders to others.
        checkpoint.environment["POSTGRES_DATA"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="workshop-postgres-"))
        stack.callback(checkpoint.run, "python -W ignore database.py stop")
        app = stack.enter_context(checkpoint.serve("sh scale.sh"))
        ask = lambda: asked.append(app.get("/").agent)  # noqa: E731
        ask()
        assert chain.arrived(sent, PATIENCE) == 2 * len(sent)

        chain.jaeger.kill()
        ask()
        sent |= chain.send()
        assert chain.jaeger.until(lambda: settled(chain, len(sent)), PATIENCE)
        for gateway in chain.gateways:
            gateway.kill()
        sent |= chain.send()
        chain.agent.kill()
        for each in (chain.jaeger, *chain.gateways, chain.agent):
            each.again()
        assert chain.arrived(sent, PATIENCE) == 2 * len(sent)

        sent |= chain.send()
        store.kill()
        for _ in range(AWAY):
            second = time.monotonic() + 1
            ask()
            sent |= chain.send()
            app.until(lambda second=second: time.monotonic() >= second, 1)
        store.again()
    accepted, begun = 2 * len(sent), time.monotonic()
    found = chain.arrived(sent, PATIENCE)
    print(f"{found:,} of {accepted:,} accepted spans found, {time.monotonic() - begun:.0f} s after the store's return")
    assert found == accepted
    assert f"{found:,} of {accepted:,} accepted spans" in " ".join(
        (LESSON.folder / "README.md").read_text(encoding="utf-8").split()
    )

    def sizes() -> list[int]:
        """How many spans each request of the app has."""
        found = by_trace(chain.jaeger.traces("todo")).values()
        known = {span.user_agent: len(trace) for trace in found for span in trace if span.kind == "server"}
        return [known.get(agent, 0) for agent in asked]

    assert chain.jaeger.until(lambda: len(set(sizes())) == 1 and all(sizes()), PATIENCE), sizes()
    spans = sizes()[0]
    documents = store.json("/todo-jaeger-span-*/_count")["count"]
    print(f"{len(asked)} of {len(asked)} requests of the app found, {spans} spans each; {documents:,} documents in the store")
    assert documents >= accepted + len(asked) * spans
    for each in (store, chain.jaeger):
        print(f"{each.program}: {psutil.Process(each.process.pid).memory_info().rss / 1e6:.0f} MB")


def test_what_jaeger_has_taken_and_not_written_is_lost_by_kill_and_not_by_term(picture):
    _, chain, store = picture
    total = lambda: sum(chain.counted(SENT))  # noqa: E731
    before, sent = total(), chain.send()
    assert chain.jaeger.until(lambda: total() == before + 2 * len(sent), PATIENCE)
    chain.jaeger.process.terminate()
    chain.jaeger.process.wait()
    chain.jaeger.again()
    assert chain.arrived(sent, PATIENCE) == 2 * len(sent)

    store.hang()
    before, sent = total(), chain.send()
    assert chain.jaeger.until(lambda: total() > before, PATIENCE)
    chain.jaeger.kill()
    taken = total() - before
    store.kill()
    for each in (store, chain.jaeger):
        each.again()
    found = chain.arrived(sent, 10)
    print(f"Jaeger killed while the store hangs: {found} of {2 * len(sent)} found, for it had taken {taken:.0f}")
    assert found == 2 * len(sent) - taken
