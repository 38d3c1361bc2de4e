"""The learner's path: a task in the app, its trace in Jaeger, a lesson on the site, its code in the file, a green check."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from workshop.checks.app import App
from workshop.course import lessons
from workshop.course.fences import Block
from workshop.programs.jaeger import Jaeger, for_checks
from workshop.scenarios.demo import ARRIVE_SECONDS, finished_app
from workshop.tests.learner import Learner

LESSON = "300/300/100"
ADD = ("server", "POST /add")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """The finished app. Its links lead to Jaeger's API, because not every Jaeger has a web page."""
    with (
        for_checks() as jaeger,
        finished_app(jaeger, tmp_path / "app", beside=True, trace_page=f"{jaeger.query_url}/api/traces/") as running,
    ):
        yield running


@pytest.fixture
def window(browser: Browser) -> Iterator[Page]:
    """A page beside those of the site. No other host may be asked for anything."""
    hosts = set()
    page = browser.new_page()
    page.route(lambda url: urlsplit(url).hostname != "127.0.0.1", lambda route: route.abort())
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    yield page
    page.close()
    assert hosts == {"127.0.0.1"}


def await_span(jaeger: Jaeger, trace_id: str) -> None:
    """Wait until Jaeger has the request that adds a task: spans leave in batches."""
    deadline, pause = time.monotonic() + ARRIVE_SECONDS, Event()
    while ADD not in {(span.kind, span.name) for span in jaeger.trace(trace_id)}:
        assert time.monotonic() < deadline, f"trace {trace_id} did not come to Jaeger within {ARRIVE_SECONDS} s"
        pause.wait(0.1)


def paste(page: Page, block: Block, file: Path) -> None:
    """Copy a change with its button, and put what was copied in the place of the lines that the page shows."""
    shown = page.locator(".highlight.change", has_text=next(line[1:] for line in block.lines if line[0] == "+"))
    button = shown.get_by_role("button", name=f"Copy: {block.title}")
    button.click()
    expect(button).to_have_text("Copied")
    before = "".join(f"{line[1:]}\n" for line in block.lines if line[0] != "+")
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1
    file.write_text(text.replace(before, page.evaluate("navigator.clipboard.readText()")), encoding="utf-8")


def test_from_a_task_to_its_trace_and_from_a_lesson_to_a_green_check(visit, window: Page, app: App, clone: Path):
    window.goto(f"http://127.0.0.1:{app.port}/")
    window.get_by_label("What is to be done?").fill("Buy milk")
    window.keyboard.press("Enter")
    expect(window.get_by_role("main")).to_contain_text("Buy milk")
    command = window.get_by_role("status").locator("code").inner_text()
    trace_id = command.removeprefix("workshop trace ")
    await_span(app.jaeger, trace_id)
    with window.expect_response(f"{app.jaeger.query_url}/api/traces/{trace_id}") as answer:
        window.get_by_role("link", name="its page in Jaeger").click()
    [shown] = answer.value.json()["data"]
    assert shown["traceID"] == trace_id
    assert ADD[1] in {span["operationName"] for span in shown["spans"]}

    learner, script = Learner(clone), clone / "src" / "run.sh"
    learner.runs(f"workshop start {LESSON}")
    change, solution = (block for block in lessons.find(LESSON).blocks if block.title == "src/run.sh")
    page = visit(f"/{LESSON}/")
    paste(page, change, script)
    page.locator("summary", has_text="One way").click()
    paste(page, solution, script)
    learner.runs(f"workshop check {LESSON}")
