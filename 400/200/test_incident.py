"""An incident was found out from telemetry alone: since when, for whom, where, by which trace, and what is to change."""

import json
import re
from datetime import datetime, timezone

import pytest

from workshop.checks.sandbox import MINE, START
from workshop.learner.workspace import Workspace
from workshop.programs.lifecycle import port_settings
from workshop.scenarios.clinic import FOLDER
from workshop.scenarios.incident import SECONDS, Desk

REQUESTS = "http_server_request_duration_seconds_count"


@pytest.mark.before("no-incident")
def test_an_incident_is_found_out(checkpoint):
    if checkpoint.at == MINE and Workspace(checkpoint.lesson.root).progress()["current"]:
        desk = Desk(checkpoint.lesson.root)
    else:
        desk = Desk(checkpoint.folder.parent)
        if checkpoint.at != START:
            desk = found_out(checkpoint)
    desk.grade(checkpoint)


def found_out(checkpoint):
    """The way of the page."""
    root = checkpoint.folder.parent
    behind = [checkpoint.program(name) for name in ("jaeger", "logs")]
    with checkpoint.start("prometheus") as prometheus, checkpoint.start("collector") as collector:
        for program in (*behind, prometheus, collector):
            settings = port_settings(program.program, program.ports)
            checkpoint.environment |= {name: str(value) for name, value in settings.items()}
            checkpoint.environment[program.program.setting("URL")] = program.url
        checkpoint.environment[FOLDER] = str(root)
        run = lambda command: checkpoint.run(command, folder=root)  # noqa: E731
        assert run("workshop up jaeger prometheus logs collector").exit_code == 0
        begun = run("workshop incident --seed 1")
        assert begun.exit_code == 0, begun.output
        end = json.loads((root / ".saved" / "incident.json").read_text())[0]["end_ns"] / 1e9

        def ask(starts, begin=end):
            return prometheus.query_range(checkpoint.block("query", starts).text, begin, end, 5)

        curve = ask(f'sum(rate({REQUESTS}{{deployment_environment_name="incident-1", http', end - SECONDS)
        since = next(moment for moment, value in curve[0].samples if value > 0) - 10
        for quiet in (f'sum(rate({REQUESTS}{{deployment_environment_name="incident-1"}}[10s', "sum(rate(otel_sdk_span"):
            assert all(value < 0.001 for one in ask(quiet, end - SECONDS) for _, value in one.samples)
        by = "sum by (http_request_method, http_route) (increase(http_server_request_duration_seconds_count"
        routes = ask(by + '{deployment_environment_name="incident-1", http_r')
        assert len({one.labels["http_route"] for one in routes}) >= 4
        assert all(one.value < 0.5 for one in ask(by + '{deployment_environment_name="incident-1"}'))
        (sick,) = (one.labels["instance"] for one in ask("sum by (instance)"))
        files, memory = ask("process_open_file_descriptor_count"), ask("process_memory_usage_bytes")
        assert [one.labels["instance"] for one in files if one.value > 1000] == [sick] and len(memory) == 3
        (share,) = (one.value for one in ask("sum(increase("))
        rows = behind[1].query(checkpoint.block("query", "deployment.environment.name").text)
        assert [row["service.instance.id"] for row in rows] == [sick]
        trace = re.search("[0-9a-f]{32}", run("workshop trace").output)[0]
        assert run("workshop incident --where e --change g").exit_code == 0
        told = {
            "since": datetime.fromtimestamp(since, timezone.utc).strftime("%H:%M:%S"),
            "whom": sick[:8],
            "share": f"{share:.0%}",
            "trace": trace,
        }
        answered = Desk(root).answer(**told)
        assert not any(answered.values()), (told, answered)
        assert run("workshop incident --report postmortem.html").exit_code == 0
        assert trace in (root / "postmortem.html").read_text(encoding="utf-8")
    return Desk(root)
