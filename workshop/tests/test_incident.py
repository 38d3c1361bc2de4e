"""The incident: what is played is what the app would tell, is the same for a seed, and only right answers are taken."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner

from workshop.checks.beside import Beside
from workshop.checks.checkpoint import Checkpoint, packages
from workshop.checks.process import environment
from workshop.checks.sandbox import END
from workshop.cli import main
from workshop.course import lessons
from workshop.programs.lifecycle import free_ports, port_settings
from workshop.programs.program import find
from workshop.scenarios import incident as module
from workshop.scenarios.clinic import FOLDER, GIVEN_UP
from workshop.scenarios.incident import QUESTIONS, SOLVED, STORES, Desk, Incident, IncidentError
from workshop.scenarios.outages import CHANGES, OUTAGES, PLACES
from workshop.scenarios.simulator import DATABASE, MIX, SECONDS, Play
from workshop.scenarios.wards import app as ward
from workshop.scenarios.wards.finding import Finding
from workshop.setup.cache import locked
from workshop.telemetry import waterfall
from workshop.tests.learner import right_answers

END_NS = 1_795_761_380_000_000_000
SEEDS = range(len(OUTAGES))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path


@pytest.fixture
def nowhere(monkeypatch) -> None:
    """Whoever asks for a store finds none."""
    for name in STORES:
        for setting, port in port_settings(find(name), free_ports(find(name))).items():
            monkeypatch.setenv(setting, str(port))


def opened(folder: Path, seed: int) -> Desk:
    """A desk with an open incident that no store has."""
    desk = Desk(folder)
    desk.incidents.append(Incident(seed, END_NS, "page: it burns"))
    desk._keep()
    return desk


# What is played


def test_a_seed_is_the_same_for_everybody_and_has_names_of_its_own_each_time():
    one, again, later = Play(3, END_NS), Play(3, END_NS), Play(3, END_NS + 10**12)
    assert one.telemetry() == again.telemetry()
    told = lambda play: [(r.route, r.status, round(r.at, 6), round(r.seconds, 6), r.hit) for r in play.requests]  # noqa: E731
    assert told(one) == told(later)
    assert not {span.trace_id for span in one.spans} & {span.trace_id for span in later.spans}
    assert told(one) != told(Play(3 + len(OUTAGES), END_NS))
    assert {Play(seed, END_NS).outage for seed in SEEDS} == set(OUTAGES)


@pytest.mark.parametrize("seed", [*SEEDS, -1, 10**12])
def test_all_is_well_for_a_minute_and_then_a_part_is_hit(seed):
    play = Play(seed, END_NS)
    before = [request for request in play.requests if request.at < play.since]
    assert play.since >= 60 and len(before) > 100
    assert not any(request.hit or request.status >= 500 or request.seconds > 0.25 for request in before)
    assert play.hit and (play.share > 0.95) == (play.outage.name == "propagation")
    assert play.hit[0].at - play.since < 30
    assert all(play.begin_ns <= span.start_ns <= span.end_ns <= play.end_ns for span in play.spans)
    assert {request.journey for request in play.requests} == set(MIX)
    ids = {span.span_id for span in play.spans}
    assert all(span.parent_id in ids for span in play.spans if span.parent_id)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_an_outage_leaves_in_telemetry_is_what_it_says(seed):
    play = Play(seed, END_NS)
    told, hit = play.telemetry(), {request.trace_id for request in play.hit}
    counted = [p for m in told.metrics if m.name == "http.server.request.duration" for p in m.points]
    last: dict[str, int] = {}
    for metric in told.metrics:
        for point in metric.points if metric.name == "http.server.request.duration" else ():
            last[f"{metric.resource['service.instance.id']} {point.attributes}"] = point.count
            assert sum(point.buckets) == point.count
    assert sum(last.values()) == len(play.requests)
    assert {one.trace_id for point in counted for one in point.exemplars} & hit
    failed = {span.trace_id for span in told.spans if span.attributes.get("http.response.status_code") == 500}
    assert failed == ({log.trace_id for log in told.logs if log.severity == "ERROR"})
    if failed:
        assert failed == hit


def shapes(telemetry, database: str) -> list[dict]:
    """By signal (spans, metrics, log records): what there is, and the sets of attributes with which it was seen."""
    spans, metrics, logs = defaultdict(set), defaultdict(set), defaultdict(set)
    for span in telemetry.spans:
        spans[span.service, span.scope, span.name.replace(database, "DB"), span.kind].add(frozenset(span.attributes))
    for metric in telemetry.metrics:
        key = metric.scope, metric.name, metric.kind, metric.unit, metric.temporality, metric.monotonic
        metrics[key] |= {frozenset(point.attributes) for point in metric.points}
    for log in telemetry.logs:
        logs[log.scope, str(log.body), log.severity, log.severity_number, log.event_name].add(frozenset(log.attributes))
    return [spans, metrics, logs]


def test_the_names_kinds_and_attributes_are_those_of_the_real_app(tmp_path):
    beside = Beside(bring=True)
    try:
        checkpoint = Checkpoint(lessons.find("400/100"), END, tmp_path, beside.program)
        run = ward.visited(checkpoint, Finding("app"))
    finally:
        beside.stop()
    real = shapes(run.door.stored, str(checkpoint.database))
    for seed in (0, 3):  # one whose requests are slow, and one whose requests fail
        play = Play(seed, END_NS)
        well = [span for span in play.spans if span.end_ns < play.since_ns]
        told = play.telemetry()
        told.spans, told.logs = well, [log for log in told.logs if log.time_ns < play.since_ns]
        for mine, theirs in zip(shapes(told, DATABASE), real):
            for key, sets in mine.items():
                if "delete" not in str(key).lower():  # nothing is deleted in the run of the real app
                    assert sets <= theirs[key], (key, sets - theirs[key], theirs[key])
    of = lambda telemetry: next(set(s.resource) for s in telemetry.spans if s.service == "todo")  # noqa: E731
    assert of(play) == of(run.door.stored)


# What is answered


@pytest.mark.parametrize("seed", SEEDS)
def test_right_answers_end_an_incident_and_a_wrong_one_to_each_question_is_refused(seed, folder):
    play, desk = Play(seed, END_NS), opened(folder, seed)
    answers, outage = right_answers(play), play.outage
    healthy = next(request for request in play.requests if request.at > play.since and not request.hit)
    others = [
        whom for whom in ("GET /", "POST /import", "planner", "all", play.workers[1].instance[:8]) if whom not in outage.whom
    ]
    wrong = {
        "since": ["00:00:00", datetime.fromtimestamp(play.since_ns / 1e9 - 40, timezone.utc).strftime("%H:%M:%S")],
        "whom": others,
        "share": [str(min(100, play.share * 140 + 3)) if play.share < 0.6 else "30", "0"],
        "where": [letter for letter in PLACES if letter != outage.where],
        "trace": ["0" * 32, play.requests[0].trace_id, *([healthy.trace_id] if outage.name != "propagation" else [])],
        "change": [letter for letter in CHANGES if letter != outage.change],
    }
    count = 0
    for question, texts in wrong.items():
        for text in texts:
            assert desk.answer(**{question: text})[question], (question, text)
            count += 1
    assert desk.open.open == list(QUESTIONS) and desk.open.wrong == count
    assert set(desk.answer(**answers).values()) == {""}
    assert not Desk(folder).open and [one.end for one in Desk(folder).incidents] == [SOLVED]
    assert str(play.outage) not in (folder / ".saved" / "incident.json").read_text()


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("since", "noon", "no time of day; write it as 12:03:20"),
        ("since", "25:00:00", "no time of day"),
        ("whom", "GET /nothing", "no route of this incident (GET /, POST"),
        ("whom", "", "no route of this incident"),
        ("share", "half", "a number of percent from 0 to 100"),
        ("share", "nan", "a number of percent from 0 to 100"),
        ("where", "z", "no choice; write one of a, b"),
        ("change", "", "no choice"),
        ("trace", "4bf9", "no trace id: it has 32 digits"),
    ],
)
def test_what_is_no_answer_is_said_and_not_counted(option, text, words, folder):
    opened(folder, 2)
    done = CliRunner().invoke(main, ["incident", f"--{option}", text], prog_name="workshop")
    assert done.exit_code == 1 and words in " ".join(done.output.split()), done.output
    assert not Desk(folder).open.wrong and not Desk(folder).open.right


@pytest.mark.parametrize(
    "question, text, words",
    [
        ("since", "00:00:00", "a time in UTC between "),
        ("share", lambda play: f"{play.share:.3f}", "asked in percent"),
        ("trace", "0" * 32, "the stores have those requests, too"),
    ],
)
def test_a_wrong_answer_of_a_usual_kind_is_told_what_is_wrong_with_it(question, text, words, folder):
    desk, play = opened(folder, 2), Play(2, END_NS)
    assert words in desk.answer(**{question: text(play) if callable(text) else text})[question]


def test_a_report_is_not_asked_for_together_with_an_answer(folder):
    opened(folder, 2)
    done = CliRunner().invoke(main, ["incident", "--where", "a", "--report", str(folder / "page.html")], prog_name="workshop")
    assert done.exit_code == 2 and "give it alone" in done.output and not Desk(folder).open.wrong


def test_the_way_through_the_command(folder):
    opened(folder, 2)
    say = lambda *arguments: CliRunner().invoke(main, ["incident", *arguments], prog_name="workshop")  # noqa: E731
    shown = say()
    assert shown.exit_code == 0 and "page: it burns" in shown.output and "--change" in shown.output
    assert OUTAGES[2].cause not in " ".join(shown.output.split())
    answers = right_answers(Play(2, END_NS))
    refused = say("--where", "a", "--change", answers["change"])
    assert refused.exit_code == 1 and "--where   No: " in refused.output and "--change  Right." in refused.output
    assert "since, whom, share, where, trace" in refused.output
    early = say("--report", str(folder / "page.html"))
    assert early.exit_code == 1 and "without an answer: since" in early.output and not (folder / "page.html").exists()
    assert say("--since", "00:00").exit_code == 1
    ended = say(*(part for name, text in answers.items() for part in (f"--{name}", text)))
    assert ended.exit_code == 0, ended.output
    assert OUTAGES[2].cause in " ".join(ended.output.split())
    assert "no incident is open" in say("--where", "a").output


def test_the_list_is_for_instructors(folder):
    listed = " ".join(CliRunner().invoke(main, ["incident", "--list"], prog_name="workshop").output.split())
    assert all(outage.cause in listed and outage.name in listed for outage in OUTAGES)


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["--seed", "seven"], "'seven' is not a valid integer", 2),
        (["--seed", "1", "--where", "a"], "answer the open one without it", 2),
        (["--seed", "1"], "`workshop up jaeger prometheus logs collector`", 1),
    ],
)
def test_an_incident_that_cannot_begin_says_why(arguments, words, code, folder, nowhere):
    done = CliRunner().invoke(main, ["incident", *arguments], prog_name="workshop")
    assert done.exit_code == code and words in " ".join(done.output.split()) and "Traceback" not in done.output
    assert not Desk(folder).incidents


def test_a_seed_is_not_mixed_with_itself(folder, monkeypatch):
    monkeypatch.setattr(module, "_stores", lambda: {"prometheus": None})
    monkeypatch.setattr(module, "_send", lambda play, stores: None)
    monkeypatch.setattr(module, "alert", lambda prometheus, play: "page")
    Desk(folder).begin(3)
    with pytest.raises(IncidentError, match="incident 3 began 0 s ago.*\n.*wait 300 s"):
        Desk(folder).begin(3)
    kept = Desk(folder)
    kept.open.end_ns -= SECONDS * 10**9
    module.keep(kept.path, kept.incidents)
    assert kept.begin(3) and [one.end for one in kept.incidents] == [GIVEN_UP, ""]


def test_two_do_not_begin_at_once(folder, monkeypatch):
    monkeypatch.setattr(module, "_stores", lambda: {"prometheus": None})
    monkeypatch.setattr(module, "_send", lambda play, stores: None)
    monkeypatch.setattr(module, "alert", lambda prometheus, play: "page")
    told = threading.Event()
    beginning = threading.Thread(target=Desk(folder).begin, args=(3, lambda line: told.set()))
    with locked(Desk(folder).path.with_suffix(".lock")):
        beginning.start()
        assert told.wait(10) and not Desk(folder).incidents
    beginning.join(10)
    assert Desk(folder).open.seed == 3


def test_who_begins_another_one_is_told_that_the_open_one_is_given_up(folder, monkeypatch):
    monkeypatch.setattr(module, "_stores", lambda: {"prometheus": None})
    monkeypatch.setattr(module, "_send", lambda play, stores: None)
    monkeypatch.setattr(module, "alert", lambda prometheus, play: "page")
    told = []
    Desk(folder).begin(3, told.append)
    assert not any("given up" in line for line in told)
    Desk(folder).begin(4, told.append)
    assert told[-1] == "Incident 3 was open, and is given up."


@pytest.mark.parametrize(
    ("wrong", "said"), [(0, "with 0 wrong answers"), (1, "with 1 wrong answer on"), (2, "with 2 wrong answers")]
)
def test_what_was_wrong_is_counted_in_words_that_fit(wrong, said, folder, capsys):
    desk = opened(folder, 3)
    for _ in range(wrong):
        desk.answer(share="0")
    assert module.answered(desk, right_answers(desk.open.play))
    assert said in capsys.readouterr().out


def test_a_trace_id_in_capitals_is_kept_as_stores_and_pages_write_it(folder):
    desk = opened(folder, 3)
    trace = right_answers(desk.open.play)["trace"]
    assert desk.answer(trace=f" {trace.upper()} ") == {"trace": ""}
    assert Desk(folder).open.right["trace"] == trace


def test_a_record_that_cannot_be_read_is_none(folder):
    (folder / ".saved").mkdir()
    (folder / ".saved" / "incident.json").write_text("[{")
    assert not Desk(folder).incidents


def test_the_page_escapes_and_holds_the_picture(folder):
    play = Play(1, END_NS)
    incident = Incident(1, END_NS, "page: <b>", {**right_answers(play), "share": "<i>33"}, end=SOLVED)
    trace = [span for span in play.spans if span.trace_id == incident.right["trace"]]
    page = module.page(incident, trace)
    assert "<svg" in page and incident.right["trace"] in page and play.outage.cause in page
    assert "<b>" not in page and "<i>" not in page and "&lt;i&gt;33" in page


def test_without_a_seed_none_comes_twice_until_all_were_met(folder, monkeypatch):
    monkeypatch.setattr(module, "_stores", lambda: {"prometheus": None})
    monkeypatch.setattr(module, "_send", lambda play, stores: None)
    monkeypatch.setattr(module, "alert", lambda prometheus, play: "page")
    met = [Desk(folder).begin(None).play.outage for _ in OUTAGES]
    assert set(met) == set(OUTAGES)
    assert Desk(folder).begin(None).play.outage in OUTAGES
    assert [one.end for one in Desk(folder).incidents] == [GIVEN_UP] * len(OUTAGES) + [""]


# In the stores


@pytest.fixture(scope="module")
def stores():
    """The stores and the Collector, as the finished app has them, and the settings by which they are found."""
    beside, src = Beside(bring=True), lessons.ROOT / "src" / "otel"
    try:
        found = {name: beside.program(name, src / "prometheus.yml" if name == "prometheus" else None) for name in STORES}
        yield found, {k: str(v) for p in found.values() for k, v in port_settings(p.program, p.ports).items()}
    finally:
        beside.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_incident_leaves_no_process_and_no_case(number, folder, stores):
    import psutil

    env = {**environment(packages(lessons.find("400/100"))), **stores[1], FOLDER: str(folder), "PYTHONUNBUFFERED": "1"}
    command = [Path(sys.prefix) / "bin" / "workshop", "incident", "--seed", "25"]
    beginning = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "go through the Collector" in beginning.stdout.readline()
    started = psutil.Process(beginning.pid).children(recursive=True)
    beginning.send_signal(number)
    beginning.communicate(timeout=30)
    assert beginning.returncode and not started
    assert not Desk(folder).open and not Desk(folder).solved


def test_it_arrives_in_all_stores_wakes_somebody_and_ends_as_a_page(folder, stores, monkeypatch):
    found, settings = stores
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    desk = Desk(folder)
    incident = desk.begin(13)  # each test has seeds of its own: the stores are shared
    play = incident.play
    assert re.fullmatch("ticket: hardly a SERVER span for all these requests", incident.alert)
    count = f"sum({module.REQUESTS}_count{{{module.OF % play.environment}}})"
    assert play.begin_ns < json.loads((folder / ".saved" / "incident.json").read_text())[0]["end_ns"]
    counted = found["prometheus"].query_range(count, play.end_ns / 1e9 - SECONDS, play.end_ns / 1e9, 5)
    assert max(value for _, value in counted[0].samples) > 400
    desk.answer(**right_answers(play))
    desk.report(folder / "page.html")
    assert "<svg" in (folder / "page.html").read_text()


def test_a_prometheus_that_cannot_tell_incidents_apart_is_named_with_the_file(folder, stores, monkeypatch):
    for name, value in stores[1].items():
        monkeypatch.setenv(name, value)
    real = module._stores()
    monkeypatch.setattr(module, "ARRIVE_SECONDS", 0.5)
    monkeypatch.setattr(module, "OF", 'no_such_label="%s"')
    monkeypatch.setattr(module, "_stores", lambda: real)
    with pytest.raises(IncidentError, match="Prometheus does not have it(.|\n)*src/otel/prometheus.yml"):
        Desk(folder).begin(24)
    assert not Desk(folder).open
    with pytest.raises(IncidentError, match="would be mixed"):
        Desk(folder).begin(24)


def test_the_burn_rates_are_those_of_what_happened(folder, stores, monkeypatch):
    for name, value in stores[1].items():
        monkeypatch.setenv(name, value)
    incident = Desk(folder).begin(9)
    burn = float(
        re.fullmatch(r"page: the budget of “99 % below 500” burns ([\d.]+) times as fast as it may", incident.alert)[1]
    )
    assert burn == pytest.approx(incident.play.share * 100, rel=0.3)


# Each is found out by the page's own way.

SOLVED_BY = re.compile(
    r"^## (\d+): ([\w-]+)$.*?^```promql\n(.*?)\n```.*?^```text\n(.*?)\n```.*?whom `(.*?)`, where `(\w)`, change `(\w)`",
    re.MULTILINE | re.DOTALL,
)
WAYS = {int(found[1]): found for found in SOLVED_BY.finditer(Path(__file__).with_name("incidents.md").read_text("utf-8"))}
PAGE = lessons.find("400/200")
SLOW, WELL = 'le=~"0.5|0.75|[1-9].*"', 'le=~"0.0.*"'


class Way:
    """Somebody who reads the page, and asks its queries about an incident of which they know the seed and the end."""

    def __init__(self, stores: dict, seed: int, end: float, alert: str):
        self.stores, self.seed, self.end = stores, seed, end
        marks = {"99 %": 'http_response_status_code=~"5.."', "95 %": 'le="0.25"', "spans": 'origin="local"'}
        self.kind = next((kind for kind in marks if kind in alert), "spans")
        self.mark = marks[self.kind]

    def block(self, starts: str, mark: str = "") -> str:
        """The page's one query that begins so and has the mark of what the alert is about."""
        found = [b.text for b in PAGE.blocks if b.kind == "query" and b.text.startswith(starts) and mark in b.text]
        assert len(found) == 1, (starts, found)
        return found[0].replace("incident-1", f"incident-{self.seed}")

    def at(self, query: str, moment: float) -> list:
        return self.stores["prometheus"].query_range(query, moment, moment, 1)

    def since(self) -> float:
        """Ten seconds before the curve of what the alert is about leaves the ground."""
        query = self.block("sum(rate(", self.mark)
        (curve,) = self.stores["prometheus"].query_range(query, self.end - SECONDS, self.end, 5)
        return next(moment for moment, value in curve.samples if value > 0.001) - 10

    def whom(self) -> str:
        """One process where nearly all is its; one route where nearly all is its; else all."""
        if self.kind == "spans":
            return "all"
        by_route = self.block("sum by (http_request_method, http_route)", self.mark)
        by_instance = by_route.replace("http_request_method, http_route", "instance")
        if self.kind == "99 %":
            by_instance = self.block("sum by (instance)")
        process, route = (max(self.at(query, self.end), key=lambda s: s.value) for query in (by_instance, by_route))
        whole = sum(series.value for series in self.at(by_instance, self.end))
        if process.value > 0.9 * whole:
            return process.labels["instance"][:8]
        assert route.value > 0.9 * whole
        return f"{route.labels['http_request_method']} {route.labels['http_route']}"

    def share(self) -> str:
        """What the alert is about, divided by all."""
        query = self.block("sum(increase(")
        if self.kind == "95 %":
            slow = self.block("sum by (http_request_method, http_route)", self.mark)
            query = f"({slow.replace(' by (http_request_method, http_route)', '').replace('3m', '2m')})\n/{query.rpartition('/')[2]}"
        elif self.kind == "spans":
            return "100"
        (series,) = self.at(query, self.end)
        return f"{series.value:.1%}"

    def trace(self) -> str:
        """The newest exemplar of what the alert is about."""
        assert SLOW in (PAGE.folder / "README.md").read_text(encoding="utf-8")
        asked = {"99 %": 'http_response_status_code="500"', "95 %": SLOW, "spans": 'le!=""'}[self.kind]
        selector = f'{{deployment_environment_name="incident-{self.seed}", {asked}}}'
        found = self.stores["prometheus"].exemplars(f"{module.REQUESTS}_bucket{selector}")
        return max(found, key=lambda one: one.time_ns).trace_id

    def well(self, route: str) -> set[str]:
        """The traces that stand beside a slow one: exemplars of the same route, in the buckets that the page names."""
        assert WELL in (PAGE.folder / "README.md").read_text(encoding="utf-8")
        method, path = route.split(" ", 1)
        of = f'deployment_environment_name="incident-{self.seed}", http_request_method="{method}", http_route="{path}"'
        return {one.trace_id for one in self.stores["prometheus"].exemplars(f"{module.REQUESTS}_bucket{{{of}, {WELL}}}")}


