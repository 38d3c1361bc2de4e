"""The lessons, followed from their text alone in a clone, from the first to the last."""

import json
import subprocess
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest

from workshop.checks.checkpoint import Checkpoint
from workshop.checks.sandbox import END
from workshop.course import lessons
from workshop.course.replay import replay
from workshop.dev import contents
from workshop.tests.learner import Learner


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What a traced app has printed while a task was added."""
    checkpoint = Checkpoint(lessons.find("300/300/100"), END, tmp_path / "traced", lambda: None)
    with checkpoint.serve() as app:
        app.submit("/add", {"text": "Buy milk"})
    path = tmp_path / "output.log"
    path.write_text(app.output, encoding="utf-8")
    return path


def follows(learner: Learner, log: Path, way: list[str], checked: list[str], proved: Sequence[str] = ()) -> None:
    """Take these lessons one after the other as their pages say, and run the checks of some; others were `proved` before."""
    (learner.clone / ".saved").mkdir()
    (learner.clone / ".saved" / "progress.json").write_text(json.dumps({"current": way[0], "done": proved}))
    for name in way:
        lesson = lessons.find(name, learner.clone)
        learner.installs_what_is_needed_for(lesson)
        learner.runs(f"workshop start {name}")
        learner.types(lesson.blocks)
        learner.answers(lesson, log)
        learner.heals(lesson)
        learner.is_on_call(lesson)
        for block in lesson.blocks:
            if name in checked and block.kind == "command" and block.text.startswith("workshop check"):
                learner.runs(block.text)
    assert json.loads((learner.clone / ".saved" / "progress.json").read_text())["done"] == [*proved, *checked]
    assert "Nothing" in learner.runs(f"workshop diff {way[-1]}")


NAMES = [lesson.name for lesson in lessons.lessons()]
SECTIONS = {name: list(of) for name, of in groupby(NAMES, lambda name: name.rpartition("/")[0])}


@pytest.mark.parametrize("section", SECTIONS)
def test_who_follows_the_text_of_a_section_is_where_it_ends_and_the_last_check_is_green(learner, log, section):
    *before, last = SECTIONS[section]
    follows(learner, log, [*before, last], [last], [name for name in NAMES if name != last])


@pytest.mark.thorough
def test_who_follows_the_text_from_the_first_lesson_to_the_last_gets_every_check_green(learner, log):
    follows(learner, log, NAMES, NAMES)


def test_the_committed_app_is_the_full_replay_byte_for_byte():
    head = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "-z", "HEAD", "src/"], cwd=lessons.ROOT, capture_output=True, check=True
    )
    names = [name[4:] for name in head.stdout.decode().split("\0") if name]
    committed = {
        name: subprocess.run(["git", "show", f"HEAD:src/{name}"], cwd=lessons.ROOT, capture_output=True, check=True).stdout
        for name in names
    }
    assert committed == replay(lessons.lessons()[-1])


def test_every_page_names_the_file_of_a_block_in_the_sentence_above_it():
    missing = []
    for lesson in lessons.lessons():
        lines = lesson.readme.read_text(encoding="utf-8").splitlines()
        for block in lesson.blocks:
            if "/" in block.title or "." in block.title:
                above = [line for line in lines[: block.line - 1] if line.strip()][-3:]
                if f"`{block.title}`" not in " ".join(above) and block.kind != "shown":
                    missing.append(f"{block.where}:{block.line}: {block.title}")
    assert not missing


def test_every_chapter_lists_its_lessons_with_their_minutes():
    stale = [str(c) for c in lessons.chapters() if (c / "README.md").read_text(encoding="utf-8") != contents.page(c)]
    assert not stale, "`workshop output LESSON` writes the tables anew"
    bare = [str(c) for c in lessons.chapters() if contents.HEADING not in (c / "README.md").read_text(encoding="utf-8")]
    assert not bare, f"a chapter's page needs the heading {contents.HEADING!r}"
