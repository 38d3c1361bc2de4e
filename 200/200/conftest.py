"""Which app the stories are told to: the finished one (`--at end`), one that only says hello (`--at start`), or your own."""

import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from workshop import lessons
from workshop.checks import Checkpoint
from workshop.diagnosis import Broken
from workshop.subject import END, MINE, START


@pytest.fixture(scope="module")
def start_app(request, tmp_path_factory):
    """Serve the app in a `with` block; a second block serves it again, on the same database."""
    at = request.config.getoption("--at")
    lesson = lessons.find("300/200/100") if at == START else lessons.lessons()[-1]
    subject, folder = MINE if at == MINE else END, tmp_path_factory.mktemp("app")
    checkpoint = Checkpoint(lesson, subject, folder, lambda: None, prefix=Path(sys.prefix))

    @contextmanager
    def start():
        with suppress(Broken), checkpoint.serve() as app:  # what a wrong answer means is for the story to say
            yield app

    return start


@pytest.fixture(scope="module")
def app(start_app):
    """One app for all stories: none of them may need an empty list."""
    with start_app() as served:
        yield served
