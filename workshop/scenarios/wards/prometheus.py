"""What Prometheus asks, takes and makes of it by its rules."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from workshop.checks.checkpoint import Checkpoint
from workshop.checks.rules import asked, play
from workshop.programs.instance import Instance, ProgramError
from workshop.programs.prometheus import Prometheus
from workshop.scenarios.wards.finding import Finding
from workshop.telemetry.metrics import Metric, NumberPoint
from workshop.telemetry.otlp import Telemetry, write_otlp

COUNT, BUCKET = "http_server_request_duration_seconds_count", "http_server_request_duration_seconds_bucket"
NAMED = {"todo:error_ratio:rate5m", "todo:tasks_added:rate5m", "ErrorBudgetBurns", "LatencyBudgetBurns", "RequestsWithoutSpans"}


def examine(checkpoint: Checkpoint, found: Finding) -> None:
    """It asks its targets, takes what is pushed, and its rules come to what they should when people meet errors."""
    found.wrong = "Prometheus does not have the numbers that it should have"
    rules_hold(checkpoint)
    with checkpoint.start("prometheus") as prometheus:
        try:
            asks(checkpoint, prometheus)
        finally:
            found.said = {"prometheus": prometheus.said}


def rules_hold(checkpoint: Checkpoint) -> None:
    """Nine hours are played to the rules: six are well, then many requests fail for 40 minutes, then all are slow and without spans."""
    ok, bad = (f'{{job="todo",http_response_status_code="{status}"' for status in (200, 500))
    answered, failed = "0+100x360 36060+60x39 38500+100x130", "0x360 40+40x39 1600x130"
    series = {
        f"{COUNT}{ok}}}": answered,
        f"{COUNT}{bad}}}": failed,
        f'{BUCKET}{ok},le="0.25"}}': "0+100x360 36060+60x39 38410+10x130",
        f'{BUCKET}{ok},le="+Inf"}}': answered,
        f'{BUCKET}{bad},le="0.25"}}': failed,
        f'{BUCKET}{bad},le="+Inf"}}': failed,
        'otel_sdk_span_started_total{job="todo",otel_span_parent_origin="none"}': "0+100x400 40000x130",
        'todo_tasks_added_total{job="todo",todo_task_source="form"}': "0+6x531",
    }
    fires = lambda alert: f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'  # noqa: E731
    failing, over, slow = "398m", "435m", "529m"  # when it is over, the long window of an hour is still full
    wanted = [
        ("todo:error_ratio:rate5m", "round(sum(todo:error_ratio:rate5m), 0.001)", failing, 0.4),
        ("todo:tasks_added:rate5m", "round(sum(todo:tasks_added:rate5m) * 60, 0.001)", failing, 6),
        *(
            (alert, fires(alert), moment, value)
            for alert, values in (
                ("ErrorBudgetBurns", (1, 0, 0)),
                ("LatencyBudgetBurns", (0, 0, 1)),
                ("RequestsWithoutSpans", (0, 1, 1)),
            )
            for moment, value in zip((failing, over, slow), values)
            if (alert, moment) != ("LatencyBudgetBurns", over)
        ),
    ]
    scenario = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [asked(query, name, moment, value) for name, query, moment, value in wanted],
    }
    for wrong in play(checkpoint, {"1m": [scenario]}):
        checkpoint.must(
            False,
            "rule-value",
            seen=f"{wrong['of']}: after {wrong['time']} of errors and of slow answers it is {float(wrong['got'].split()[-1]):g}",
            expected=f"{float(wrong['wanted']):g}",
            why="a rule that nobody tried is silent when it counts, or cries wolf",
            lesson="300/500/400",
        )


def asks(checkpoint: Checkpoint, prometheus: Prometheus) -> None:
    """What runs is asked and fed."""
    now, resource = time.time_ns(), {"service.name": "todo", "deployment.environment.name": "workshop"}
    point = NumberPoint({"todo.task.source": "form"}, now - 10**9, now, (), 3)
    metric = Metric("todo.tasks.added", "sum", (point,), "{task}", "", "cumulative", True, resource)
    refused = ""
    try:
        prometheus.post(f"{prometheus.url}/api/v1/otlp/v1/metrics", write_otlp(Telemetry([], [metric], []))["metrics"])
    except ProgramError as error:
        refused = str(error)
    found = prometheus.until(lambda: prometheus.query("todo_tasks_added_total"), 1) if not refused else []
    checkpoint.must(
        found,
        "push-refused",
        seen=refused or "todo_tasks_added_total comes to nothing, though it was pushed",
        expected="the number that was pushed",
        why="Prometheus takes OTLP where it is told to, and refuses what is too old or too new for it",
        lesson="300/500/300",
    )
    labels = found[0].labels
    checkpoint.must(
        labels.get("deployment_environment_name") == "workshop" and labels.get("todo_task_source") == "form",
        "not-promoted",
        seen=f"{labels}",
        expected='deployment_environment_name="workshop" and todo_task_source="form" on the series',
        why="of the resource only job and instance stand on each series, unless more is promoted",
        lesson="300/500/300",
    )
    targets = scraped(prometheus)
    silent = [url for url in targets if not answers_numbers(prometheus, url)]
    checkpoint.must(
        not silent and targets,
        "target-down",
        seen=f"nothing that Prometheus could read is at {checkpoint.sandbox.unswap(silent[0])}" if silent else "no target",
        expected="numbers at each address that it scrapes, its own among them",
        why="what cannot be scraped has no numbers, and no alert about them fires",
        lesson="300/500/300",
    )
    names = {rule.name for rule in prometheus.rules()}
    checkpoint.must(
        names >= NAMED,
        "no-rule",
        seen=f"rules: {', '.join(sorted(names)) or 'none'}; there is no {', no '.join(sorted(NAMED - names))}",
        expected="the rules of src/otel/rules.yml",
        why="Prometheus reads the files that `rule_files` names, and one that is not there is no error",
        lesson="300/500/300",
    )


def scraped(prometheus: Prometheus) -> list[str]:
    """The addresses that it is going to scrape: its first look comes after five seconds, and a check does not wait so long."""
    import yaml

    jobs = yaml.safe_load(prometheus.json("/api/v1/status/config")["data"]["yaml"]).get("scrape_configs") or ()
    targets = ((job, target) for job in jobs for group in job.get("static_configs", ()) for target in group.get("targets", ()))
    return [f"{job['scheme']}://{target}{job['metrics_path']}" for job, target in targets]


def answers_numbers(prometheus: Prometheus, url: str) -> bool:
    at = urlsplit(url)
    try:
        return "# TYPE" in Instance(prometheus.program, f"{at.scheme}://{at.netloc}", prometheus.ports, prometheus.folder).ask(
            at.path
        )
    except ProgramError:
        return False