@pytest.mark.parametrize("seed", SEEDS)
def test_each_incident_is_found_out_by_the_way_of_the_page(seed, folder, stores, monkeypatch):
    found, settings = stores
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    name, evidence, lines, whom, where, change = WAYS[seed].groups()[1:]
    desk = Desk(folder)
    incident = desk.begin(seed)
    way = Way(found, seed, incident.end_ns / 1e9, incident.alert)
    since, trace = way.since(), way.trace()
    known = {
        "since": datetime.fromtimestamp(since, timezone.utc).strftime("%H:%M:%S"),
        "whom": way.whom(),
        "share": way.share(),
    }
    assert whom in (known["whom"], "one"), (name, known)
    before, after = (next((one.value for one in way.at(evidence, moment)), 0) for moment in (since - 5, way.end))
    assert after >= 2 * before and after > 0, (name, before, after)
    wanted = ".*\n(.*\n)*?.*".join(".+".join(map(re.escape, line.split("…"))) for line in lines.splitlines())
    assert re.search(wanted, waterfall.text(found["jaeger"].trace(trace)))
    failed = found["logs"].query(way.block("deployment.environment.name"))
    assert bool(failed) == (way.kind == "99 %") == ("exception at" in lines)
    if way.kind == "95 %":
        route = next(request.route for request in incident.play.hit if request.trace_id == trace)
        beside = way.well(route)
        assert beside and not beside & {request.trace_id for request in incident.play.hit}
    assert not any(desk.answer(**known, where=where, trace=trace, change=change).values()), (name, known)
    assert not desk.open
