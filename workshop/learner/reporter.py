"""A check for people: one line a proof, and a diagnosis that fits a screen."""

from __future__ import annotations

import re

import click
import pytest

from workshop.course.lessons import Lesson
from workshop.terminal import say, wrapped

# A diagnosis begins with its name; its lines begin with a label.
NAME = re.compile(r"\A[a-z\d-]+$", re.MULTILINE)
LABEL = re.compile(r"^ +(seen|expected|why|do|read)  ", re.MULTILINE)


class Reporter:
    """Prints each proof as it is made, in place of pytest's own terminal output, and at the end how many hold."""

    def __init__(self) -> None:
        self._said = ""
        self._green = self._all = 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._all = len(session.items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and not report.failed:
            return
        claim = report.nodeid.split("::")[-1].removeprefix("test_").replace("_", " ")
        if report.passed:
            self._green += 1
            _say(wrapped(claim, click.style("✓ ", fg="green"), "  "))
            return
        why = str(report.longrepr)
        claim = wrapped(claim + " (same)" * (why == self._said), click.style("✗ ", fg="red"), "  ")
        _say(claim if why == self._said else f"{claim}\n\n{_marked(wrapped(why))}\n")
        self._said = why

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            _say(f"{click.style('✗', fg='red')} {report.nodeid}\n{report.longrepr}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self._all and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            color = "green" if self._green == self._all else "red"
            _say(click.style(f"\n{self._green} of {self._all}", fg=color, bold=True) + " green")


def _marked(why: str) -> str:
    """A diagnosis whose name and labels stand out."""
    why = NAME.sub(lambda name: click.style(name[0], fg="red", bold=True), why)
    return LABEL.sub(lambda label: click.style(label[0], bold=True), why)


def _say(line: str) -> None:
    try:
        click.echo(line)  # as it is
    except BrokenPipeError:
        raise KeyboardInterrupt from None  # as in `workshop check | head`: nobody reads on, so what runs is stopped


def run(lesson: Lesson, at: str, *more: str) -> int:
    """Run the checks of one lesson; returns pytest's exit status."""
    say(f"{lesson.name} {lesson.title}" + ("" if at == "mine" else f", at its {at}"))
    reporter = Reporter()
    options = ["--rootdir", str(lesson.root), "-p", "no:terminal", "-p", "no:cacheprovider", "--at", at, *more]
    return int(pytest.main([*options, str(lesson.folder)], plugins=[reporter]))
