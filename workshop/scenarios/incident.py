"""The incident: some minutes of the past are put into the stores, with a hidden outage in them, and somebody finds out.

`.saved/incident.json` keeps the open incident and those before: a seed, its last moment and what was answered, from which all of
it can be played again. What was injected is not written down.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import lru_cache
from html import escape
from pathlib import Path

from workshop.checks.checkpoint import Checkpoint
from workshop.course import lessons
from workshop.errors import UserError
from workshop.learner.workspace import Workspace
from workshop.programs.instance import Instance
from workshop.programs.lifecycle import Service
from workshop.programs.program import find
from workshop.programs.prometheus import Prometheus
from workshop.scenarios.clinic import FOLDER, GIVEN_UP, keep
from workshop.scenarios.outages import CHANGES, OUTAGES, PLACES
from workshop.scenarios.simulator import MIX, SECONDS, Play
from workshop.setup.cache import locked
from workshop.telemetry import waterfall
from workshop.telemetry.otlp import Telemetry
from workshop.terminal import say, wrapped

LESSON, SOLVED = "400/200", "solved"
STORES = ("jaeger", "prometheus", "logs", "collector")
SINCE_SECONDS, SHARE_POINTS, SHARE_PART = 20, 2, 0.25
AT_ONCE, ARRIVE_SECONDS = 1000, 15
QUESTIONS = {
    "since": f"Since when? A time of day in UTC, such as 12:03:20. {SINCE_SECONDS} s more or less will do.",
    "whom": f"Whom does it hit? A route (`GET /`), a kind of user ({', '.join(MIX)}), the first 8 characters of the instance of one "
    "process, or `all`.",
    "share": f"How many percent of all requests since then? {SHARE_POINTS} points, or a quarter of it, more or less will do.",
    "where": "Where is the time, or the error?",
    "trace": "Which trace proves it? Its id.",
    "change": "What would you change?",
}
CHOICES = {"where": PLACES, "change": CHANGES}
# What the promises of 300/500/400 are about, in the last two minutes of an incident, and the share that may be so.
REQUESTS, OF = "http_server_request_duration_seconds", 'deployment_environment_name="%s"'
ALL = f"sum(rate({REQUESTS}_count{{{OF}}}[2m]))"
BAD = {
    "99 % below 500": (
        0.01,
        f'(sum(rate({REQUESTS}_count{{{OF}, http_response_status_code=~"5.."}}[2m])) or vector(0)) / {ALL}',
    ),
    "95 % within 250 ms": (0.05, f'1 - sum(rate({REQUESTS}_bucket{{{OF}, le="0.25"}}[2m])) / {ALL}'),
}
TRACES = f'(sum(rate(otel_sdk_span_started_total{{{OF}, otel_span_parent_origin!="local"}}[2m])) or vector(0)) / {ALL}'
SEVERITIES = {"page": 5.6, "ticket": 0.933}  # the least burn rates of the table of 300/500/400


class IncidentError(UserError):
    """No incident can begin, or an answer cannot be read. The message says why, and what to do."""


@dataclass
class Incident:
    """An incident that somebody met: `end_ns` is its last moment, `right` what was answered rightly, `wrong` how often not."""

    seed: int
    end_ns: int
    alert: str = ""
    right: dict[str, str] = field(default_factory=dict)
    wrong: int = 0
    end: str = ""

    @property
    def play(self) -> Play:
        """All that happened in it."""
        return _played(self.seed, self.end_ns)

    @property
    def open(self) -> list[str]:
        """The questions that have no right answer yet."""
        return [name for name in QUESTIONS if name not in self.right]


@lru_cache(1)
def _played(seed: int, end_ns: int) -> Play:
    return Play(seed, end_ns)


class Desk:
    """Whoever is on call: the incidents that they met. `folder` holds `.saved/`; by default it is the repository."""

    def __init__(self, folder: Path | None = None):
        self.path = Workspace(folder or Path(os.environ.get(FOLDER) or lessons.ROOT)).saved / "incident.json"
        self.incidents = _kept(self.path)

    @property
    def open(self) -> Incident | None:
        return next((incident for incident in self.incidents if not incident.end), None)

    @property
    def solved(self) -> list[Incident]:
        return [incident for incident in self.incidents if incident.end == SOLVED]

    def begin(self, seed: int | None, progress: Callable[[str], None] = lambda line: None) -> Incident:
        """Put an incident into the stores; one that is open is given up. Without a seed it is one that was not met yet.

        It is open when all of it has arrived. Raises IncidentError where a store does not answer or take it."""
        with locked(self.path.with_suffix(".lock"), lambda: progress("Another incident is beginning; waiting …")):
            self.incidents = _kept(self.path)
            return self._begin(seed, progress)

    def _begin(self, seed: int | None, progress: Callable[[str], None]) -> Incident:
        if seed is None:
            met = {one.seed % len(OUTAGES) for one in self.incidents if one.alert}
            new = [number for number in range(len(OUTAGES)) if number not in met] or range(len(OUTAGES))
            seed = random.choice(new) + len(OUTAGES) * random.randrange(100)
        incident = Incident(seed, time.time_ns(), end=GIVEN_UP)
        ago = min(((incident.end_ns - one.end_ns) / 1e9 for one in self.incidents if one.seed == seed), default=SECONDS)
        if ago < SECONDS:
            raise IncidentError(
                f"incident {seed} began {ago:.0f} s ago, and the telemetry of both would be mixed.\n"
                f"Take another number, or wait {SECONDS - ago:.0f} s."
            )
        stores = _stores()
        progress(f"Five minutes of the past go through the Collector into {', '.join(_titles(STORES[:3]))} …")
        self.incidents.append(incident)
        self._keep()  # whoever is interrupted has a part of it in the stores
        _send(incident.play, stores)
        if self.open:
            progress(f"Incident {self.open.seed} was open, and is given up.")
            self.open.end = GIVEN_UP
        incident.alert, incident.end = alert(stores["prometheus"], incident.play), ""
        self._keep()
        return incident

    def answer(self, **given: str) -> dict[str, str]:
        """Answer questions of the open incident. Returns what is wrong with each, nothing where it is right; a wrong one is counted.

        Raises IncidentError without an open incident, and, counting none, where one is no answer to its question."""
        incident = self.current
        problems = {question: GRADES[question](incident.play, text.strip()) for question, text in given.items()}
        right = {question: text.strip() for question, text in given.items() if not problems[question]}
        incident.right |= {question: text.lower() if question == "trace" else text for question, text in right.items()}
        incident.wrong += sum(map(bool, problems.values()))
        incident.end = "" if incident.open else SOLVED
        self._keep()
        return problems

    @property
    def current(self) -> Incident:
        """The open incident. Raises IncidentError where there is none."""
        if not self.open:
            raise IncidentError("no incident is open; `workshop incident --seed 1` begins one")
        return self.open

    def report(self, path: Path) -> None:
        """Write the post-mortem of the incident that was solved last, as a page. Raises IncidentError and ProgramError."""
        if self.open or not self.solved:
            left = f"without an answer: {', '.join(self.open.open)}" if self.open else "no incident was solved yet"
            raise IncidentError(f"there is nothing to report: {left}. `workshop incident` shows the questions.")
        incident = self.solved[-1]
        spans = Service(find("jaeger")).configured().trace(incident.right["trace"])
        if not spans:
            raise IncidentError(
                f"Jaeger no longer has the trace {incident.right['trace']}: it keeps traces in memory, until it is stopped. "
                f"`workshop incident --seed {incident.seed}` begins the same incident again."
            )
        try:
            path.write_text(page(incident, spans), encoding="utf-8")
        except OSError as error:
            raise IncidentError(f"{path}: {error.strerror}; name another file with `--report`") from None

    def grade(self, checkpoint: Checkpoint) -> None:
        """Raise Broken unless an incident was solved."""
        begun = self.open or self.solved
        checkpoint.must(
            begun,
            "no-incident",
            seen="no incident has begun",
            expected="one, with an answer to each of its questions",
            why="who has once gone from an alert to a change can do it at night",
            do="`workshop up jaeger prometheus logs collector`, then `workshop incident --seed 1`",
        )
        checkpoint.must(
            self.solved,
            "not-answered",
            seen=f"no right answer yet to: {', '.join(self.open.open if self.open else [])}",
            expected="an answer to each question that fits what telemetry shows",
            why="an incident is over when you know since when, for whom, where, by which proof, and what will change",
            do="`workshop incident` shows the questions; the page has a query for each",
            lesson=LESSON,
        )
        checkpoint.prove_by(self.solved[-1].right["trace"])

    def _keep(self) -> None:
        try:
            keep(self.path, self.incidents)
        except OSError as error:
            raise IncidentError(f"{error.filename or self.path}: {error.strerror}; nothing was written down") from None


def alert(prometheus: Prometheus, play: Play) -> str:
    """What the promises of 300/500/400 say at the end of a play; nothing while they are kept."""
    at = play.end_ns / 1e9

    def ask(query: str) -> float:
        found = prometheus.query_range(query.replace("%s", play.environment), at, at, 1)
        return found[0].value if found else 0

    for promise, (may, query) in BAD.items():
        burn = ask(query) / may
        if severity := next((name for name, least in SEVERITIES.items() if burn > least), ""):
            return f"{severity}: the budget of “{promise}” burns {burn:.1f} times as fast as it may"
    return "ticket: hardly a SERVER span for all these requests" if ask(TRACES) < 0.5 else ""


def _stores() -> dict[str, Instance]:
    """The learner's stores. Raises IncidentError where one does not answer."""
    found = {name: Service(find(name)).configured() for name in STORES}
    if down := [name for name, store in found.items() if not store.ready()]:
        raise IncidentError(
            f"{', '.join(_titles(down))} {'does' if len(down) == 1 else 'do'} not answer, and an incident is told by all of "
            f"{', '.join(_titles(STORES))}.\n`workshop up {' '.join(STORES)}` starts them."
        )
    return found


