"""`make bench`: the figures that are promised, measured on this machine. A table and no test: time has no place in asserts."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

from playwright.sync_api import Browser

from workshop.checks import ingestion
from workshop.checks.beside import Beside
from workshop.checks.checkpoint import SERVES, Checkpoint
from workshop.checks.fake_server import FakeServer, accept
from workshop.checks.process import FAST_EXPORT, environment
from workshop.course import lessons
from workshop.course.faults import faults
from workshop.course.fences import ROOT
from workshop.course.replay import replay
from workshop.diagnosis.facts import Broken
from workshop.examine import examination, subject
from workshop.programs.lifecycle import port_settings
from workshop.scenarios import cost, incident, traffic
from workshop.site import slides
from workshop.site.__main__ import QUIET
from workshop.site.browser import chromium, served
from workshop.tests.learner import Learner

RUNS = 5
# Visits that import and connect, then those whose p99 counts: the slowest six of 600.
FIRST, READERS = (traffic.plan(30, seconds, mix={"reader": 1}) for seconds in (2, 20))
FLOOR = Path(__file__).with_name("floor.py")
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
OPENED = "window.Reveal?.isReady() && performance.now()"


def main() -> None:
    """Measure everything and print the table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="workshop-bench-") as folder:
        place = Path(folder)
        for tool in ["with uv", "without uv"] if shutil.which("uv") else ["without uv"]:
            rows += from_clone(place / "clone", tool)
            shutil.rmtree(place / "clone")
        rows += checks()
        rows += the_map(place)
        rows += memory()
        rows += programs_and_trouble(place / "programs")
        rows += hanging_backends(place / "backends")
        rows += examined(place / "examined")
        rows += an_incident(place / "incident")
        rows += what_telemetry_costs()
        rows += whole_checks(place)
    show(rows + of_site())


def from_clone(place: Path, tool: str) -> list[tuple[str, str, str]]:
    """From `git clone` to the first green console check, and to the end of `make demo`, with warm caches."""
    env = environment()
    env["PATH"] = os.pathsep.join(
        folder for folder in env["PATH"].split(os.pathsep)[1:] if tool == "with uv" or not (Path(folder) / "uv").exists()
    )
    # As in an active environment.
    env["PATH"] = os.pathsep.join([str(place / ".venv" / "bin"), env["PATH"]])
    env["VIRTUAL_ENV"] = str(place / ".venv")
    begun = time.monotonic()
    run(["git", "clone", "--quiet", str(ROOT), str(place)], ROOT, env)
    run(["make", "install"], place, env)
    run([".venv/bin/workshop", "solve", "300/300/100"], place, env)
    run([".venv/bin/workshop", "check", "300/300/100"], place, env)
    first = time.monotonic() - begun
    shutil.rmtree(place)
    begun = time.monotonic()
    run(["git", "clone", "--quiet", str(ROOT), str(place)], ROOT, env)
    run(["make", "demo"], place, env)
    demo = time.monotonic() - begun
    return [
        (f"clone to the first green console check, {tool}", f"{first:.1f} s", {"with uv": "7 s", "without uv": "12 s"}[tool]),
        (f"clone to the end of make demo, {tool}, Jaeger cached", f"{demo:.1f} s", "60 s"),
    ]


def checks() -> list[tuple[str, str, str]]:
    """One console check against an empty pytest around its floor, one Jaeger check against the console check, a red one."""
    console_test = "300/300/100/test_first_span.py::test_a_request_that_carries_a_trace_continues_it"
    jaeger_test = "300/300/300/test_in_jaeger.py::test_a_request_that_carries_a_trace_continues_it_in_jaeger"
    floor = seconds(pytest_of(str(FLOOR)))
    console = seconds(pytest_of("--at", "end", console_test))
    jaeger = seconds(pytest_of("--at", "end", jaeger_test))
    red = seconds(pytest_of("--at", "start", console_test))
    return [
        ("an empty pytest around the floor of a console check", f"{floor:.2f} s", ""),
        ("one console check", f"{console:.2f} s, {console / floor:.2f} × the floor", "1.10 ×"),
        (
            "one Jaeger check, its Jaeger started with it",
            f"{jaeger:.2f} s, {jaeger / console:.2f} × the console check",
            "1.2 ×",
        ),
        ("a red check", f"{red:.2f} s", "3 s"),
    ]


