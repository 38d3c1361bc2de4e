"""Forms of strangers and texts that make no sense get a clear answer, and nothing is lost or executed."""

import html
from concurrent.futures import ThreadPoolExecutor

import pytest

TOO_LONG = "x" * 257
HOSTILE = "<script>alert('mine')</script>"
KEPT = ["🪴 water the plants", "שלום עולם", "O'Brien; DROP TABLE task; --", "x" * 256]


def visit(checkpoint):
    """What strangers and tired people send, in one run of the app: the app, and the answers by what they answer."""
    with checkpoint.serve(shown=True) as app:
        answers = {
            "blank": app.submit("/add", {"text": "  "}, wanted=422),
            "long": app.submit("/add", {"text": TOO_LONG}, wanted=422),
            "file": app.ask("POST", "/add", 422, data=app.form("/add"), files={"text": ("list.txt", b"a file")}),
            "huge": app.submit("/add", {"text": "y" * 1_000_000}, wanted=413),
            "empty": app.get("/"),
        }
        app.submit("/add", {"text": "Buy milk"})
        checkpoint.run("curl -s -o /dev/null -w '%{http_code}\\n' -d")
        checkpoint.run("curl -s -o /dev/null -w '%{http_code}\\n' http")
        answers["forged"] = [
            app.post("/add", {"text": "forged"}, wanted=400),
            app.post("/tasks/1/delete", wanted=400),
            app.post("/tasks/1/done", {"csrf_token": "made-up"}, wanted=400),
        ]
        answers["after"] = app.get("/")
        app.submit("/tasks/1/done")
        form = app.form("/add")
        answers["nowhere"] = [
            app.post("/tasks/4711/done", form, wanted=404),
            app.post(f"/tasks/{'9' * 30}/delete", form, wanted=404),
            app.get("/tasks/1/delete", wanted=405),
            app.get("/no-such-page", wanted=404),
        ]
        with ThreadPoolExecutor(8) as crowd:
            answers["deleted"] = list(crowd.map(lambda _: app.post("/tasks/1/delete", form, wanted=(302, 404)), range(8)))
        for text in [HOSTILE, *KEPT]:
            app.submit("/add", {"text": text})
        answers["full"] = app.get("/")
    return app, answers, form


@pytest.mark.before("wrong-status")
def test_a_form_of_a_stranger_is_refused_and_changes_nothing(checkpoint):
    _, answers, _ = checkpoint.shared(visit)

    after = answers["after"]
    explained(checkpoint, answers["forged"])
    checkpoint.must(
        "Buy milk" in after.text and "forged" not in after.text and "is-done" not in after.text,
        "forged",
        seen="a form without the app's token changed the list",
        expected="status 400 and the list as it was",
        why="a page of somebody else can send any form, but cannot read your token",
    )


@pytest.mark.before("wrong-status")
def test_a_text_that_makes_no_sense_comes_back_with_the_reason_and_any_other_is_shown_as_typed(checkpoint):
    _, answers, _ = checkpoint.shared(visit)

    long = answers["long"].text
    explained(checkpoint, [answers["huge"]])
    checkpoint.must(
        "Write down" in answers["blank"].text and "at most 256" in long and TOO_LONG in long,
        "not-explained",
        seen="the page that comes back does not say what is wrong, or has lost what was typed",
        expected="the reason, and the text as it was typed",
        why="who typed 257 characters does not want to type them again",
    )
    checkpoint.must(
        "Nothing to do" in answers["empty"].text,
        "accepted",
        seen="a refused text is in the list",
        expected="an empty list",
        why="the view must ask the form before it saves",
    )
    full = answers["full"].text
    missing = [text for text in [HOSTILE, *KEPT] if text not in html.unescape(full)]
    checkpoint.must(
        not missing and HOSTILE not in full,
        "not-escaped",
        seen=f"{missing[0][:40]!r} is not on the page" if missing else "the page holds a stranger's <script>",
        expected="every text, letter by letter, and none of it as HTML",
        why="Jinja escapes what stands in {{ }} unless it is told that it is safe",
    )


@pytest.mark.before("wrong-status")
def test_what_does_not_exist_is_said_clearly(checkpoint):
    _, answers, _ = checkpoint.shared(visit)

    explained(checkpoint, answers["nowhere"])
    checkpoint.must(
        [answer.status for answer in answers["deleted"]].count(302) == 1,
        "deleted-twice",
        seen="a task that eight people delete at once is deleted more or less than once",
        expected="one redirect, and 404 for all others",
        why="one statement per change leaves no gap between looking and deleting",
    )


@pytest.mark.before("wrong-status")
def test_a_page_that_is_open_during_a_restart_can_still_be_sent(checkpoint):
    first, _, form = checkpoint.shared(visit)
    with first.checkpoint.serve() as app:
        app.cookies = first.cookies
        app.post("/add", {**form, "text": "Buy milk"})

    key = first.checkpoint.folder / "instance" / "session.key"
    mode = key.stat().st_mode & 0o777 if key.exists() else 0o600
    checkpoint.must(
        mode == 0o600,
        "key-readable",
        seen=f"instance/session.key has mode {mode:o}",
        expected="600: only its owner may read it",
        why="whoever reads the key can sign cookies as your app does",
    )


def explained(checkpoint, answers):
    bare = next((answer for answer in answers if "Back to the list" not in answer.text), None)
    checkpoint.must(
        bare is None,
        "bare-error",
        seen=f"{bare}: {bare.status} with a page of the server's own" if bare else "",
        expected="your error page, with the way back to the list",
        why="an error is a page too, and people must find their way home from it",
    )
