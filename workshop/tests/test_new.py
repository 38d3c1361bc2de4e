"""`workshop new`: a skeleton that is red and says what is left, and never replaces anything."""

import subprocess

import pytest

from workshop.course import lessons
from workshop.dev.new import make
from workshop.errors import UserError
from workshop.tests.learner import Learner


def test_a_new_lesson_is_red_until_it_is_written(learner: Learner):
    said = learner.runs("workshop new 400/900")
    assert "400/900/README.md" in said and lessons.find("400/900", learner.clone).tests
    end = subprocess.run(
        ["workshop", "check", "--at", "end", "400/900"], cwd=learner.clone, env=learner.env, capture_output=True, text=True
    )
    assert end.returncode == 1 and "not-written" in end.stdout and "Traceback" not in end.stdout
    assert "pytest --at end" in said


@pytest.mark.parametrize(
    "name, said", [("100/100", "is there already"), ("100/1", "no lesson's folder"), ("9/100", "no lesson's")]
)
def test_a_name_that_cannot_be_a_lesson_is_refused(toy, name: str, said: str):
    before = toy.contents(toy.root)
    with pytest.raises(UserError, match=said):
        make(name, toy.root)
    assert toy.contents(toy.root) == before


def test_a_lesson_needs_its_chapters_page_and_does_not_lie_in_a_lesson(toy):
    with pytest.raises(UserError, match="300/README.md is missing"):
        make("300/100", toy.root)
    toy.write("100/100/test_it.py", "")
    with pytest.raises(UserError, match="a lesson holds no other"):
        make("100/100/100", toy.root)
