"""A command line and what it prints."""

import sys

import pytest

from workshop.checks.process import Process, environment
from workshop.telemetry.console import read_console

HALVES = """
import sys
for part in ('{\\n    "name": "GE', 'T /",\\n    "kind": "x"\\n}\\nlast'):
    sys.stdout.write(part)
    sys.stdout.flush()
    sys.stderr.write("GET / 200\\n")
    sys.stderr.flush()
"""


@pytest.mark.parametrize("apart", [True, False])
def test_a_log_line_lands_within_a_span_unless_the_two_are_read_apart(tmp_path, apart):
    (tmp_path / "halves.py").write_text(HALVES, encoding="utf-8")
    process = Process(f"'{sys.executable}' halves.py", tmp_path, environment(), separate_stderr=apart)
    assert process.wait(30)
    if apart:
        assert [value for _, value in read_console(process.stdout).objects] == [{"name": "GET /", "kind": "x"}]
        wanted = ["{", '    "name": "GET /",', '    "kind": "x"', "}", "GET / 200", "GET / 200", "last"]
        assert sorted(process.output.splitlines()) == sorted(wanted)
    else:
        assert process.stdout == process.output == '{\n    "name": "GEGET / 200\nT /",\n    "kind": "x"\n}\nlastGET / 200\n'
        assert read_console(process.output).objects == []


def test_what_a_command_has_said_is_known_while_it_runs(tmp_path):
    process = Process("echo begun >&2; sleep 60", tmp_path, environment(), separate_stderr=True)
    try:
        assert process.wait_until(lambda: process.output == "begun\n", 30)
        assert process.stdout == ""
    finally:
        process.kill()
    assert process.exit_code is not None
