"""The doctor finds nothing to fix on this machine, and names a fault where there is one.

This lesson changes nothing in `src/`. Before it, each check asks the doctor on a machine in which its fault is caused.
"""

import os
import re
import sys

import pytest

from workshop.checks.process import inherited
from workshop.checks.sandbox import MINE, START


@pytest.mark.before("packages")
def test_nothing_on_this_machine_is_left_to_fix(checkpoint):
    demand_none(checkpoint, checkpoint.shared(report), "fix")

    found = ask(checkpoint, "OTEL_TRACES_EXPORTER=consle")
    named = any(finding.startswith("fix variables OTEL_TRACES_EXPORTER=consle expected console") for finding in found)
    checkpoint.must(
        named,
        "not-named",
        seen="the doctor does not name OTEL_TRACES_EXPORTER=consle",
        expected="the variable, its value, and the nearest value that exists",
        why="with this value an app makes no telemetry at all",
        do="`make clean install`: the workshop's own files may be damaged",
    )


@pytest.mark.before("variables")
def test_no_setting_is_exported_that_no_package_reads(checkpoint):
    unread = [finding for finding in checkpoint.shared(report) if "no package reads it" in finding]
    demand_none(checkpoint, unread, "note")

    found = ask(checkpoint, "export OTEL_LOG_EXPORTER")
    checkpoint.must(
        any(finding.startswith("note variables OTEL_LOG_EXPORTER: no package reads it") for finding in found),
        "not-named",
        seen="the doctor does not name OTEL_LOG_EXPORTER",
        expected="the name, the one that exists, and how to unset it",
        why="nobody reads this name, and nothing else would tell you",
        do="`make clean install`: the workshop's own files may be damaged",
    )


def report(checkpoint):
    """The doctor's findings; before the lesson, on a machine with a wrong package and a name that nobody reads."""
    faults = {**a_package_of_tomorrow(checkpoint), "OTEL_LOG_EXPORTER": "console"} if checkpoint.at == START else {}
    return ask(checkpoint, "workshop doctor", **faults)


def ask(checkpoint, command, **fault):
    """The findings that the lesson's command prints, each on one line: in the learner's shell, or in a clean one."""
    names = set(os.environ) - (set() if checkpoint.at == MINE else set(inherited()))
    path = os.pathsep.join([os.path.join(sys.prefix, "bin"), os.environ["PATH"]])
    checkpoint.environment = {**{name: os.environ[name] for name in names}, "PATH": path, **fault}
    report = checkpoint.run(command, folder=checkpoint.lesson.root).output
    return [" ".join(finding.split()) for finding in re.split(r"\n(?=\S)", report)]


def demand_none(checkpoint, findings, level):
    """Turn the first finding of this level into the diagnosis of the check; its name is the rung."""
    why = "a lesson would stop there, or show something else than its page" if level == "fix" else "it does nothing"
    for finding in findings:
        if match := re.match(rf"{level} (?P<name>\w+) (?P<seen>.*?) expected (?P<expected>.*?) do (?P<do>.*)", finding):
            checkpoint.must(False, match["name"], match["seen"], match["expected"], why, match["do"])


def a_package_of_tomorrow(checkpoint):
    """A Flask that seems to be installed: nothing but its metadata, in front of the real one."""
    info = checkpoint.folder.parent / "tomorrow" / "flask-99.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Flask\nVersion: 99.0\n", encoding="utf-8")
    return {"PYTHONPATH": str(info.parent)}
