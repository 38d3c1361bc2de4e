"""The app, started by the lesson's command line, answers over HTTP."""

import pytest


@pytest.mark.before("no-run-file")
def test_the_app_serves_its_page_with_its_looks_and_says_that_it_is_alive(checkpoint):
    with checkpoint.serve(shown=True) as app:
        page = app.get("/")
        style = app.get("/static/style.css")
        health = app.get("/health")
        app.get("/no-such-page", wanted=404)
        headers = checkpoint.run("curl -sI").output
        alive = checkpoint.run("curl -s http://localhost:5001/health").output

    checkpoint.must(
        "To do" in page.text and "style.css" in page.text,
        "page",
        seen=f"a page that begins {page.text[:60]!r}",
        expected="your list in the frame of base.html",
        why='`{% extends "base.html" %}` puts the page into its frame',
    )
    assert headers.startswith("HTTP/1.1 200") and "text/css" in style.headers["Content-Type"]
    checkpoint.must(
        health.text.strip() == alive.strip() == "ok",
        "health",
        seen=f"GET /health answers {health.text[:60]!r}",
        expected="'ok'",
        why="a monitor reads nothing but this",
    )
