"""One examination, from the command line of an app to the report."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from workshop.examine import subject
from workshop.examine.receiver import Receiver
from workshop.examine.subject import Plan, Run
from workshop.telemetry.otlp import Telemetry

if TYPE_CHECKING:
    from workshop.examine.findings import Evidence
    from workshop.examine.report import Report


def examine(plan: Plan, ports: tuple[int, ...] = (), signals: bool = False, least: float = 0, strict: bool = False) -> Report:
    """Start the program, ask it, stop it, and judge what it told; with `signals` once more, ended by SIGTERM.

    `ports` are those at which telemetry is taken besides. Raises UserError where there is nothing to start."""
    subject.must_be_startable(plan)
    run, told, ways = _life(plan, ports, signal.SIGINT)
    from workshop.examine import findings, rules  # loaded while the app has started
    from workshop.examine.report import Report

    evidence = findings.Evidence(plan, run, told, ways)
    if signals and run.listened:
        evidence.ended, evidence.ended_told, _ = _life(plan, ports, signal.SIGTERM)
    judged = rules.judge(_without_asker(evidence))
    return Report(evidence, findings.ladder(evidence), judged, findings.findings(evidence), least, strict)


def _life(plan: Plan, ports: tuple[int, ...], end: signal.Signals) -> tuple[Run, Telemetry, tuple[str, ...]]:
    with Receiver(ports) as receiver:
        run = subject.run(plan, f"http://127.0.0.1:{receiver.port}", end)
        told = receiver.telemetry
    from workshop.examine.findings import together

    everything = together(told, run.stdout)
    on_console = len(everything.spans) + len(everything.metrics) + len(everything.logs) > (
        len(told.spans) + len(told.metrics) + len(told.logs)
    )
    ways = [f"OTLP over {protocol}" for protocol in sorted(receiver.protocols)] + ["the console"] * on_console
    return run, everything, tuple(ways)


def _without_asker(e: Evidence) -> Telemetry:
    """The app's telemetry as if nobody had called: the spans that we only claimed to have are no missing parents."""
    claimed = {asked.response.parent_id for asked in e.run.asked} - {None}
    spans = [replace(span, parent_id=None) if span.parent_id in claimed else span for span in e.told.spans]
    return Telemetry(spans, e.told.metrics, e.told.logs)