def _titles(names: tuple[str, ...] | list[str]) -> list[str]:
    return [find(name).title for name in names]


def _send(play: Play, stores: dict[str, Instance]) -> None:
    """Send all of it by the door that the app uses, and wait until it can be found. Raises IncidentError where it cannot."""
    collector, told = stores["collector"], play.telemetry()
    collector.send(Telemetry(metrics=told.metrics))
    for at in range(0, len(told.spans), AT_ONCE):
        collector.send(Telemetry(spans=told.spans[at : at + AT_ONCE]))
    for at in range(0, len(told.logs), AT_ONCE):
        collector.send(Telemetry(logs=told.logs[at : at + AT_ONCE]))
    end, instances = play.end_ns / 1e9, {worker.instance for worker in play.workers}
    count = f"{REQUESTS}_count{{{OF % play.environment}}}"
    first, last = told.logs[0].trace_id, told.logs[-1].trace_id
    wanted = sum(record.trace_id in (first, last) for record in told.logs)
    arrived = {
        "jaeger": lambda: all(map(stores["jaeger"].trace, (told.spans[0].trace_id, told.spans[-1].trace_id))),
        "prometheus": lambda: (
            instances <= {one.labels.get("instance") for one in stores["prometheus"].query_range(count, end - SECONDS, end, 5)}
        ),
        "logs": lambda: len(stores["logs"].query(f"trace_id:in({first}, {last})")) >= wanted,
    }
    for name, there in arrived.items():
        if not collector.until(there, ARRIVE_SECONDS):
            raise IncidentError(
                f"the Collector took it, and {find(name).title} does not have it after {ARRIVE_SECONDS} s: of "
                f"deployment.environment.name {play.environment}, as it has to be found.\nLook at src/otel/collector.yaml, which "
                "passes it on, and at src/otel/prometheus.yml, which makes a label of that attribute. "
                f"`workshop start {LESSON}` has both; then `workshop up {' '.join(STORES)}`."
            )


