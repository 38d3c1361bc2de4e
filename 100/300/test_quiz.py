"""The questions about a trace of one's own are answered right; their key is computed from that very trace."""

import pytest

from workshop.checks.quiz import every_question_is_answered_right
from workshop.scenarios.demo import finished_app


@pytest.mark.before("quiz-open")
def test_every_question_about_a_trace_of_your_own_is_answered_right(checkpoint, tmp_path):
    def make_a_trace():
        """Ask the app of the last lesson, as `workshop demo` serves it, with the Jaeger of the checks behind it."""
        with finished_app(checkpoint.jaeger, tmp_path / "finished", beside=True) as app:
            app.submit("/add", {"text": "Buy milk"})
            unknown = app.get("/nope", wanted=404)
        span = app.server_span(unknown, name="GET /nope")
        assert (span.status, app.below(span)) == ("UNSET", [])
        env = {"JAEGER_URL": checkpoint.jaeger.query_url, "COLUMNS": "120"}
        checkpoint.run("workshop trace", **env)
        return env

    every_question_is_answered_right(checkpoint, make_a_trace)
