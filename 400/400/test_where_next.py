"""The last questions are answered right, and every other lesson is proved."""

import pytest

from workshop.checks.quiz import every_question_is_answered_right
from workshop.checks.sandbox import MINE, START
from workshop.course import lessons
from workshop.learner import certificate
from workshop.learner.workspace import Workspace


@pytest.mark.before("quiz-open")
def test_every_question_about_the_course_is_answered_right(checkpoint):
    def ask():
        checkpoint.block("command", "workshop quiz 400/400")
        return {}

    every_question_is_answered_right(checkpoint, ask)


@pytest.mark.before("lessons-left")
def test_every_other_lesson_is_proved(checkpoint):
    workspace = record(checkpoint)
    others = [lesson for lesson in lessons.lessons() if lesson.name != checkpoint.lesson.name]
    left = [lesson for lesson in others if lesson.name not in workspace.progress()["done"]]
    checkpoint.must(
        not left,
        "lessons-left",
        seen=f"{len(others) - len(left)} of {len(others)} are proved; left: "
        + ", ".join(lesson.name for lesson in left[:8])
        + (", …" if len(left) > 8 else ""),
        expected="all of them",
        why="this check is the end of the map, and stands for nothing else",
        do=f"`workshop start {left[0].name}`, or leave it at that" if left else "",
    )
    if checkpoint.at != MINE:
        made = certificate.of(workspace, "Ada <Lovelace>")
        assert [lesson.name for lesson, _ in made.proved] == [lesson.name for lesson in others]


def record(checkpoint):
    """The learner's record; for a replay one in which all lessons before this one are proved, or all but one."""
    if checkpoint.at == MINE:
        return Workspace()
    made = Workspace(checkpoint.folder.parent)
    made.root = checkpoint.lesson.root
    others = [lesson for lesson in lessons.lessons() if lesson.name != checkpoint.lesson.name]
    made.go_on(others[0])
    for lesson in others[1:] if checkpoint.at == START else others:
        made.mark_done(lesson)
    return made