def the_map(place: Path) -> list[tuple[str, str, str]]:
    """The `workshop` command in a clone that has fifty lessons."""
    clone = place / "fifty"
    run(["git", "clone", "--quiet", str(ROOT), str(clone)], ROOT, environment())
    have = len(list(clone.glob("[1-4]00/**/README.md")))
    for number in range(max(0, 50 - have)):
        shutil.copytree(clone / "300/300/100", clone / f"300/950/{number + 100}")
    (clone / "300/950").mkdir(exist_ok=True)
    (clone / "300/950/README.md").write_text("# Many more\n", encoding="utf-8")
    env = {**environment(), "PYTHONPATH": str(clone)}
    took = seconds(lambda: run([sys.executable, "-m", "workshop.cli"], clone, env))
    return [("the map of fifty lessons", f"{took:.2f} s", "0.2 s")]


def programs_and_trouble(place: Path) -> list[tuple[str, str, str]]:
    """All programs together, and what users notice of a Collector in trouble: the finished app behind one, asked by readers.

    They wait for the p99 of three times 20 seconds; then 200 readers a second come to a sink, which takes no time of the traffic's."""
    import psutil

    beside = Beside(bring=True)
    checkpoint = Checkpoint(lessons.find("300/700/100"), "end", place, beside.program)
    begun = time.monotonic()
    behind = [beside.program(name) for name in ("jaeger", "prometheus", "logs")]
    try:
        with checkpoint.start("collector") as collector:
            together = time.monotonic() - begun
            with checkpoint.serve(jaeger=True) as app:
                traffic.send(app.url, FIRST)
                usual = traffic.send(app.url, READERS).latency(99)
                used = sum(psutil.Process(one.process.pid).memory_info().rss for one in [*behind, collector])
                used += sum(process.memory_info().rss for process in app.processes())
                collector.hang()
                hanging = traffic.send(app.url, READERS).latency(99)
                collector.kill()
                killed = traffic.send(app.url, READERS).latency(99)
    finally:
        beside.stop()
    with cost.sink() as port:
        visits = ["--rate", "200", "--seconds", "10", "--mix", "reader=1", "--url", f"http://127.0.0.1:{port}", "--json"]
        told = subprocess.run([sys.executable, "-m", "workshop.cli", "traffic", *visits], capture_output=True, check=True)
        late = json.loads(told.stdout)["late"]
    return [
        ("Jaeger, Prometheus, VictoriaLogs and the Collector, one after the other", f"{together:.1f} s", "2 s"),
        ("the four and the app, resident", f"{used / 1e6:.0f} MB", "400 MB"),
        ("the app's p99 with a Collector", f"{usual * 1000:.0f} ms", ""),
        ("the same, the Collector hangs", f"{hanging * 1000:.0f} ms, {hanging / usual:.2f} ×", "1.2 ×"),
        ("the same, the Collector was killed", f"{killed * 1000:.0f} ms, {killed / usual:.2f} ×", "1.2 ×"),
        ("workshop traffic, 200 visits a second: the latest was late by", f"{late * 1000:.0f} ms", "20 ms"),
    ]


