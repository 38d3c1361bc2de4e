"""The questions about a trace of one's own are answered right; their key is computed from that very trace."""

import pytest

from workshop import lessons
from workshop.checks import App, Checkpoint
from workshop.quiz_check import every_question_is_answered_right
from workshop.subject import APP, END


@pytest.mark.before("quiz-open")
def test_every_question_about_a_trace_of_your_own_is_answered_right(checkpoint, tmp_path):
    def make_a_trace():
        """Ask the app of the last lesson, as `workshop demo` serves it, with the Jaeger of the checks behind it."""
        last = Checkpoint(lessons.lessons()[-1], END, tmp_path / "finished", lambda: checkpoint.jaeger)
        app = App(last, "sh run.sh", "todo", APP, checkpoint.jaeger)
        try:
            app.start()
            app.submit("/add", {"text": "Buy milk"})
            unknown = app.get("/nope", wanted=404)
        finally:
            app.stop()
        span = app.server_span(unknown, name="GET /nope")
        assert (span.status, app.below(span)) == ("UNSET", [])
        env = {"JAEGER_URL": checkpoint.jaeger.query_url, "COLUMNS": "120"}
        checkpoint.run("workshop trace", **env)
        return env

    every_question_is_answered_right(checkpoint, make_a_trace)
