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
        app.submit("/add", {"text": "Feed the cat"})
        app.submit("/add", {"text": "Buy milk"})
        added = app.get("/")
        listed(checkpoint, added, "Buy milk")
        number = max(tasks(added))
        app.submit(f"/tasks/{number}/done")
        done = app.get("/")
        app.submit(f"/tasks/{number}/undo")
        undone = app.get("/")
        form = app.form(f"/tasks/{number}/delete")
        app.post(f"/tasks/{number}/delete", form)
        deleted = app.get("/")
        app.post("/tasks/4711/delete", form, wanted=404)
        app.submit("/add", {"text": "Call Ada"})
        again = app.get("/")

    checkpoint.must(
        "Feed the cat" in deleted.text and done.text.count("is-done") < 2,
        "changed-others",
        seen="marking or deleting one task changed another one, too",
        expected="all other tasks as they were",
        why="a statement without `.where(Task.id == task_id)` is about every task",
    )
    checkpoint.must(
        ("is-done" in done.text, "is-done" in undone.text, "Buy milk" in deleted.text) == (True, False, False),
        "not-changed",
        seen="the page after `done`, `undo` or `delete` shows the task as it was before",
        expected="a task that is done, then is not, then is gone",
        why="a change is kept only after `db.session.commit()`",
    )
    checkpoint.must(
        max(tasks(again)) > number,
        "id-reused",
        seen=f"a new task got the id {number} of a deleted one",
        expected="an id that no task ever had",
        why="a page that is still open in another tab would tick off the wrong task",
    )
    checkpoint.must(
        "2 left" in added.text and "1 left" in done.text,
        "left",
        seen="a page with two open tasks that does not say `2 left`, or one with one that does not say `1 left`",
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
    checkpoint.must(
        not (checkpoint.folder / "instance" / "todo.db").exists(),
        "database-elsewhere",
        seen="the app writes to instance/todo.db though FLASK_SQLALCHEMY_DATABASE_URI names another database",
        expected="the database that the environment names",
        why="the default must be set before `from_prefixed_env()`, so that the environment has the last word",
    )


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