def hanging_backends(place: Path) -> list[tuple[str, str, str]]:
    """What users notice when the backend of a company accepts and never answers; batches are as large and as rare as by default."""
    rows = []
    for name, lesson, command, port, take in (
        ("a backend with a key", "300/800/200", "sh cloud.sh", 5350, accept),
        ("Azure", "300/800/300", "sh azure.sh", 5324, ingestion.take),
        ("Elastic", "300/800/400", "sh elastic.sh", 5350, accept),
    ):
        checkpoint, hangs, p99 = Checkpoint(lessons.find(lesson), "end", place / name, lambda name: None), threading.Event(), []
        answer = lambda received, take=take, hangs=hangs: [15] if hangs.is_set() else take(received)  # noqa: E731
        for setting in FAST_EXPORT:
            checkpoint.environment.pop(setting, None)
        # Azure's exporter waits longer for an answer than a check waits after Ctrl-C.
        with suppress(Broken), FakeServer(answer) as backend:
            checkpoint.sandbox.own_ports[port] = backend.port
            (checkpoint.folder / "instance").mkdir(exist_ok=True)
            (checkpoint.folder / "instance/cloud.env").write_text("CLOUD_INSTANCE=1\nCLOUD_TOKEN=secret\n")
            with checkpoint.serve(command) as app:
                traffic.send(app.url, FIRST)
                p99.append(traffic.send(app.url, READERS).latency(99))
                hangs.set()
                p99.append(traffic.send(app.url, READERS).latency(99))
        usual, hanging = p99
        rows.append((f"the app's p99, {name} hangs", f"{hanging * 1000:.0f} ms, {hanging / usual:.2f} ×", "1.2 ×"))
    return rows


def what_telemetry_costs() -> list[tuple[str, str, str]]:
    """The finished app, served by gunicorn: of what one CPU serves without telemetry, what it serves with it; the better of two rounds."""
    make = lambda folder: Checkpoint(lessons.find("300/900/300"), "end", folder, lambda name: None)  # noqa: E731
    table = cost.measure(make, ["off", "otlp", "all"], rate=30, seconds=4, rounds=2)
    return [
        (
            "the app with traces, in batches, over OTLP, of what it serves without",
            f"{table.share('otlp'):.2f}",
            "at least 0.70",
        ),
        ("the app with all three signals, of what it serves without", f"{table.share('all'):.2f}", ""),
    ]


def memory() -> list[tuple[str, str, str]]:
    """Resident memory of the finished app under the agent and of Jaeger, after fifty requests."""
    import psutil

    from workshop.programs.jaeger import for_checks
    from workshop.scenarios.demo import finished_app

    with (
        tempfile.TemporaryDirectory() as folder,
        for_checks() as jaeger,
        finished_app(jaeger, Path(folder), beside=True) as app,
    ):
        for _ in range(50):
            app.get("/")
        used = sum(p.memory_info().rss for p in [psutil.Process(jaeger.process.pid), *app.processes()])
    return [("app and Jaeger together, resident", f"{used / 1e6:.0f} MB", "300 MB")]


def whole_checks(place: Path) -> list[tuple[str, str, str]]:
    """What a learner waits for: `workshop check` of each lesson that serves an app, on the lesson's end, in a clone.

    It is held against one start of an app with one request and a stop: the floor of a console check."""
    run(["git", "clone", "--quiet", str(ROOT), str(place / "learner")], ROOT, environment())
    learner, took, treated = Learner(place / "learner"), {}, []
    for lesson in lessons.lessons():
        if not any(SERVES.search(block.text) for block in lesson.blocks if block.kind == "command"):
            continue
        learner.installs_what_is_needed_for(lesson)
        learner.runs(f"workshop solve {lesson.name}")
        if faults(lesson):
            treated = clinic(learner, lesson)
            continue
        took[lesson.name] = seconds(lambda name=lesson.name: learner.runs(f"workshop check {name}"), 3)
    start = seconds(pytest_of(str(FLOOR)))
    found = treated
    for name, took_seconds in took.items():
        limit = "4 s" if name < "300/500" else "5 s"
        found.append((f"the whole check of {name}", f"{took_seconds:.2f} s, {took_seconds / start:.1f} starts", limit))
    half = statistics.median(took.values()) / start
    return [*found, ("half of them take at most so many starts of an app", f"{half:.2f} ×", "1.6 ×")]


def clinic(learner: Learner, lesson: lessons.Lesson) -> list[tuple[str, str, str]]:
    """One fault that everybody gets: it is put in, named and cured, and then the check looks at the whole app."""
    broken, checked = [], []
    for _ in range(3):
        (learner.clone / ".saved" / "clinic.json").unlink(missing_ok=True)
        begun = time.monotonic()
        learner.heals(lesson)
        cured = time.monotonic()
        learner.runs(f"workshop check {lesson.name}")
        broken.append(cured - begun)
        checked.append(time.monotonic() - cured)
    return [
        ("a fault is put in, and named", f"{statistics.median(broken):.2f} s", "4 s"),
        (f"the whole check of {lesson.name}", f"{statistics.median(checked):.2f} s", "4 s"),
    ]


