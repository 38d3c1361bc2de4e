"""Spans, metrics and log records as they are read from what an app really printed."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import datetime, timezone

import pytest

from workshop.checks.checkpoint import OBSERVE
from workshop.checks.observe.workshop_observe import keep_whole
from workshop.checks.process import environment
from workshop.diagnosis import facts
from workshop.setup.ports import free_port
from workshop.telemetry.console import read_console, read_lines, unfolded
from workshop.telemetry.metrics import current
from workshop.telemetry.spans import Link

APP = """
from flask import Flask
from opentelemetry import trace
from opentelemetry._logs import get_logger

app = Flask(__name__)
tracer = trace.get_tracer("shop")


@app.get("/")
def home():
    with tracer.start_as_current_span("count 5 €", kind=trace.SpanKind.CLIENT) as span:
        span.set_attributes({"shop.name": "Café", "shop.open": True, "shop.tags": ["a", "b"]})
        span.add_event("counted", {"items": 5})
        print('{"level": "info", "kind": "of log", "message": "of the app itself"}')
        print("{ not JSON at all")
        get_logger("shop").emit(body="almost empty", severity_text="WARN")
    return "ok"


@app.get("/fail")
def fail():
    raise RuntimeError("no more tea")


@app.get("/linked")
def linked():
    here = trace.get_current_span().get_span_context()
    nowhere = trace.set_span_in_context(trace.INVALID_SPAN)
    with tracer.start_as_current_span("follow up", links=[trace.Link(here)], context=nowhere):
        return "ok"
