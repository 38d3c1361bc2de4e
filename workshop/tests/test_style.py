"""The code is formatted and clean; the rules are in pyproject.toml."""

import subprocess
import sys

import pytest

from workshop.course.fences import ROOT


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_the_code_keeps_the_rules(command):
    done = subprocess.run([sys.executable, "-m", "ruff", *command, "--no-cache", ROOT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
