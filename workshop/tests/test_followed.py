"""The lessons, followed from their text alone in a clone, from the first to the last."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workshop.checks.checkpoint import Checkpoint
from workshop.checks.process import environment
from workshop.checks.sandbox import END
from workshop.course import lessons
from workshop.course.quiz import Quiz, has_quiz
from workshop.course.replay import apply, replay
from workshop.dev import contents

COMMAND = "import sys; from workshop.cli import main; sys.argv[0] = 'workshop'; main()"


class Learner:
    """Somebody who reads a page and does what it says: types its blocks into `src/` and runs its `workshop` commands."""

    def __init__(self, clone: Path):
        self.clone = clone
        (clone / "bin").mkdir()
        command = clone / "bin" / "workshop"
        command.write_text(f"#!{sys.executable}\n{COMMAND}\n", encoding="utf-8")
        command.chmod(0o755)
        self.env = {**environment(), "PYTHONPATH": str(clone)}
        self.env["PATH"] = os.pathsep.join([str(clone / "bin"), self.env["PATH"]])

    def runs(self, command: str) -> str:
        done = subprocess.run(command, shell=True, cwd=self.clone, env=self.env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def types(self, lesson: lessons.Lesson) -> None:
        """Write each block where it belongs, into the files as they are on the disk."""
        for block in lesson.blocks:
            path = self.clone / block.title
            if block.title.startswith("src/"):
                there = {block.title[4:]: path.read_bytes()} if path.exists() else {}
                apply(block, there)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(there[block.title[4:]])

    def answers(self, lesson: lessons.Lesson, log: Path) -> None:
        """Answer the lesson's quiz, where it has one; a quiz about a trace is about the newest one in `log`."""
        if has_quiz(lesson):
            quiz = Quiz(lesson, self.clone.parent / "key")
            quiz.begin(log=log if quiz.about_a_trace else None)
            letters = self.clone.parent / "answers.txt"
            letters.write_text("".join(f"{question.key}\n" for question in quiz.questions), encoding="utf-8")
            about = f" --log {log}" if quiz.about_a_trace else ""
            self.runs(f"workshop quiz {lesson.name} --answers {letters}{about}")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What a traced app has printed while a task was added."""
    checkpoint = Checkpoint(lessons.find("300/300/100"), END, tmp_path / "traced", lambda: None)
    with checkpoint.serve() as app:
        app.submit("/add", {"text": "Buy milk"})
    path = tmp_path / "output.log"
    path.write_text(app.output, encoding="utf-8")
    return path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The repository as it is now, without what a learner's use has left in it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=lessons.ROOT,
        capture_output=True,
        check=True,
    )
    target = tmp_path / "my clone, übung"
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (lessons.ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(lessons.ROOT / name, target / name)
    return target


def test_who_follows_the_text_from_the_first_lesson_to_the_last_gets_every_check_green(clone: Path, log: Path):
    learner = Learner(clone)
    names = [lesson.name for lesson in lessons.lessons(clone)]
    for name in names:
        lesson = lessons.find(name, clone)
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
