"""`workshop watch` as a real process, in a repository of small lessons; and the line that an instructor collects."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from workshop.checks.process import Process, environment
from workshop.course import lessons
from workshop.learner import watch
from workshop.learner.workspace import Workspace

CHECK = """
import pytest


@pytest.mark.before("missing")
def test_{name}_says_yes(checkpoint):
    path = checkpoint.folder / "{name}.txt"
    said = path.read_text() if path.exists() else "nothing"
    checkpoint.must(said == "yes", "missing", seen=f"{name} says {{said}}", expected="yes", why="it is so")
"""
SLOW = """
import pytest


@pytest.mark.before("no-run-file")
def test_it_serves(checkpoint):
    with checkpoint.serve():
        pass
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose first two lessons ask for a word in a file; the third serves, and never listens."""
    root = tmp_path / "my clone, übung"
    ignore = shutil.ignore_patterns("__pycache__", "tests", "site")
    shutil.copytree(lessons.ROOT / "workshop", root / "workshop", ignore=ignore)
    shutil.copy(lessons.ROOT / "pyproject.toml", root)
    pages = {
        "100/README.md": "# Words\n",
        "100/100/README.md": "# One\n",
        "100/100/test_it.py": CHECK.format(name="one"),
        "100/200/README.md": "# Two\n",
        "100/200/test_it.py": CHECK.format(name="two"),
        "100/200/src/given.txt": "given\n",
        "100/300/README.md": "# Slow\n\n```shell\nsh run.sh\n```\n",
        "100/300/test_it.py": SLOW,
        "src/readme.txt": "",
    }
    for name, text in pages.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def command(root: Path, arguments: str) -> Process:
    code = "import sys; from workshop.cli import main; sys.argv[0] = 'workshop'; main()"
    env = {**environment(), "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
    return Process(f"exec '{sys.executable}' -c \"{code}\" {arguments}", root, env)


def run(root: Path, arguments: str) -> str:
    process = command(root, arguments)
    assert process.wait(60)
    assert process.exit_code == 0, process.output
    return process.output


@pytest.fixture
def watching(root: Path) -> Iterator[Process]:
    """`workshop watch` after `workshop start 100/100`."""
    run(root, "start 100/100")
    process = command(root, "watch")
    try:
        yield process
    finally:
        process.kill()


def shows(process: Process, text: str, times: int = 1) -> None:
    assert process.wait_until(lambda: process.output.count(text) >= times, 60), f"no {text!r} in\n{process.output}"


def test_each_save_is_checked_and_green_goes_on_to_the_next_lesson(root, watching):
    shows(watching, "one says nothing")
    shows(watching, "Watching src/; the next save checks 100/100.")
    (root / "src" / "one.txt").write_text("no")
    shows(watching, "one says no\n")
    shows(watching, "Watching src/; the next save checks 100/100.", 2)
    (root / "src" / "mine.txt").write_text("my own")
    (root / "src" / "one.txt").write_text("yes")
    shows(watching, "✓ one says yes")
    shows(watching, "On to 100/200 Two: read 100/200/README.md.")
    shows(watching, "Watching src/; the next save checks 100/200.")
    assert "two says" not in watching.output
    assert {path.name for path in (root / "src").iterdir()} == {"mine.txt", "one.txt", "given.txt"}
    assert Workspace(root).progress() == {"current": "100/200", "done": ["100/100"]}


def test_an_editor_that_replaces_the_file_is_noticed_and_one_that_writes_twice_makes_one_check(root, watching):
    shows(watching, "Watching src/; the next save checks 100/100.")
    (root / "src" / "one.txt~").write_text("no")
    (root / "src" / "one.txt").write_text("perhaps")
    os.replace(root / "src" / "one.txt~", root / "src" / "one.txt")
    shows(watching, "Watching src/; the next save checks 100/100.", 2)
    assert watching.output.count("one says no\n") == 1
    assert "perhaps" not in watching.output


def test_after_the_last_lesson_it_ends(root, watching):
    shutil.rmtree(root / "100" / "200")
    shutil.rmtree(root / "100" / "300")
    shows(watching, "Watching src/; the next save checks 100/100.")
    (root / "src" / "one.txt").write_text("yes")
    assert watching.wait(60)
    assert watching.output.splitlines()[-1] == "Every lesson is done."
    assert watching.exit_code == 0


def test_ctrl_c_between_two_checks_ends_it_at_once_and_without_a_traceback(root, watching):
    shows(watching, "Watching src/")
    watching.interrupt()
    assert watching.wait(10)
    assert watching.exit_code == 130
    assert watching.output.endswith("\nStopped.\n")
    assert "Traceback" not in watching.output


def test_ctrl_c_during_a_check_leaves_no_process(root, tmp_path):
    (root / "src" / "run.sh").write_text(f"echo $$ > '{tmp_path}/pid'\nexec sleep 600\n")
    process = command(root, "watch 100/300")
    try:
        assert process.wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), 60)
        app = psutil.Process(int((tmp_path / "pid").read_text()))
        process.interrupt()
        assert process.wait(20)
        assert process.exit_code == 130, process.output
        assert process.output.endswith("\nStopped.\n")
        psutil.wait_procs([app], timeout=10)
        assert not app.is_running() or app.status() == psutil.STATUS_ZOMBIE
    finally:
        process.kill()


def test_enter_at_a_terminal_asks_for_a_check(monkeypatch):
    master, slave = os.openpty()
    with open(slave) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert not watch._pause()
        os.write(master, b"\n")
        assert watch._pause()
        assert not watch._pause()
    os.close(master)


def test_without_a_lesson_it_says_how_to_name_one(root):
    process = command(root, "watch")
    assert process.wait(60)
    assert process.exit_code == 2
    assert "which lesson? Name one, such as 300/300/100, or begin one with `workshop start`." in " ".join(
        process.output.split()
    )


def test_what_is_done_is_exported_as_one_line_without_a_name_or_a_path(root):
    assert json.loads(run(root, "status --export")) == {"done": [], "current": None, "of": 3, "minutes_left": 3}
    (root / ".saved").mkdir()
    (root / ".saved" / "progress.json").write_text('{"current": "100/200", "done": ["100/100", "900/gone"]}')
    line = run(root, "status --export")
    assert line.count("\n") == 1
    assert json.loads(line) == {"done": ["100/100"], "current": "100/200", "of": 3, "minutes_left": 2}
    assert str(root) not in line
