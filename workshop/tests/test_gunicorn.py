"""300/900/100 says that workers come and go with `--max-requests`, and what each has served is known: counted here."""

import subprocess
from pathlib import Path

import pytest

from workshop.checks.checkpoint import Checkpoint, Record
from workshop.checks.sandbox import END
from workshop.course import lessons

AGENT = "opentelemetry-instrument gunicorn -w 2 --max-requests 10 wsgi:app"
SET_UP_IN_EACH = "gunicorn -w 2 --max-requests 10 production:app"


@pytest.mark.parametrize("command", [AGENT, SET_UP_IN_EACH])
def test_what_a_worker_has_served_that_ends_by_itself_is_told(tmp_path: Path, command: str):
    checkpoint = Checkpoint(lessons.find("300/900/100"), END, tmp_path, lambda name: None, Record())
    endings = ["python", "endings.py", "TERM", *command.split()]
    told = subprocess.run(
        endings, cwd=checkpoint.folder, env=checkpoint.environment, capture_output=True, text=True, timeout=120
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1].split() == ["TERM", "40", "40", "0", "40", "40"]
