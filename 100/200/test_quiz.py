"""The API records nothing until there is an SDK, and the questions about the picture are answered right."""

import pytest

from workshop.checks.quiz import every_question_is_answered_right


@pytest.mark.before("quiz-open")
def test_every_question_about_the_picture_is_answered_right(checkpoint):
    def touch_the_seam():
        assert checkpoint.run("python -c").output.strip() == "False"
        assert checkpoint.run("opentelemetry-instrument").output.strip() == "True"
        checkpoint.block("command", "workshop quiz 100/200 --answers answers.txt")
        return {}

    every_question_is_answered_right(checkpoint, touch_the_seam)
