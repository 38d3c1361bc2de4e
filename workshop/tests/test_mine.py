"""The learner's own work, in a repository of its own: the shell that runs it, and what a green check has set aside."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import dropwhile
from pathlib import Path

import pytest

from workshop.course import lessons
from workshop.course.replay import replay
from workshop.setup.environments import make_environment

LESSONS = ("300/200/200", "300/300/200", "300/400/200")  # before any telemetry, under the agent, and set up in code
# Of those that make the app, the ones that a later lesson is likeliest to break: by where it sends, what it adds, what it needs.
AT_RISK = ("300/300/300", "300/400/400", "300/400/500", "300/400/600")
LATER = dropwhile(lambda lesson: not any(block.title.startswith("src/") for block in lesson.blocks), lessons.lessons())
IGNORED = shutil.ignore_patterns("tests", "site", "__pycache__")


@pytest.fixture(params=LESSONS)
def lesson(request) -> str:
    """Each of some lessons, unless a test names others."""
    return request.param


@pytest.fixture
def root(tmp_path: Path, lesson: str) -> Path:
    """A repository whose `src/` is as this lesson ends."""
    root = tmp_path / "clone"
    for folder in ("workshop", "100", "200", "300", "400"):
        shutil.copytree(lessons.ROOT / folder, root / folder, ignore=IGNORED)
    for file in ("pyproject.toml", "requirements.txt"):
        shutil.copy2(lessons.ROOT / file, root)
    for name, data in replay(lessons.find(lesson)).items():
        (root / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "src" / name).write_bytes(data)
    (root / ".venv").symlink_to(sys.prefix)
    return root


def check(root: Path, lesson: str, **env: str) -> tuple[int, str]:
    """What `workshop check` says of the lesson there."""
    code = f"from workshop.cli import main; main(['check', {lesson!r}], prog_name='workshop')"
    line = [sys.executable, "-c", code]
    active = {"PATH": os.pathsep.join([f"{sys.prefix}/bin", os.environ["PATH"]]), "PYTHONPATH": str(root)}
    done = subprocess.run(line, cwd=root, env={**os.environ, **active, **env}, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_a_shell_without_the_environment_is_told_to_activate_it(root: Path, lesson: str):
    code, said = check(root, lesson, PATH="/usr/bin:/bin")
    assert code == 1
    assert "not-active" in said and "`source .venv/bin/activate`" in said
    assert "Traceback" not in said


def test_after_a_green_check_a_database_of_older_models_is_named_and_left_alone(root: Path, lesson: str):
    own = root / "src" / "instance" / "todo.db"
    own.parent.mkdir()
    with closing(sqlite3.connect(own)) as made:
        made.execute("CREATE TABLE task (id INTEGER PRIMARY KEY, text TEXT)")
        made.commit()
    before = own.read_bytes()
    code, said = check(root, lesson, OTEL_SERVICE_NAME="mine")
    assert code == 0, said
    assert said.count("src/instance/todo.db is older than your models") == 1
    assert "`mv src/instance/todo.db src/instance/todo.db.old`" in " ".join(said.split())
    assert "Your shell exports OTEL_SERVICE_NAME" in said
    assert own.read_bytes() == before


OLD = """opentelemetry-instrumentation-flask==0.50b0 \\
    --hash=sha256:db7fb40191145f4356a793922c3fc80a33689e6a7c7c4c6def8aa1eedb0ac42a \\
    --hash=sha256:e56a820b1d43fdd5a57f7b481c4d6365210a48a1312c83af4185bc636977755f
"""


@pytest.mark.parametrize("lesson", LESSONS[1:])
@pytest.mark.parametrize("rung, instead", [("missing-package", ""), ("two-trains", OLD)])
def test_an_environment_with_other_packages_is_told_with_what_cures_it(
    root: Path, lesson: str, tmp_path: Path, rung: str, instead: str
):
    requirements, own = tmp_path / "requirements.txt", tmp_path / "own"
    pinned = (root / "requirements.txt").read_text()
    requirements.write_text(
        re.sub(r"^opentelemetry-instrumentation-flask==.*\n( .*\n)+", lambda _: instead, pinned, flags=re.M)
    )
    make_environment(own, requirements, progress=lambda _: None)
    active = {"VIRTUAL_ENV": str(own), "PATH": os.pathsep.join([f"{own}/bin", f"{sys.prefix}/bin", os.environ["PATH"]])}
    code, said = check(root, lesson, **active)
    assert code == 1
    assert re.search(rf"^ *{rung}$", said, re.M) and "opentelemetry-instrumentation-flask" in said
    assert "pip install" in said or "make install" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "name", [pytest.param(on.name, marks=() if on.name in AT_RISK else pytest.mark.thorough) for on in LATER]
)
def test_what_a_lesson_proves_is_still_true_of_the_finished_app(learner, name):
    last = lessons.lessons()[-1]
    learner.installs_what_is_needed_for(last)
    learner.runs(f"workshop solve {last.name}")
    learner.runs(f"workshop check {name}")
