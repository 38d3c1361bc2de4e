"""Which app the stories are told to: the finished one (`--at end`), one that only says hello (`--at start`), or your own."""

import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from workshop.checks.app import App
from workshop.checks.checkpoint import Checkpoint
from workshop.checks.sandbox import APP, END, MINE, START
from workshop.course import lessons


def starter(at, folder):
    """A function that serves the app in a `with` block, each time on the same database."""
    lesson = lessons.find("300/200/100") if at == START else lessons.lessons()[-1]
    checkpoint = Checkpoint(lesson, MINE if at == MINE else END, folder, lambda: None, prefix=Path(sys.prefix))

    checkpoint.environment |= {"AGENT": "env", "OTEL_SDK_DISABLED": "true"}  # what the app tells is for other lessons to check

    @contextmanager
    def start():
        app = App(checkpoint, "sh run.sh", "todo", APP, None)  # the page of the last lesson need not serve it
        try:
            app.start()
            yield app
        finally:
            app.stop()

    return start


@pytest.fixture
def start_app(request, tmp_path):
    """For a story that starts its app itself, and stops it."""
    return starter(request.config.getoption("--at"), tmp_path)


@pytest.fixture(scope="module")
def app(request, tmp_path_factory):
    """One app for all other stories: none of them may need an empty list."""
    with starter(request.config.getoption("--at"), tmp_path_factory.mktemp("app"))() as served:
        yield served
