"""A check for people: one line a proof, and a diagnosis that fits a screen."""

from __future__ import annotations

import click
import pytest

from workshop.course.lessons import Lesson


class Reporter:
    """Prints each proof as it is made, in place of pytest's own terminal output."""

    def __init__(self) -> None:
        self._said = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and not report.failed:
            return
        claim = report.nodeid.split("::")[-1].removeprefix("test_").replace("_", " ")
        if report.passed:
            _say(f"{click.style('✓', fg='green')} {claim}")
            return
        why = str(report.longrepr)
        _say(f"{click.style('✗', fg='red')} {claim}" + (" (same)" if why == self._said else f"\n\n{why}\n"))
        self._said = why

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            _say(f"{click.style('✗', fg='red')} {report.nodeid}\n{report.longrepr}")


def _say(line: str) -> None:
    try:
        click.echo(line)
    except BrokenPipeError:
        raise KeyboardInterrupt from None  # as in `workshop check | head`: nobody reads on, so what runs is stopped


def run(lesson: Lesson, at: str, *more: str) -> int:
    """Run the checks of one lesson; returns pytest's exit status."""
    click.echo(f"{lesson.name} {lesson.title}" + ("" if at == "mine" else f", at its {at}"))
    reporter = Reporter()
    options = ["--rootdir", str(lesson.root), "-p", "no:terminal", "-p", "no:cacheprovider", "--at", at, *more]
    return int(pytest.main([*options, str(lesson.folder)], plugins=[reporter]))