"""
COMMAND = (
    "opentelemetry-instrument --traces_exporter console --metrics_exporter console --logs_exporter console"
    " --service_name shop flask --app shop run -p {port}"
)
SENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a small app prints under the agent: it is asked four times, then stopped with Ctrl-C."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(APP, encoding="utf-8")
    port = free_port()
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            COMMAND.format(port=port).split(),
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        ask(f"http://127.0.0.1:{port}/", process, {"traceparent": f"00-{SENT[0]}-{SENT[1]}-01"})
        for path in ("/fail", "/linked", "/nowhere"):
            ask(f"http://127.0.0.1:{port}{path}", process)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return (folder / "out").read_text(encoding="utf-8")


def ask(url: str, process: subprocess.Popen, headers: dict[str, str] | None = None) -> None:
    """Send a request, again and again until the app listens."""
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=10).close()
            return
        except urllib.error.HTTPError as answered:
            answered.close()
            return
        except OSError:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
            assert process.poll() is None and time.monotonic() < deadline, "the app never listened"


def by_name(text: str) -> dict:
    return {span.name: span for span in read_console(text).spans}


def test_each_span_that_the_app_printed_is_read(printed):
    spans = by_name(printed)
    assert set(spans) == {"GET /", "count 5 €", "GET /fail", "GET /linked", "follow up", "GET /nowhere"}
    assert {name: span.kind for name, span in spans.items()} == {
        "GET /": "server",
        "count 5 €": "client",
        "GET /fail": "server",
        "GET /linked": "server",
        "follow up": "internal",
        "GET /nowhere": "server",
    }
    assert all(span.service == "shop" for span in spans.values())


def test_ids_are_bare_and_tell_who_is_whose_child(printed):
    spans = by_name(printed)
    home, count = spans["GET /"], spans["count 5 €"]
    assert (home.trace_id, home.parent_id) == SENT
    assert (count.trace_id, count.parent_id) == (home.trace_id, home.span_id)
    assert spans["GET /fail"].parent_id is None
    assert all(len(span.trace_id) == 32 and len(span.span_id) == 16 for span in spans.values())
    linked = spans["GET /linked"]
    assert spans["follow up"].links == (Link(linked.trace_id, linked.span_id),)
    assert spans["follow up"].trace_id != linked.trace_id


def test_times_are_nanoseconds_and_children_lie_within_their_parents(printed):
    spans = by_name(printed)
    home, count = spans["GET /"], spans["count 5 €"]
    assert home.start_ns <= count.start_ns < count.end_ns <= home.end_ns
    assert 0 < home.duration_ms < 60_000
    assert home.duration_ms == (home.end_ns - home.start_ns) / 1e6
    ago = datetime.now(timezone.utc) - datetime.fromtimestamp(home.end_ns / 1e9, timezone.utc)
    assert 0 <= ago.total_seconds() < 600


def test_status_attributes_and_events_are_kept(printed):
    spans = by_name(printed)
    failed, count = spans["GET /fail"], spans["count 5 €"]
    assert (failed.status, failed.status_text) == ("ERROR", "RuntimeError: no more tea")
    assert [event.name for event in failed.events] == ["exception"]
    assert failed.events[0].attributes["exception.message"] == "no more tea"
    assert failed.start_ns <= failed.events[0].time_ns <= failed.end_ns
    assert (count.status, count.status_text) == ("UNSET", "")
    assert count.attributes == {"shop.name": "Café", "shop.open": True, "shop.tags": ["a", "b"]}
    assert count.events[0].attributes == {"items": 5}
    assert spans["GET /nowhere"].attributes["http.status_code"] == 404


def test_metrics_and_logs_are_told_from_spans_and_from_the_apps_own_json(printed):
    console = read_console(printed)
    [durations] = current(console.metrics, "http.server.duration")
    assert (durations.kind, durations.unit, durations.temporality) == ("histogram", "ms", "cumulative")
    assert durations.resource["service.name"] == "shop"
    assert sum(point.count for point in durations.points) == 4
    assert [point.count for point in durations.points_with({"http.target": "/"})] == [1]
    [log] = console.logs
    assert (log.body, log.severity, log.service) == ("almost empty", "WARN", "shop")
    count = by_name(printed)["count 5 €"]
    assert (log.trace_id, log.span_id) == (count.trace_id, count.span_id)
    assert count.start_ns <= log.observed_ns <= count.end_ns
    own = [value for _, value in console.objects if value.get("kind") == "of log"]
    assert own == [{"level": "info", "kind": "of log", "message": "of the app itself"}]


def test_each_object_is_given_with_its_text_as_it_was_printed(printed):
    console = read_console(printed)
    assert all(text in printed and text.startswith("{") and text.endswith("}") for text, _ in console.objects)
    assert "{ not JSON at all" in printed
    assert [text.splitlines()[0] for text, value in console.objects if "context" in value] == ["{"] * 6


def test_log_lines_between_objects_do_not_matter(printed):
    mixed = printed.replace("\n{\n", '\n127.0.0.1 - - "GET / HTTP/1.1" 200 -\n{"half": \n{\n')
    assert by_name(mixed) == by_name(printed)


def test_an_object_that_is_cut_off_is_left_alone_and_the_rest_is_read(printed):
    spans = read_console(printed).spans
    last = [text for text, value in read_console(printed).objects if "context" in value][-1]
    cut = printed[: printed.index(last) + len(last) - 3]
    assert read_console(cut).spans == spans[:-1]
    assert read_console(last[:-40] + "\n" + printed).spans == spans


def test_colors_and_line_ends_do_not_matter(printed):
    colored = "".join(f"\x1b[31m{line}\x1b[0m\n" for line in printed.splitlines())
    assert by_name(colored) == by_name(printed)
    assert "\x1b" not in read_console(colored).text
    assert by_name(printed.replace("\n", "\r\n")) == by_name(printed)


@pytest.mark.parametrize("text", ["", "{", "{}\n", "{ }\n", '{"kind": 5}\n', '{"kind": "SERVER", "context": "c"}\n', "}{\n"])
def test_what_is_no_span_is_none(text):
    console = read_console(text)
    assert (console.spans, console.metrics, console.logs) == ([], [], [])


@pytest.mark.parametrize("lost", ["context", "explicit_bounds", "resource_metrics", "observed_timestamp", "data_points"])
def test_an_object_that_two_processes_have_torn_is_left_alone(printed, lost):
    def told(text):
        console = read_console(text)
        return [console.spans, console.metrics, console.logs]

    whole, torn = told(printed), told(re.sub(f'"{lost}"', '"torn"', printed, count=1) + printed)
    assert all(items[-len(of_whole) :] == of_whole for items, of_whole in zip(torn, whole))
    assert sum(map(len, torn)) < 2 * sum(map(len, whole))


@pytest.mark.parametrize("between", [1, 3])
def test_an_object_that_left_in_pieces_is_read_and_so_are_those_between_them(printed, between):
    objects = read_console(printed).objects
    spans = [text for text, value in objects if "context" in value]
    others, long = "".join(f"{text}\n" for text in spans[:between]), spans[-1]
    for at in range(1, len(long), 5):
        found = read_console(f"{printed}{long[:at]}{others}{long[at:]}\n{printed}").objects
        assert sorted(text for text, _ in found) == sorted([*(text for text, _ in 2 * objects), *spans[:between], long]), long[
            :at
        ]


def test_an_object_that_left_in_three_pieces_is_read(printed):
    first, second, *_, long = [text for text, value in read_console(printed).objects if "context" in value]
    torn = f"{long[:30]}{first}\n{long[30:90]}{second}\n{long[90:]}\n"
    assert [text for text, _ in read_console(torn).objects] == [first, second, long]


class Slow(io.RawIOBase):
    """A pipe whose reader takes its time: a first write begins, and ends when the test says so."""

    def __init__(self):
        self.got, self.begun, self.go = b"", threading.Event(), threading.Event()

    def writable(self) -> bool:
        return True

    def write(self, text) -> int:
        self.got += bytes(text)
        self.begun.set()
        assert self.go.wait(10)
        return len(text)


def test_what_one_thread_prints_while_anothers_text_goes_out_is_not_lost():
    stream = io.TextIOWrapper(slow := Slow())
    keep_whole(stream)
    stream.write("a" * 5000)
    other = threading.Thread(target=stream.write, args=["b" * 5000])  # more than the chunk of 8,192 has room for
    out = threading.Thread(target=stream.flush)
    other.start()
    while other.is_alive() and not slow.begun.wait(0.01):
        pass
    out.start()
    assert slow.begun.wait(10)
    stream.write("c" * 100)
    slow.go.set()
    for thread in (other, out):
        thread.join()
    stream.flush()
    assert {letter: slow.got.count(letter.encode()) for letter in "abc"} == {"a": 5000, "b": 5000, "c": 100}


def test_nothing_that_an_app_under_check_prints_is_lost(tmp_path):
    env = {**environment(), "PYTHONPATH": str(OBSERVE), "WORKSHOP_HELD": str(tmp_path / "held.jsonl")}
    told = subprocess.run(
        [sys.executable, "-c", "import sys; print(sys.stdout._CHUNK_SIZE)"], env=env, capture_output=True, text=True
    )
    assert int(told.stdout) == sys.maxsize, told.stderr


LINES = """\
 * Debug mode: off
{"message": "GET / 200", "level": "INFO", "time": "2026-11-27T02:33:01.5+00:00", "trace_id": "ab", "span_id": "cd", "n": 7}
{"level": "ERROR", "message": "it failed", "exception": "Traceback (most recent call last):\\n  File \\"src/a.py\\", line 3\\nOops"}
{"no message": 1}
[1]
{broken
{"message": "when?", "time": "yesterday"}
"""


def test_lines_of_json_are_log_records_whatever_else_they_hold():
    answer, failed, undated = read_lines(LINES)
    assert (answer.body, answer.severity, answer.trace_id, answer.span_id) == ("GET / 200", "INFO", "ab", "cd")
    assert answer.attributes == {"n": 7} and answer.time_ns % 10**9 == 5 * 10**8
    assert failed.body == "it failed" and failed.trace_id == "" and list(failed.attributes) == ["exception"]
    assert undated.time_ns == 0


def test_a_stack_trace_in_a_line_of_json_is_read_as_one_that_was_printed():
    told = unfolded(LINES)
    assert '\nit failed\nTraceback (most recent call last):\n  File "src/a.py", line 3\nOops\n{"no message": 1}\n' in told
    assert told.startswith(" * Debug mode: off\nGET / 200\n") and facts.frame(told) == "src/a.py:3"
    assert unfolded("no JSON\n") == "no JSON\n"
