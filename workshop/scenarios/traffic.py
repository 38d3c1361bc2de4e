"""Users of the to-do app: they come when a plan says, however slow the answers are (an open loop), and each goes a way of their own.

A closed loop, in which a user waits for an answer before the next request is due, sends less exactly when the app is slow, and
then measures that nobody waited.
"""

from __future__ import annotations

import json
import random
import re
import secrets
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlencode

from workshop.checks.browser import hidden_fields
from workshop.errors import UserError
from workshop.terminal import say

RESPONSE_SECONDS = 10
MIX = {"reader": 6, "searcher": 2, "planner": 2}
TROUBLE = ("broken", "slow")  # a task whose text begins with workshop- and this cannot be saved, or only slowly
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Visit:
    """One user's way through the app, due so many seconds after the beginning."""

    due: float
    journey: str
    user: int


@dataclass
class Request:
    """One request that was sent: when its visit was due and how late it went out (seconds), its answer, the trace that it began.

    `seconds` count from when it was due: who waits for a late request waits for it, too. Only a visit's first one can be late."""

    journey: str
    method: str
    path: str
    due: float
    late: float
    trace_id: str
    seconds: float = 0
    status: int = 0
    problem: str = ""

    @property
    def kind(self) -> tuple[str, str, str]:
        """The journey, the method with the route, and the answer."""
        return self.journey, f"{self.method} {route(self.path)}", str(self.status or self.problem)


@dataclass
class Sent:
    """What was sent, complete once `send` has returned it."""

    requests: list[Request] = field(default_factory=list)
    visits: int = 0
    seconds: float = 0
    most_at_once: int = 0

    def statuses(self) -> Counter[tuple[str, str, str]]:
        """How many requests by journey, method with route, and answer."""
        return Counter(request.kind for request in self.requests)

    def latency(self, percent: int, kind: tuple[str, str, str] | None = None) -> float:
        """The seconds within which so many percent of the requests, or of those of a kind, were answered."""
        took = [request.seconds for request in self.requests if kind in (None, request.kind)]
        return quantiles(took, n=100, method="inclusive")[percent - 1] if len(took) > 1 else sum(took)

    @property
    def late(self) -> float:
        """How late the latest visit began, in seconds."""
        return max((r.late for r in self.requests), default=0)

    def as_json(self) -> dict:
        """All of it: what `workshop traffic --json` prints."""
        whole = {"visits": self.visits, "seconds": self.seconds, "most_at_once": self.most_at_once, "late": self.late}
        return {**whole, "requests": [asdict(request) for request in self.requests]}


def plan(
    rate: float, seconds: float, seed: int = 1, errors: float = 0, slow: float = 0, mix: dict[str, int] = MIX
) -> list[Visit]:
    """Visits at random times, on average `rate` a second, the same for the same seed.

    `errors` and `slow` are the shares of visits that meet trouble; the others are chosen by the weights of `mix`.
    Raises UserError when the two are more than all."""
    if errors + slow > 1:
        raise UserError(f"`--errors {errors:g}` and `--slow {slow:g}` are more than all visits: together at most 1")
    chance = random.Random(seed)
    weights = [errors, slow, *((1 - errors - slow) * weight / sum(mix.values()) for weight in mix.values())]
    found, due = [], chance.expovariate(rate)
    while due < seconds:
        found.append(Visit(due, chance.choices([*TROUBLE, *mix], weights)[0], chance.randrange(100)))
        due += chance.expovariate(rate)
    return found


