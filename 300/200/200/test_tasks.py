"""Tasks are kept in a database, over a restart and under many hands at once."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

TASK = re.compile(r"/tasks/(\d+)/delete")


def tasks(page):
    """The ids of the tasks on a page, in order."""
    return [int(number) for number in TASK.findall(page.text)]


def evening(checkpoint):
    """One task through all that can be done with it, and one that stays as it is; the pages on the way, by what was done."""
    pages = {}
    with checkpoint.serve(shown=True) as app:
        app.submit("/add", {"text": "Feed the cat"})
        app.submit("/add", {"text": "Buy milk"})
        pages["added"] = app.get("/")
        listed(checkpoint, pages["added"], "Buy milk")
        number = max(tasks(pages["added"]))
        app.submit(f"/tasks/{number}/done")
        pages["done"] = app.get("/")
        app.submit(f"/tasks/{number}/undo")
        pages["undone"] = app.get("/")
        form = app.form(f"/tasks/{number}/delete")
        app.post(f"/tasks/{number}/delete", form)
        pages["deleted"] = app.get("/")
        app.post("/tasks/4711/delete", form, wanted=404)
        app.submit("/add", {"text": "Call Ada"})
        pages["again"] = app.get("/")
    return app, number, pages


def morning(checkpoint):
    """The app is started again, and then fifty tasks come at once; the list before and after them."""
    first, _, _ = checkpoint.shared(evening)
    with first.checkpoint.serve() as app:
        before = app.get("/")
        listed(checkpoint, before, "Call Ada")
        form = app.form("/add")
        with ThreadPoolExecutor(10) as crowd:
            list(crowd.map(lambda number: app.post("/add", {**form, "text": f"task {number}"}), range(50)))
        after = app.get("/")
    return app, before, after


@pytest.mark.before("wrong-status")
def test_a_task_is_added_marked_done_taken_back_and_deleted(checkpoint):
    _, number, pages = checkpoint.shared(evening)

    checkpoint.must(
        "Feed the cat" in pages["deleted"].text and pages["done"].text.count("is-done") < 2,
        "changed-others",
        seen="marking or deleting one task changed another one, too",
        expected="all other tasks as they were",
        why="a statement without `.where(Task.id == task_id)` is about every task",
    )
    kept = ("is-done" in pages["done"].text, "is-done" in pages["undone"].text, "Buy milk" in pages["deleted"].text)
    checkpoint.must(
        kept == (True, False, False),
        "not-changed",
        seen="the page after `done`, `undo` or `delete` shows the task as it was before",
        expected="a task that is done, then is not, then is gone",
        why="a change is kept only after `db.session.commit()`",
    )
    checkpoint.must(
        max(tasks(pages["again"])) > number,
        "id-reused",
        seen=f"a new task got the id {number} of a deleted one",
        expected="an id that no task ever had",
        why="a page that is still open in another tab would tick off the wrong task",
    )
    checkpoint.must(
        "2 left" in pages["added"].text and "1 left" in pages["done"].text,
        "left",
        seen="a page with two open tasks that does not say `2 left`, or one with one that does not say `1 left`",
        expected="the number of tasks that are not done",
        why="this is your own step of the lesson",
    )


@pytest.mark.before("wrong-status")
def test_tasks_survive_a_restart(checkpoint):
    app, before, _ = checkpoint.shared(morning)

    listed(checkpoint, before, "Feed the cat")
    checkpoint.must(
        not (app.checkpoint.folder / "instance" / "todo.db").exists(),
        "database-elsewhere",
        seen="the app writes to instance/todo.db though FLASK_SQLALCHEMY_DATABASE_URI names another database",
        expected="the database that the environment names",
        why="the default must be set before `from_prefixed_env()`, so that the environment has the last word",
    )


@pytest.mark.before("wrong-status")
def test_fifty_adds_at_once_lose_nothing(checkpoint):
    _, before, after = checkpoint.shared(morning)

    came = len(tasks(after)) - len(tasks(before))
    checkpoint.must(
        came == 50,
        "lost",
        seen=f"{came} tasks more on the page after fifty were added at once",
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
