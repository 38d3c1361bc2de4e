"""`make bench`: the figures that are promised, measured on this machine. A table and no test: time has no place in asserts."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from workshop.checks.process import environment
from workshop.course.fences import ROOT

RUNS = 5
FLOOR = '''
import json, os, re, signal, socket, subprocess, time, urllib.request
from pathlib import Path
from workshop.course import lessons
from workshop.course.replay import replay

def test_floor(tmp_path):
    """The same app started, asked once, stopped, parsed; nothing of a check around it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name, data in replay(lessons.find("300/300/100")).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data.replace(b"5001", str(port).encode()))
    env = {**os.environ, "FLASK_SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/floor.db"}
    app = subprocess.Popen(["sh", "run.sh"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           start_new_session=True, text=True)
    said = ""
    while "Running on" not in said:
        said += app.stdout.readline()
    urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()
    os.killpg(app.pid, signal.SIGINT)
    said += app.stdout.read()
    assert "SpanKind.SERVER" in said and [json.JSONDecoder().raw_decode(said, m.start()) for m in re.finditer(r"^{", said, re.M)]
'''


def main() -> None:
    """Measure everything and print the table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="workshop-bench-") as folder:
        place = Path(folder)
        for tool in ["uv", "pip"] if shutil.which("uv") else ["pip"]:
            rows += from_clone(place / tool, tool)
        rows += checks(place)
        rows += the_map(place)
        rows += memory()
    from workshop.site import bench as site

    rows += site.rows()
    show(rows)


def from_clone(place: Path, tool: str) -> list[tuple[str, str, str]]:
    """From `git clone` to the first green console check, and to the end of `make demo`, with warm caches."""
    env = environment()
    env["PATH"] = os.pathsep.join(
        folder for folder in env["PATH"].split(os.pathsep)[1:] if tool == "uv" or not (Path(folder) / "uv").exists()
    )
    env.pop("VIRTUAL_ENV")
    begun = time.monotonic()
    run(["git", "clone", "--quiet", str(ROOT), str(place)], ROOT, env)
    run(["make", "install"], place, env)
    run([".venv/bin/workshop", "solve", "300/300/100"], place, env)
    run([".venv/bin/workshop", "check", "300/300/100"], place, env)
    first = time.monotonic() - begun
    limit = {"uv": "60 s", "pip": "90 s"}[tool]
    shutil.rmtree(place)
    begun = time.monotonic()
    run(["git", "clone", "--quiet", str(ROOT), str(place)], ROOT, env)
    run(["make", "demo"], place, env)
    demo = time.monotonic() - begun
    return [
        (f"clone to the first green console check, {tool}", f"{first:.1f} s", limit),
        (f"clone to the end of make demo, {tool}, Jaeger cached", f"{demo:.1f} s", limit),
    ]


def checks(place: Path) -> list[tuple[str, str, str]]:
    """One console check against an empty pytest around its floor, one Jaeger check against the console check, a red one."""
    floor_file = place / "test_floor.py"
    floor_file.write_text(textwrap.dedent(FLOOR), encoding="utf-8")
    console_test = "300/300/100/test_first_span.py::test_a_request_that_carries_a_trace_continues_it"
    jaeger_test = "300/300/300/test_in_jaeger.py::test_the_trace_arrives_where_only_http_is_let_through"
    floor = seconds(pytest_of(str(floor_file)))
    console = seconds(pytest_of("--at", "end", console_test))
    jaeger = seconds(pytest_of("--at", "end", jaeger_test))
    red = seconds(pytest_of("--at", "start", console_test))
    return [
        ("an empty pytest around the floor of a console check", f"{floor:.2f} s", ""),
        ("one console check", f"{console:.2f} s, {console / floor:.2f} × the floor", "1.15 ×"),
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
        group = [
            p
            for p in psutil.process_iter(["name", "cmdline"])
            if any("jaeger.yaml" in part for part in p.info["cmdline"] or ())
        ]
        used = sum(p.memory_info().rss for p in [*group, *app.processes()])
    return [("app and Jaeger together, resident", f"{used / 1e6:.0f} MB", "300 MB")]


def pytest_of(*arguments: str) -> Callable[[], None]:
    return lambda: run([sys.executable, "-m", "pytest", "-q", *arguments], ROOT, environment())


def seconds(work: Callable[[], None]) -> float:
    """The median of several runs after one that warms up."""
    work()
    took = []
    for _ in range(RUNS):
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