def send(url: str, visits: list[Visit], progress: Callable[[Sent, float], None] = lambda sent, now: None) -> Sent:
    """Pay the visits to the app at `url`, each in a thread of its own when it is due, and wait until the last is over.

    `progress` is called at each visit, with what was sent and the seconds since the beginning.
    Ctrl-C ends the plan early; what was sent until then is what it returns."""
    from urllib3 import PoolManager

    sent, lock, begun = Sent(), threading.Lock(), time.monotonic()
    threads: list[threading.Thread] = []
    web = PoolManager(maxsize=50, retries=False)
    pause, switch = threading.Event(), sys.getswitchinterval()
    sys.setswitchinterval(0.0005)  # the clock of the plan must not wait for those who read answers
    try:
        for visit in visits:
            pause.wait(max(0, begun + visit.due - time.monotonic()))
            user = User(web, url, visit, begun + visit.due, sent, lock)
            threads = [thread for thread in threads if thread.is_alive()]
            threads.append(threading.Thread(target=user.go, daemon=True))
            threads[-1].start()
            sent.visits += 1
            sent.most_at_once = max(sent.most_at_once, len(threads))
            progress(sent, visit.due)
    except KeyboardInterrupt:
        pass
    finally:
        sys.setswitchinterval(switch)
        for thread in threads:
            thread.join(5 * RESPONSE_SECONDS)
        web.clear()
    sent.seconds = time.monotonic() - begun
    return sent


def send_one_of_each(url: str) -> list[Request]:
    """One visit of each kind, one after the other: the order in which they were sent is that in which the app measured them."""
    return [request for journey in (*MIX, *TROUBLE) for request in send(url, [Visit(0, journey, 1)]).requests]


class User:
    """Somebody with a browser: cookies, and the hidden fields of the forms that they fill in."""

    def __init__(self, web, url: str, visit: Visit, due: float, sent: Sent, lock: threading.Lock):
        self._web, self._url, self._visit, self._due = web, url, visit, due
        self._sent, self._lock, self._cookie = sent, lock, ""

    def go(self) -> None:
        """Go the way of this user's journey, as far as the app lets them."""
        getattr(self, f"_{self._visit.journey}")()

    def _reader(self) -> None:
        self._ask("GET", "/")

    def _searcher(self) -> None:
        page = self._ask("GET", "/")
        self._submit(page, "/search", "/add", words=f"visit {self._visit.user}")

    def _planner(self, kind: str = "planned") -> None:
        """Add a task, tick it off, and delete it: the list is at the end what it was."""
        text = f"workshop-{kind} {secrets.token_hex(8)}"
        self._submit(self._ask("GET", "/"), "/add", text=text)
        page = self._ask("GET", "/")
        if number := re.search(rf'action="/tasks/(\d+)/done"(?:(?!<li).)*{text}', page, re.S):
            self._submit(page, f"/tasks/{number[1]}/done")
            self._submit(self._ask("GET", "/"), f"/tasks/{number[1]}/delete")

    def _broken(self) -> None:
        self._submit(self._ask("GET", "/"), "/add", text=f"workshop-{TROUBLE[0]}")

    def _slow(self) -> None:
        self._planner(TROUBLE[1])

    def _submit(self, page: str, path: str, form: str = "", **fields: str) -> str:
        """Send what the form of the page that goes to `form`, or else to the path, hides, and these fields."""
        return self._ask("POST", path, urlencode({**hidden_fields(page, form or path), **fields}))

    def _ask(self, method: str, path: str, form: str | None = None) -> str:
        from urllib3.exceptions import HTTPError

        request = Request(self._visit.journey, method, path, self._visit.due, 0, secrets.token_hex(16))
        headers = {
            "User-Agent": f"workshop-traffic/{self._visit.journey}",
            "traceparent": f"00-{request.trace_id}-{secrets.token_hex(8)}-01",
            **({"Cookie": self._cookie} if self._cookie else {}),
            **(FORM if form is not None else {}),
        }
        with self._lock:
            self._sent.requests.append(request)
        now, text = time.monotonic(), ""
        due, self._due = self._due or now, 0  # only the first request is due at a time
        request.late = now - due
        try:
            answer = self._web.request(
                method, self._url + path, body=form, headers=headers, redirect=False, timeout=RESPONSE_SECONDS
            )
            request.status, text = answer.status, answer.data.decode(errors="replace")
            self._cookie = answer.headers.get("Set-Cookie", self._cookie).partition(";")[0]
        except HTTPError as error:
            request.problem = type(error).__name__
        request.seconds = time.monotonic() - due
        return text


def route(path: str) -> str:
    """A path as the app's own route has it: with no number in it."""
    return re.sub(r"/\d+", "/<id>", path)


