"""An app that has run and stopped, made from what it printed, for tests of what a checkpoint says about such a run."""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace

from workshop.checks.app import App
from workshop.course import lessons
from workshop.diagnosis.facts import Facts
from workshop.telemetry.console import Console, read_console

LESSON = "300/300/100"


class Finished(App):
    """A run of `service` that printed this, whose spans `jaeger` may have too."""

    def __init__(self, printed: str, service: str = "todo", jaeger=None):
        self._printed, self.service, self.jaeger, self.responses, self._stored = printed, service, jaeger, [], []
        self.checkpoint = SimpleNamespace(lesson=lessons.find(LESSON), where_it_differs=lambda: "compare")

    @property
    def output(self) -> str:
        return self._printed

    @cached_property
    def console(self) -> Console:
        return read_console(self._printed)

    def facts(self, **more) -> Facts:
        known = {
            "lesson": LESSON,
            "command": "sh run.sh",
            "output": self.output,
            "spans": self.spans,
            "metrics": self.console.metrics,
        }
        return Facts(**{**known, **more})
