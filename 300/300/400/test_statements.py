"""The statements of a request lie below its span, and the page sends no more of them for more tasks."""

import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from workshop.checks.checkpoint import Checkpoint
from workshop.checks.sandbox import END
from workshop.course import turns

# A database as the lessons before this one have made it.
BEFORE = """
CREATE TABLE task (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, text VARCHAR(256) NOT NULL, created_at DATETIME NOT NULL,
    done_at DATETIME);
INSERT INTO task (text, created_at) VALUES ('Water the plants', '2026-01-31 09:00:00.000000');
"""


def visit(checkpoint):
    """One run on a database from before: the steps of its one task, then ten tasks more; the app, and its answers."""
    with closing(sqlite3.connect(checkpoint.database)) as connection:
        connection.executescript(BEFORE)
    with checkpoint.serve(shown=True) as app:
        page = app.get("/")
        checkpoint.must(
            page.status != 200 or "Water the plants" in page.text,
            "tasks-lost",
            seen="a page without the task that was in the database before this lesson",
            expected="every task that was there",
            why="your database outlives each lesson; nothing may drop its tables or rename them",
        )
        has_form(checkpoint, page, 1)
        form = app.form("/add")
        app.post("/tasks/1/steps", {**form, "text": "Fill the can"})
        app.post("/steps/1/done", form)
        answers = {"done": app.get("/")}
        app.post("/steps/1/undo", form)
        answers["undone"] = app.get("/")
        app.post("/tasks/1/steps", {**form, "text": " "}, wanted=422)
        app.post("/tasks/2/steps", {**form, "text": "of no task"}, wanted=404)
        app.post("/tasks/1/delete", form)
        add_tasks(app, range(2, 4))
        answers["few"] = app.get("/")
        answers["added"] = add_tasks(app, range(4, 12))
        checkpoint.run("curl -s -o /dev/null http")
        answers["many"] = app.get("/")
    return app, answers


@pytest.mark.before("no-steps")
def test_a_database_from_before_keeps_its_tasks_and_gets_steps(checkpoint):
    app, answers = checkpoint.shared(visit)

    done, undone = answers["done"].text, answers["undone"].text
    checkpoint.must(
        "Fill the can" in done and "is-done" in done and "is-done" not in undone,
        "not-changed",
        seen="a page that does not show the step, or shows it as it was before it was marked",
        expected="the step below its task, marked as done, and then not",
        why="a change is kept only after `db.session.commit()`, and the page shows what the template asks for",
    )
    with closing(sqlite3.connect(app.checkpoint.database)) as connection:
        lost = connection.execute("PRAGMA foreign_key_check").fetchall()
    checkpoint.must(
        not lost,
        "orphans",
        seen="a step that is left in the database after its task was deleted",
        expected="no step without a task",
        why="SQLite lets it happen; PostgreSQL refuses to delete the task, and the page fails",
        do="delete the steps of a task before the task",
    )


@pytest.mark.before("no-steps")
def test_the_page_sends_no_more_statements_for_ten_tasks_than_for_two(checkpoint):
    app, answers = checkpoint.shared(visit)
    app.checkpoint.run("workshop trace --log output.log")
    app.checkpoint.run("workshop trace --log output.log | grep")

    few, many, added = (answers[name] for name in ("few", "many", "added"))
    app.sql_below(app.server_span(added))
    told = [span.name for span in app.spans if "step 11" in str(span.attributes)]
    checkpoint.must(
        not told,
        "value-in-statement",
        seen=f"the text of a step in a span {told[0]!r}" if told else "",
        expected="a `?` where it goes",
        why="what stands in the SQL is recorded; SQLAlchemy keeps values beside it unless you build the text yourself",
    )
    shown = [number for number in range(2, 12) if f"step {number}<" not in many.text]
    checkpoint.must(
        not shown,
        "no-steps",
        seen=f"a page without the steps of {len(shown)} of ten tasks",
        expected="every step below its task",
        why="the template shows what `task.steps` holds",
    )
    before, after = (app.sql_below(app.server_span(page, name="GET /")) for page in (few, many))
    most, times = Counter(span.statement.strip() for span in after).most_common(1)[0]
    checkpoint.must(
        len(after) == len(before),
        "n-plus-one",
        seen=f"GET / sends {len(before)} statements for 2 tasks and {len(after)} for 10; {times} times\n{most}",
        expected="the same number of statements, however many tasks there are",
        why="`task.steps` asks the database at the moment when the template uses it, once for each task",
        do="let the select of `index()` fetch the steps of all tasks at once: `.options(selectinload(Task.steps))`",
    )
    if checkpoint.at == END and not checkpoint.turn:
        hold_picture(checkpoint)


def hold_picture(checkpoint):
    """Hold picture and text against the page as it was first written, without the cure: the first wrong turn."""
    uncured = turns.of(checkpoint.lesson, turns.WRONG)[0]
    first = Checkpoint(checkpoint.lesson, END, checkpoint.folder / "first", None, turn=uncured)
    with first.serve() as app:
        add_tasks(app, range(1, 11))
        page = app.get("/")
    span = app.server_span(page)
    app.sql_below(span, exactly=11)
    assert {span.parent_id for span in app.spans if span.name.startswith("PRAGMA ")} == {None}
    checkpoint.picture("n-plus-one.svg", [span, *app.below(span)])


def has_form(checkpoint, page, task):
    checkpoint.must(
        page.status != 200 or f'action="/tasks/{task}/steps"' in page.text,
        "no-steps",
        seen=f"a page without a form that goes to /tasks/{task}/steps",
        expected="below each task its steps, and a form that adds one",
        why="`_steps.html` draws them, where `_task.html` includes it",
    )


def add_tasks(app, numbers):
    """Add tasks that get these numbers, each with a step; returns the answer to the last step."""
    form = app.form("/add")
    for number in numbers:
        app.post("/add", {**form, "text": f"task {number}"})
        answer = app.post(f"/tasks/{number}/steps", {**form, "text": f"step {number}"})
    return answer