def an_incident(place: Path) -> list[tuple[str, str, str]]:
    """The stores and the Collector started, and five minutes of an incident sent to them until all of it can be found."""
    beside, begun = Beside(bring=True), time.monotonic()
    place.mkdir()
    with patch.dict(os.environ):
        try:
            for name in incident.STORES:
                program = beside.program(name, ROOT / "src/otel/prometheus.yml" if name == "prometheus" else None)
                os.environ |= {key: str(port) for key, port in port_settings(program.program, program.ports).items()}
            incident.Desk(place).begin(1)
        finally:
            beside.stop()
    return [("an incident, with its stores", f"{time.monotonic() - begun:.1f} s", "15 s")]


def examined(place: Path) -> list[tuple[str, str, str]]:
    """`workshop examine` of the app of 300/300/100, against what the app itself takes to start, to answer the same and to stop."""
    for name, data in replay(lessons.find("300/300/100")).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    told = "--traces_exporter console --metrics_exporter none --logs_exporter none"
    plan, own = subject.Plan((f"opentelemetry-instrument {told} flask run -p 0",), place), []
    took = seconds(lambda: examination.examine(plan))
    for _ in range(RUNS):
        run = subject.run(plan, "http://127.0.0.1:4318")  # where it sends nothing
        own.append(run.start_seconds + run.stop_seconds + sum(asked.ended_ns - asked.begun_ns for asked in run.asked) / 1e9)
    return [("an app, examined", f"{took:.2f} s, {took / statistics.median(own):.2f} × the app alone", "1.5 ×")]


def of_site() -> list[tuple[str, str, str]]:
    """Seconds to build the site, to paint its longest lesson, to open a deck (medians); kilobytes of its heaviest page."""
    longest = max(lessons.lessons(), key=lambda lesson: lesson.readme.stat().st_size).name
    deck = slides.decks()[0].parent.name
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        site = Path(folder)
        built = statistics.median(_build(site) for _ in range(3))
        weight = max(map(_weight, site.rglob("index.html")))
        with served(site) as address:
            painted = _opened(browser, f"{address}/{longest}/", PAINTED)
            opened = _opened(browser, f"{address}/{deck}/slides/", OPENED)
    return [
        ("the site, built", f"{built:.1f} s", "5 s"),
        ("its heaviest page, compressed, without figures and search", f"{weight / 1000:.0f} kB", "90 kB"),
        ("the longest lesson, painted", f"{painted:.2f} s", "1 s"),
        ("a deck, opened", f"{opened:.2f} s", "2 s"),
    ]


def _build(site: Path) -> float:
    began = time.monotonic()
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "-f", ROOT / "mkdocs.yml", "-d", site]
    subprocess.run(command, check=True, env={**os.environ, **QUIET}, cwd=ROOT)
    return time.monotonic() - began


def _weight(page: Path) -> int:
    parts = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^":]+\.(?:js|css))"', page.read_text(encoding="utf-8"))
    return sum(len(gzip.compress(path.read_bytes())) for path in (page, *(page.parent / part for part in parts)))


def _opened(browser: Browser, address: str, moment: str) -> float:
    times = []
    for _ in range(RUNS):
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        times.append(page.wait_for_function(moment).json_value() / 1000)
        context.close()
    return statistics.median(times)


def pytest_of(*arguments: str) -> Callable[[], None]:
    # Where Python keeps what it compiles, as it does for a learner.
    env = {name: value for name, value in environment().items() if name != "PYTHONDONTWRITEBYTECODE"}
    return lambda: run([sys.executable, "-m", "pytest", "-q", *arguments], ROOT, env)


def seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """The median of several runs after one that warms up."""
    work()
    took = []
    for _ in range(runs):
        begun = time.monotonic()
        work()
        took.append(time.monotonic() - begun)
    return statistics.median(took)


def run(command: list[str], folder: Path, env: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def show(rows: list[tuple[str, str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "measured", "at most")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
