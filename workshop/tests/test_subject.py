"""The copy on which a check works: whole, with ports of its own, and told in the learner's own words."""

import os
from pathlib import Path

import pytest

from workshop import lessons
from workshop.diagnosis import Broken
from workshop.subject import APP, END, MINE, START, Subject

LESSON = "300/300/100"


class Mine:
    """A lesson whose repository is somewhere else, so that a test can fill its `src/`."""

    def __init__(self, root: Path):
        self.root = root
        (root / "src").mkdir()

    def put(self, name: str, data: bytes) -> None:
        path = self.root / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def mine(tmp_path: Path) -> Mine:
    (tmp_path / "home").mkdir()
    return Mine(tmp_path / "home")


def copied(mine: Mine, tmp_path: Path) -> Subject:
    return Subject.of(mine, MINE, tmp_path / "copy")


def test_start_and_end_are_the_replay(tmp_path: Path):
    lesson = lessons.find(LESSON)
    start, end = (Subject.of(lesson, at, tmp_path / at).folder / "run.sh" for at in (START, END))
    assert "opentelemetry-instrument" not in start.read_text() and "opentelemetry-instrument" in end.read_text()


def test_mine_is_a_copy_without_what_a_running_app_makes(mine: Mine, tmp_path: Path):
    for name in (
        "run.sh",
        "todo/views.py",
        "notes with spaces ü.txt",
        "instance/todo.db",
        "output.log",
        "todo/__pycache__/x.pyc",
    ):
        mine.put(name, b"5001\n")
    folder = copied(mine, tmp_path).folder
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {"run.sh", "todo/views.py", "notes with spaces ü.txt"}


def test_ports_are_swapped_where_they_stand_alone_and_back(mine: Mine, tmp_path: Path):
    mine.put("run.sh", b"flask run -p 5001  # not 15001, 5001.5 or 50011\n")
    mine.put("picture.png", b"\x89PNG 5001 \xff")
    subject = copied(mine, tmp_path)
    subject.swap_ports()
    text = (subject.folder / "run.sh").read_text()
    assert f"-p {subject.ports[APP]}  # not 15001, 5001.5 or 50011" in text
    assert subject.unswap(text) == "flask run -p 5001  # not 15001, 5001.5 or 50011\n"
    assert (subject.folder / "picture.png").read_bytes() == b"\x89PNG 5001 \xff"
    assert (mine.root / "src" / "run.sh").read_text().startswith("flask run -p 5001")


def test_a_script_with_the_line_ends_of_windows_runs(mine: Mine, tmp_path: Path):
    mine.put("run.sh", b"echo one\r\necho two\r\n")
    subject = copied(mine, tmp_path)
    subject.swap_ports()
    assert (subject.folder / "run.sh").read_bytes() == b"echo one\necho two\n"


def test_paths_of_the_copy_are_told_as_the_learners(mine: Mine, tmp_path: Path):
    subject = copied(mine, tmp_path)
    said = f'File "{subject.folder}/todo/views.py", line 7; {subject.folder.parent}/check.db'
    assert subject.unswap(said) == 'File "src/todo/views.py", line 7; /…/src/instance/todo.db'


@pytest.mark.parametrize(
    "name, shadows",
    [("flask.py", True), ("json.py", True), ("views.py", False), ("flask/notes.txt", False), ("rich/__init__.py", True)],
)
def test_files_that_hide_a_package_are_found(mine: Mine, tmp_path: Path, name: str, shadows: bool):
    mine.put(name, b"")
    assert copied(mine, tmp_path).shadows() == ((f"src/{name.split('/')[0]}",) if shadows else ())


def test_a_file_that_cannot_be_copied_is_named(mine: Mine, tmp_path: Path):
    os.symlink("nowhere", mine.root / "src" / "broken")
    with pytest.raises(Broken) as caught:
        copied(mine, tmp_path)
    assert caught.value.diagnosis.rung == "unreadable" and "src/broken" in caught.value.diagnosis.seen
