"""What telemetry costs: the app of a lesson, served in one mode after another by `src/modes.sh`, under the same users.

All is measured on this machine, with the generator of the load on it, too: compare rows of one table, and never two tables."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from html import escape
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

from workshop.checks.app import App
from workshop.checks.checkpoint import Checkpoint
from workshop.checks.process import FAST_EXPORT
from workshop.checks.sandbox import APP
from workshop.errors import UserError
from workshop.scenarios import traffic
from workshop.setup.ports import free_port
from workshop.terminal import say

MODES = {
    "off": "no telemetry",
    "agent": "the agent, nothing leaves",
    "code": "in code, batch, OTLP",
    "simple": "in code, one by one",
    "console": "the agent, console",
    "otlp": "the agent, batch, OTLP",
    "all": "all three signals, OTLP",
}
SCRIPT, SINK = "modes.sh", Path(__file__).with_name("sink.py")
LATENCY_MS = 100  # the p99 at which requests a second are compared
READERS = {"reader": 1}
STEPS, HIGHEST = 6, 320.0  # halvings, to 5 requests a second
START_SECONDS = 30
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1b1f24}.ground{fill:#fff}.bar{fill:#3b6fb6}"
    "@media(prefers-color-scheme:dark){text{fill:#e6e6e6}.ground{fill:#1b1f24}.bar{fill:#6fa3e8}}"
)


@dataclass(frozen=True)
class Row:
    """One mode. `capacity` is the most requests a second of which 99 % took at most LATENCY_MS; p50 and p99 are ms at the fixed rate.
    CPU is in ms a request, memory in MB, `start` in seconds to the first answer, `sent` in bytes a request."""

    mode: str
    capacity: float
    p50: float
    p99: float
    cpu: float
    memory: float
    start: float
    sent: float

    def best(self, other: Row) -> Row:
        """The better of two measurements of a mode, in each column."""
        least = (min(pair) for pair in list(zip(astuple(self), astuple(other), strict=True))[2:])
        return Row(self.mode, max(self.capacity, other.capacity), *least)


@dataclass(frozen=True)
class Table:
    """A whole measurement: its rows, the rate of the fixed part in requests a second, and on what it was made."""

    rate: float
    machine: str
    rows: list[Row]

    @classmethod
    def read(cls, file: Path) -> Table:
        """A table that `write` has written. Raises UserError."""
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            return cls(found["rate"], found["machine"], [Row(**row) for row in found["rows"]])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file} holds no table that `workshop cost --keep` has written: {error}") from None

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def share(self, mode: str) -> float:
        """How many of the requests of the first row the same CPU serves in this mode. Who else uses the machine matters little to it."""
        return self.rows[0].cpu / next(row for row in self.rows if row.mode == mode).cpu


def measure(
    make: Callable[[Path], Checkpoint],
    modes: list[str],
    rate: float,
    seconds: float,
    rounds: int = 1,
    progress: Callable[[str], None] = lambda line: None,
) -> Table:
    """Serve and load each mode, one after the other, in so many rounds, of which the best counts: what else runs on the machine only
    ever slows. `make` gives the checkpoint whose `src/` is measured, in a folder of its own."""
    rows: dict[str, Row] = {}
    for mode in modes * rounds:
        with tempfile.TemporaryDirectory(prefix="workshop-cost-") as folder:
            row = _row(make(Path(folder)), mode, rate, seconds)
        rows[mode] = row.best(rows.get(mode, row))
        progress(f"{mode}: {row.capacity:.0f} requests a second")
    return Table(rate, f"{os.cpu_count()} cores, Python {platform.python_version()}", list(rows.values()))


def _row(checkpoint: Checkpoint, mode: str, rate: float, seconds: float) -> Row:
    if not (checkpoint.folder / SCRIPT).is_file():
        raise UserError(f"no src/{SCRIPT}: it says how each mode is served. The lesson 300/900/300 writes it.")
    with sink() as taking:
        _as_in_production(checkpoint, taking)
        behind = SimpleNamespace(grpc_port=free_port(), http_port=taking, query_port=free_port())
        app = App(checkpoint, f"sh {SCRIPT} {mode} > told.log", "todo", APP, behind)
        begun = time.monotonic()
        try:
            app.start()
            _wait_for(app)
            start = time.monotonic() - begun
            loads = [_load(app, rate, seconds / 2)]  # the first requests import and connect
            cpu = _cpu(app)
            loads.append(_load(app, rate, seconds))
            capacity = _capacity(app, seconds / 2, loads)
            cpu = _cpu(app) - cpu
            memory = sum(process.memory_info().rss for process in app.processes())
        finally:
            app.stop()
        sent = _taken(taking) / _served(loads)
    p50, p99 = (1000 * loads[1].latency(percent) for percent in (50, 99))
    return Row(mode, capacity, p50, p99, 1000 * cpu / _served(loads[1:]), memory / 1e6, start, sent)


def _as_in_production(checkpoint: Checkpoint, sink: int) -> None:
    """Without what makes checks quick, and with an advisor that answers."""
    for name in (*FAST_EXPORT, "PYTHONPATH"):
        checkpoint.environment.pop(name, None)
    checkpoint.environment["FLASK_ADVISOR_URL"] = f"http://127.0.0.1:{sink}"


def _wait_for(app: App) -> None:
    """A server may listen before its workers have made the app."""
    deadline = time.monotonic() + START_SECONDS
    while app.get("/health", wanted=()).status != 200:
        ended = not app.processes()
        if ended or time.monotonic() > deadline:
            what = "has ended" if ended else f"does not answer within {START_SECONDS} s"
            cure = f"Run `{app.line.partition(' >')[0]}` in src/, and mend what it says."
            raise UserError(f"the app {what}; it said:\n{app.output[-500:]}\n{cure}")


def _load(app: App, rate: float, seconds: float, seed: int = 1) -> traffic.Sent:
    return traffic.send(app.url, traffic.plan(rate, seconds, seed, mix=READERS))


def _served(loads: list[traffic.Sent]) -> int:
    return max(1, sum(request.status == 200 for load in loads for request in load.requests))


def _capacity(app: App, seconds: float, loads: list[traffic.Sent]) -> float:
    """Halve what lies between too few and too many requests a second. A rate is too high when it was so twice: others use the machine,
    too."""
    low, high = 0.0, HIGHEST
    for step in range(STEPS):
        rate = (low + high) / 2
        for seed in (step, step + STEPS):
            loads.append(_load(app, rate, seconds, seed))
            in_time = 1000 * loads[-1].latency(99) <= LATENCY_MS
            if held := in_time and all(request.status == 200 for request in loads[-1].requests):
                break
        low, high = (rate, high) if held else (low, rate)
    return low


def _cpu(app: App) -> float:
    """The seconds of CPU that the app has used so far."""
    return sum(sum(process.cpu_times()[:2]) for process in app.processes())


@contextmanager
def sink() -> Iterator[int]:
    """The port of a sink in a process of its own."""
    with subprocess.Popen([sys.executable, str(SINK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline())
        process.stdin.close()


def _taken(sink: int) -> int:
    """The bytes that a sink was sent."""
    with urlopen(f"http://127.0.0.1:{sink}/") as answer:
        return json.load(answer)["bytes"]


def drawn(table: Table):
    """The table for a terminal."""
    from rich.table import Table as Drawn

    found = Drawn("mode", "what it is", box=None, pad_edge=False)
    for title in ("CPU ms", "of off", "req/s", "p50 ms", "p99 ms", "MB", "start s", "bytes"):
        found.add_column(title, justify="right")
    for row in table.rows:
        whole = (f"{value:.0f}" for value in (row.capacity, row.p50, row.p99, row.memory))
        figures = f"{row.cpu:.1f}", f"{table.share(row.mode):.2f}", *whole, f"{row.start:.1f}", f"{row.sent:.0f}"
        found.add_row(row.mode, MODES[row.mode], *figures)
    return found


def svg(table: Table) -> str:
    """What a request costs, as bars, for light and dark pages; the description says the same in words."""
    most, height = max(row.cpu for row in table.rows), 34 * len(table.rows) + 60
    told = "; ".join(f"{MODES[row.mode]}: {row.cpu:.1f} ms" for row in table.rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 {height}" width="880" height="{height}" role="img">',
        "<title>CPU of one request, by mode</title>",
        f"<desc>{escape(told)}</desc>",
        f"<style>{STYLE}</style>",
        f'<rect width="880" height="{height}" rx="8" class="ground"/>',
        f'<text x="20" y="30">CPU of one request, in ms ({escape(table.machine)})</text>',
    ]
    for number, row in enumerate(table.rows):
        y, width = 48 + 34 * number, 480 * row.cpu / most
        lines += [
            f'<text x="20" y="{y + 17}">{escape(MODES[row.mode])}</text>',
            f'<rect x="240" y="{y}" width="{width:.1f}" height="24" rx="3" class="bar"/>',
            f'<text x="{250 + width:.1f}" y="{y + 17}">{row.cpu:.1f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def main(table: Table, keep: Path | None, picture: Path | None) -> None:
    """Print a table, and write it, or a picture of it, into files."""
    from rich.console import Console

    Console(highlight=False, width=100).print(drawn(table))
    say(f"\nCPU and bytes: of one request. req/s: the most while 99 % take {LATENCY_MS} ms at most.")
    say(f"p50 and p99: at {table.rate:g} requests a second. {table.machine}.")
    if keep:
        table.write(keep)
    if picture:
        picture.write_text(svg(table), encoding="utf-8")
