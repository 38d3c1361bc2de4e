"""The requirements say what to look for, the budget is computed right, and the questions about them are answered."""

import re

import pytest

from workshop.checks.quiz import every_question_is_answered_right
from workshop.checks.sandbox import START
from workshop.course import requirements as operators


@pytest.mark.before("no-requirements")
def test_every_question_of_an_operator_has_a_signal_and_a_name_to_look_for(checkpoint):
    page = checkpoint.lesson.readme.read_text(encoding="utf-8")
    if checkpoint.at == START:
        page = re.sub(r"^\|.*\n", "", page, flags=re.MULTILINE)
    problem = ""
    try:
        needs = operators.read(page).needs
    except operators.LessonError as error:
        problem = str(error)
    checkpoint.must(
        not problem,
        "no-requirements",
        seen=problem,
        expected="the tables of 200/300/README.md as they came with the workshop",
        why="the checks of later lessons read them",
        do="`git checkout 200/300/README.md`",
    )
    share = next(need.slo for need in needs if need.slo)
    down = share.days * 24 * 60 * (1 - share.share)
    assert f"Of 100,000 requests in {share.days} days, {share.budget(100_000):,} may fail" in " ".join(page.split())
    assert f"{down // 60:.0f} hours and {down % 60:.0f} minutes" in page


@pytest.mark.before("quiz-open")
def test_every_question_about_the_requirements_is_answered_right(checkpoint):
    every_question_is_answered_right(checkpoint)
