"""Users who come by a plan and do not wait for each other; what was sent is known exactly."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from workshop import cli
from workshop.checks.fake_server import FakeServer, response
from workshop.errors import UserError
from workshop.scenarios import traffic
from workshop.scenarios.traffic import MIX, TROUBLE, Visit


def asked(server: FakeServer) -> list[tuple[str, str]]:
    return sorted((request.path, request.headers["traceparent"].split("-")[1]) for request in server.requests)


def test_a_plan_is_the_same_for_a_seed_and_another_for_another():
    assert traffic.plan(20, 30, 7, 0.1, 0.1) == traffic.plan(20, 30, 7, 0.1, 0.1)
    assert traffic.plan(20, 30, 7) != traffic.plan(20, 30, 8)


def test_visits_come_at_random_as_often_as_asked_and_in_their_shares():
    visits = traffic.plan(100, 100, 3, errors=0.2, slow=0.1)
    assert abs(len(visits) - 10_000) < 4 * 100  # four standard deviations of a Poisson process
    gaps = [later.due - visit.due for visit, later in zip(visits, visits[1:])]
    assert abs(sum(gap > 0.01 for gap in gaps) / len(gaps) - 0.368) < 0.02  # 1/e: gaps are exponential, not even
    share = {journey: count / len(visits) for journey, count in Counter(visit.journey for visit in visits).items()}
    wanted = {"broken": 0.2, "slow": 0.1, **{name: 0.7 * weight / sum(MIX.values()) for name, weight in MIX.items()}}
    assert share == {name: pytest.approx(part, abs=0.02) for name, part in wanted.items()}


def test_shares_of_more_than_all_are_refused():
    with pytest.raises(UserError, match="more than all"):
        traffic.plan(1, 1, errors=0.6, slow=0.6)


def test_nobody_waits_for_another_however_slow_the_answers_are():
    visits = [Visit(number / 100, "reader", 1) for number in range(15)]
    with FakeServer([1.0, response("late")]) as server:
        sent = traffic.send(server.url, visits)
    assert sent.visits == sent.most_at_once == len(sent.requests) == 15
    assert all(request.seconds >= 1 and request.status == 200 for request in sent.requests)


def test_what_was_sent_is_what_came_each_request_with_a_trace_of_its_own():
    page = '<form action="/add"><input type="hidden" name="csrf_token" value="t0k3n"></form>'
    with FakeServer(response(page, Set_Cookie="session=mine; Path=/")) as server:
        sent = traffic.send(server.url, traffic.plan(100, 0.5, 5, errors=0.3, mix={"reader": 1, "searcher": 1}))
    assert sorted((request.path, request.trace_id) for request in sent.requests) == asked(server)
    assert len({request.trace_id for request in sent.requests}) == len(sent.requests) > 50
    posted = [request for request in server.requests if request.method == "POST"]
    assert posted and all(request.headers["Cookie"] == "session=mine" and b"t0k3n" in request.body for request in posted)
    assert sent.as_json()["requests"][0].keys() >= {"journey", "method", "path", "due", "late", "trace_id", "seconds", "status"}


def test_a_server_that_hangs_up_is_a_problem_of_the_request_and_of_nothing_else():
    with FakeServer([]) as server:
        sent = traffic.send(server.url, [Visit(0, "reader", 1), Visit(0, "planner", 1)])
    assert {request.problem for request in sent.requests} == {"ProtocolError"}
    assert not any(request.status for request in sent.requests)


def test_latency_is_that_of_a_kind():
    sent = traffic.Sent()
    for number in range(1, 101):
        for journey in ("reader", "planner"):
            request = traffic.Request(journey, "GET", f"/tasks/{number}/done", 0, 0, "", number, 200)
            sent.requests.append(request)
            request.seconds *= 2 if journey == "planner" else 1
    assert sent.latency(50, ("reader", "GET /tasks/<id>/done", "200")) == pytest.approx(50.5)
    assert sent.latency(95, ("planner", "GET /tasks/<id>/done", "200")) == pytest.approx(2 * 95.05)


# Trouble


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "todo.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE task (text TEXT)")
    return path


def test_trouble_concerns_its_own_tasks_only_and_is_gone_at_the_end(database):
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        with traffic.trouble(database, slow_rows=2):
            connection.execute("INSERT INTO task VALUES ('a broken and slow task')")
            connection.execute(f"INSERT INTO task VALUES ('workshop-{TROUBLE[1]}')")
            with pytest.raises(sqlite3.IntegrityError, match="disk I/O error"):
                connection.execute(f"INSERT INTO task VALUES ('workshop-{TROUBLE[0]}')")
        connection.execute(f"INSERT INTO task VALUES ('workshop-{TROUBLE[0]}')")
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


def test_trouble_left_by_a_run_that_was_killed_is_in_nobodys_way(database):
    left = traffic.trouble(database)
    left.__enter__()
    with traffic.trouble(database):
        pass
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


@pytest.mark.parametrize("content", [None, b"", b"no database at all, but long enough to be read as one"])
def test_a_file_that_is_not_the_apps_database_is_said_and_left_alone(tmp_path, content):
    file = tmp_path / "other.db"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match="--database"), traffic.trouble(file):
        pass
    assert (file.read_bytes() if file.exists() else None) == content


# The command


def run(*options: str):
    return CliRunner().invoke(cli.main, ["traffic", *options], prog_name="workshop")


def test_the_command_ends_with_a_table_or_with_json():
    with FakeServer(response("page")) as server:
        shown = run("--url", server.url, "--rate", "40", "--seconds", "0.5", "--mix", "reader=1")
        told = run("--url", server.url, "--rate", "40", "--seconds", "0.5", "--mix", "reader=1", "--json")
    assert shown.exit_code == told.exit_code == 0
    assert "reader" in shown.output and "GET /" in shown.output
    sent = json.loads(told.stdout)
    assert f"{sent['visits']} visits and {len(sent['requests'])} requests" in shown.output.replace("\n", " ")


@pytest.mark.parametrize(
    "options, words",
    [
        (["--url", "http://127.0.0.1:9"], "nothing answers at http://127.0.0.1:9"),
        (["--mix", "robot=1"], "'robot=1' is not one of reader, searcher, planner"),
        (["--mix", "reader=0"], "nobody would come"),
        (["--rate", "0"], "--rate"),
        (["--errors", "2"], "--errors"),
        (["--seconds", "0.001", "--rate", "0.1"], "nobody comes"),
    ],
)
def test_a_mistake_is_one_message(options, words):
    said = run(*options)
    assert said.exit_code != 0
    assert words in " ".join(said.output.split())
    assert "Traceback" not in said.output