@contextmanager
def trouble(database: Path, slow_rows: int = 120) -> Iterator[None]:
    """Make the app's database refuse the tasks of broken visits, and save those of slow ones slowly, until the block ends.

    It is done by triggers: no line of the app shows it, and other tasks are not concerned. `slow_rows` are read three times over.
    Raises UserError when the file is no database of the app."""
    rows = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {slow_rows}) "
    created = [
        f"CREATE TRIGGER workshop_broken BEFORE INSERT ON task WHEN NEW.text LIKE 'workshop-{TROUBLE[0]}%' "
        "BEGIN SELECT RAISE(FAIL, 'disk I/O error'); END",
        f"CREATE VIEW workshop_rows AS {rows} SELECT count(*) AS n FROM n AS one, n AS two, n AS three",
        f"CREATE TRIGGER workshop_slow BEFORE INSERT ON task WHEN NEW.text LIKE 'workshop-{TROUBLE[1]}%' "
        "BEGIN SELECT n FROM workshop_rows; END",
    ]
    gone = [
        f"DROP {kind} IF EXISTS workshop_{name}"
        for kind, name in (("TRIGGER", "broken"), ("TRIGGER", "slow"), ("VIEW", "rows"))
    ]
    try:
        _run(database, [*gone, *created])
        yield
    finally:
        _run(database, gone)


def _run(database: Path, statements: list[str]) -> None:
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=rw", uri=True)) as connection, connection:
            for statement in statements:
                connection.execute(statement)
    except sqlite3.Error as error:
        raise UserError(
            f"{database}: {error}. Wanted: the database of the app that answers, in which `--errors` and `--slow` put their trouble. "
            "Start the app once (`sh run.sh` in src/), or name its file with `--database`."
        ) from None


def main(url: str, visits: list[Visit], database: Path | None, as_json: bool) -> None:
    """Send the visits, their trouble put into `database`, and print what was sent as a table or as JSON.

    Raises UserError when no app answers at `url`."""
    from rich.console import Console
    from urllib3 import PoolManager
    from urllib3.exceptions import HTTPError

    if not visits:
        raise UserError("nobody comes by this plan: give it more `--seconds`, or a higher `--rate`")
    try:
        PoolManager(retries=False).request("GET", f"{url}/health", timeout=RESPONSE_SECONDS)
    except HTTPError:
        raise UserError(
            f"nothing answers at {url}. Start the app (`sh run.sh` in src/), or name its address with `--url`."
        ) from None
    sent = play(url, visits, database)
    if as_json:
        print(json.dumps(sent.as_json()))
        return
    Console(highlight=False).print(table(sent))
    say(
        f"\n{sent.visits} visits and {len(sent.requests)} requests in {sent.seconds:.0f} s, at most {sent.most_at_once} visits at once, "
        f"none later than {sent.late * 1000:.0f} ms."
    )


def play(url: str, visits: list[Visit], database: Path | None = None) -> Sent:
    """Send the visits, with a line on the terminal that tells how far it is, and their trouble put into `database`."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed:.0f} of {task.total:.0f} s"))
    with (
        trouble(database) if database else nullcontext(),
        Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4) as live,
    ):
        task = live.add_task("", total=visits[-1].due)

        def progress(sent: Sent, now: float) -> None:
            failed = sum(r.status >= 500 or bool(r.problem) for r in list(sent.requests))
            live.update(
                task, completed=now, description=f"{sent.visits} visits, {len(sent.requests)} requests, {failed} failed"
            )

        return send(url, visits, progress)


def table(sent: Sent):
    """What was sent by visit, request and answer, with the time within which half, and 95 %, of them were answered."""
    from rich.table import Table

    drawn = Table("visit", "request", "answer", box=None, pad_edge=False)
    for title in ("count", "p50", "p95"):
        drawn.add_column(title, justify="right")
    for kind, count in sorted(sent.statuses().items()):
        took = [f"{sent.latency(percent, kind) * 1000:.0f} ms" for percent in (50, 95)]
        drawn.add_row(*kind, str(count), *took)
    return drawn