def _kept(path: Path) -> list[Incident]:
    """The incidents as they were kept; none where there is nothing that can be read."""
    try:
        return [Incident(**kept) for kept in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


# Grading: what is wrong with an answer; nothing where it is right.


def _since(play: Play, text: str) -> str:
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?Z?", text):
        raise IncidentError(f"{text!r} is no time of day; write it as 12:03:20, in UTC")
    hours, minutes, seconds = map(float, text.removesuffix("Z").split(":"))
    began = datetime.fromtimestamp(play.since_ns / 1e9, timezone.utc)
    after = hours * 3600 + minutes * 60 + seconds - (began.hour * 3600 + began.minute * 60 + began.second)
    after = (after + 43200) % 86400 - 43200  # midnight may lie between
    seen = play.hit[0].at - play.since  # nobody can know of it before it hits somebody
    if -SINCE_SECONDS <= after <= seen + SINCE_SECONDS:
        return ""
    if not (play.begin_ns - play.since_ns) / 1e9 - 1 <= after <= (play.end_ns - play.since_ns) / 1e9:
        return f"it is a time in UTC between {_moment(play.begin_ns)} and {_moment(play.end_ns)}."
    return "it is the moment at which the curve leaves its old course, for good. Draw what the alert is about, step 5 s."


def _whom(play: Play, text: str) -> str:
    said = re.sub(r"\s+", " ", text)
    lower, right = said.lower(), play.outage.whom
    one = len(lower) >= 8 and next((worker for worker in play.workers if worker.instance.startswith(lower)), None)
    routes = {request.route.lower() for request in play.requests}
    if not (one or lower in routes or lower in MIX or lower == "all"):
        raise IncidentError(
            f"{text!r} is no route of this incident ({', '.join(sorted({r.route for r in play.requests}))}), no kind of user "
            f"({', '.join(MIX)}), not the first 8 characters of an instance, and not `all`"
        )
    if lower in map(str.lower, right) or (one and "one" in right and one is play.sick):
        return ""
    return "others are hit who are not among these, or most of these are well. Split the same query by route, then by instance."


def _share(play: Play, text: str) -> str:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise IncidentError(f"{text!r} is no share; write a number of percent from 0 to 100")
    right = play.share * 100
    within = max(SHARE_POINTS, SHARE_PART * right)
    if abs(percent - right) <= within:
        return ""
    if percent <= 1 and abs(percent * 100 - right) <= within:
        return "it is asked in percent: what Prometheus calls 0.5 is 50."
    return "it is what was hit since then, divided by all requests since then, of all routes and processes."


def _choice(question: str) -> Callable[[Play, str], str]:
    def grade(play: Play, text: str) -> str:
        letters = CHOICES[question]
        if text.lower() not in letters:
            raise IncidentError(f"{text!r} is no choice; write one of {', '.join(letters)}")
        if text.lower() == getattr(play.outage, question):
            return ""
        if question == "where":
            return "open one trace that is hit beside one that is not, of the same route: what is long, red, or not there?"
        return "it would not have made the trace that you have seen a good one."

    return grade


def _trace(play: Play, text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{32}", text):
        raise IncidentError(f"{text!r} is no trace id: it has 32 digits from 0 to f")
    if text.lower() in {request.trace_id for request in play.hit}:
        return ""
    known = next((request for request in play.requests if request.trace_id == text.lower()), None)
    if known is None:
        return (
            f"no request of these five minutes has this id. Where incident {play.seed} was played before, the stores have those "
            "requests, too: take a later one."
        )
    if known.at < play.since:
        return "this request came before it began."
    return f"this is a {known.route} to which it did not happen."


GRADES = {
    "since": _since,
    "whom": _whom,
    "share": _share,
    "where": _choice("where"),
    "trace": _trace,
    "change": _choice("change"),
}


# Telling


def _moment(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, timezone.utc).strftime("%H:%M:%S")


def show(incident: Incident) -> None:
    """Say what wakes the learner, and what is to be answered."""
    begin = incident.end_ns - SECONDS * 10**9
    say(f"Incident {incident.seed}, from {_moment(begin)} to {_moment(incident.end_ns)} UTC. Your phone says:\n")
    say(wrapped(incident.alert, "  ", "  "))
    say("\nAnswer from telemetry alone:\n")
    for name, question in QUESTIONS.items():
        say(wrapped(question, f"  {'✓' if name in incident.right else ' '} --{name:<7} ", " " * 14))
        for letter, text in CHOICES.get(name, {}).items():
            say(wrapped(text, f"{'':14}{letter}  ", " " * 17))


def answered(desk: Desk, answers: dict[str, str]) -> bool:
    """Grade the answers and say so. Returns whether all of them are right."""
    problems = desk.answer(**answers)
    for question, problem in problems.items():
        say(wrapped(f"No: {problem}" if problem else "Right.", f"--{question:<7} ", " " * 10))
    if desk.open:
        say(f"\nWithout an answer: {', '.join(desk.open.open)}.")
    elif desk.solved:
        last = desk.solved[-1]
        say(f"\nAll is answered, with {last.wrong} wrong answer{'' if last.wrong == 1 else 's'} on the way. The cause:")
        say(wrapped(last.play.outage.cause, "  ", "  "))
        say("\n`workshop incident --report postmortem.html` makes a page of it.")
    return not any(problems.values())


def page(incident: Incident, spans: list) -> str:
    """The post-mortem: what was answered, with the trace that proves it as a picture."""
    right, play = incident.right, incident.play
    began, end = _moment(play.since_ns), _moment(incident.end_ns)
    picture = waterfall.svg([replace(span, warnings=()) for span in spans])
    rows = {
        "Alert": incident.alert,
        "Since": f"{right['since']} UTC (it began at {began}, and was still so at {end})",
        "Whom": f"{right['whom']}: {right['share'].removesuffix('%')} % of all requests since then",
        "Where": PLACES[right["where"].lower()],
        "Cause": play.outage.cause,
        "Proof": f"trace {right['trace']}",
        "Change": CHANGES[right["change"].lower()],
        "Wrong turns": str(incident.wrong),
    }
    told = "\n".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows.items())
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Post-mortem of incident {incident.seed}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:900px;margin:2rem auto;padding:0 1rem}}
th{{text-align:left;vertical-align:top;padding-right:1.5rem}} td{{overflow-wrap:anywhere}}
figure{{margin:0;overflow-x:auto}} figure .waterfall{{max-width:none}}</style>
<h1>Post-mortem of incident {incident.seed}</h1>
<table>
{told}
</table>
<h2>The proof</h2>
<figure tabindex="0">{picture}</figure>
</html>
"""
