"""The lessons, followed from their text alone in a clone, from the first to the last."""

import json
import subprocess
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


def test_who_follows_the_text_from_the_first_lesson_to_the_last_gets_every_check_green(learner: Learner, log: Path):
    clone = learner.clone
    names = [lesson.name for lesson in lessons.lessons(clone)]
    for name in names:
        lesson = lessons.find(name, clone)
        learner.installs_what_is_needed_for(lesson)
        learner.runs(f"workshop start {name}")
        learner.types(lesson)
        learner.answers(lesson, log)
        for block in lesson.blocks:
            if block.kind == "command" and block.text.startswith("workshop check"):
                learner.runs(block.text)
    assert json.loads((clone / ".saved" / "progress.json").read_text())["done"] == names
    assert "Nothing" in learner.runs(f"workshop diff {names[-1]}")


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
