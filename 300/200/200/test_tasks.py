"""Tasks are kept in a database, over a restart and under many hands at once."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

TASK = re.compile(r"/tasks/(\d+)/delete")


def tasks(page):
    """The ids of the tasks on a page, in order."""
    return [int(number) for number in TASK.findall(page.text)]


@pytest.mark.before("wrong-status")
def test_a_task_is_added_marked_done_taken_back_and_deleted(checkpoint):
    with checkpoint.serve(shown=True) as app:
        app.submit("/add", {"text": "Buy milk"})
        added = app.get("/")
        listed(checkpoint, added, "Buy milk")
        number = tasks(added)[0]
        app.submit(f"/tasks/{number}/done")
        done = app.get("/")
        app.submit(f"/tasks/{number}/undo")
        undone = app.get("/")
        app.submit(f"/tasks/{number}/delete")
        deleted = app.get("/")

    checkpoint.must(
        done.text != added.text and undone.text == added.text and "Buy milk" not in deleted.text,
        "not-changed",
        seen="the page after `done`, `undo` or `delete` shows the task as it was before",
        expected="a task that is done, then is not, then is gone",
        why="a change is kept only after `db.session.commit()`",
    )
    checkpoint.must(
        "1 left" in added.text and "0 left" in done.text,
        "left",
        seen="a page with one open task that does not say `1 left`, or one without that does not say `0 left`",
        expected="the number of tasks that are not done",
        why="this is your own step of the lesson",
    )


@pytest.mark.before("wrong-status")
def test_tasks_survive_a_restart(checkpoint):
    with checkpoint.serve() as app:
        app.submit("/add", {"text": "Water the plants"})
    with checkpoint.serve() as app:
        after = app.get("/")

    listed(checkpoint, after, "Water the plants")


@pytest.mark.before("wrong-status")
def test_fifty_adds_at_once_lose_nothing(checkpoint):
    with checkpoint.serve() as app:
        form = app.form("/add")
        with ThreadPoolExecutor(10) as crowd:
            list(crowd.map(lambda number: app.post("/add", {**form, "text": f"task {number}"}), range(50)))
        after = app.get("/")

    checkpoint.must(
        len(tasks(after)) == 50,
        "lost",
        seen=f"{len(tasks(after))} tasks on the page after fifty were added at once",
        expected="50",
        why="each request has its own session; something of another request was shared",
    )


def listed(checkpoint, page, text):
    checkpoint.must(
        text in page.text,
        "not-listed",
        seen=f"a page without the task {text!r}",
        expected="the task that was added",
        why="a change is kept only after `db.session.commit()`, and the page shows what the view gives it",
    )
