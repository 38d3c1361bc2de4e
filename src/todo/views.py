"""The pages of the app."""

import logging

from flask import Blueprint, abort, redirect, render_template, request, url_for
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber, get_logger
from sqlalchemy.orm import selectinload
from werkzeug.exceptions import HTTPException

from todo.advice import ask
from todo.forms import TaskForm
from todo.metrics import tasks_added, time_to_done
from todo.models import Step, Task, db, now, seconds_since
from todo.notice import read_notice
from todo.search import find

bp = Blueprint("tasks", __name__)
log = logging.getLogger(__name__)
events = get_logger(__name__)


@bp.get("/")
def index():
    """Show the list."""
    return list_page(TaskForm())


def list_page(form: TaskForm) -> str:
    """The form that adds a task, and the list: what is to do before what is done, the newest first."""
    newest_first = db.select(Task).order_by(Task.done_at.is_not(None), Task.id.desc())
    tasks = db.session.scalars(newest_first.options(selectinload(Task.steps))).all()
    left = sum(task.done_at is None for task in tasks)
    said = {"notice": read_notice(), "advice": ask("/advice", left=left)}
    return render_template("index.html", tasks=tasks, left=left, form=form, **said)


@bp.post("/add")
def add():
    """Add a task, or show what is wrong with it."""
    form = TaskForm()
    if not form.validate():
        return list_page(form), 422
    db.session.add(Task(text=form.text.data))
    db.session.commit()
    tasks_added.add(1, {"todo.task.source": "form"})
    trace.get_current_span().set_attribute("todo.task.length", len(form.text.data))
    log.info("A task was added.", extra={"todo.task.length": len(form.text.data)})
    return redirect(url_for("tasks.index"))


@bp.post("/tasks/<id:task_id>/done", defaults={"done": True})
@bp.post("/tasks/<id:task_id>/undo", defaults={"done": False})
def mark(task_id: int, done: bool):
    """Mark a task as done, or as not done yet."""
    still_open = db.update(Task).where(Task.id == task_id, Task.done_at.is_(None)).values(done_at=now())
    opened = db.session.scalars(still_open.returning(Task.created_at)).all() if done else []
    answer = change(db.update(Task).where(Task.id == task_id).values(done_at=now() if done else None))
    for created_at in opened:
        time_to_done.record(seconds_since(created_at))
    if done:
        number = {"todo.task.id": task_id}
        events.emit(event_name="todo.task.done", severity_number=SeverityNumber.INFO, body="A task is done.", attributes=number)
    return answer


@bp.post("/tasks/<id:task_id>/delete")
def delete(task_id: int):
    """Remove a task for good."""
    db.session.execute(db.delete(Step).where(Step.task_id == task_id))
    return change(db.delete(Task).where(Task.id == task_id))


@bp.post("/tasks/<id:task_id>/steps")
def add_step(task_id: int):
    """Add a step to a task."""
    form = TaskForm()
    if not form.validate():
        abort(422, "A step has 1 to 256 characters.")
    task = db.get_or_404(Task, task_id)
    db.session.add(Step(task_id=task.id, text=form.text.data))
    db.session.commit()
    return redirect(url_for("tasks.index"))


@bp.post("/steps/<id:step_id>/done", defaults={"done": True})
@bp.post("/steps/<id:step_id>/undo", defaults={"done": False})
def mark_step(step_id: int, done: bool):
    """Mark a step as done, or as not done yet."""
    return change(db.update(Step).where(Step.id == step_id).values(done_at=now() if done else None))


def change(statement):
    """Change one task and go back to the list. Without such a task, answer 404."""
    if db.session.execute(statement).rowcount == 0:
        abort(404)
    db.session.commit()
    return redirect(url_for("tasks.index"))


@bp.post("/search")
def search():
    """Show the tasks that are like the words. They come in the request's body: its address is recorded."""
    return render_template("found.html", tasks=find(request.form.get("words", "")[:256]))


@bp.get("/health")
def health():
    """Say that the app is alive, without asking the database."""
    return "ok"


@bp.app_errorhandler(HTTPException)
def error_page(error: HTTPException):
    """Show an error as a page of this app. Its status and its headers stay."""
    response = error.get_response()
    response.data = render_template("error.html", error=error)
    return response
