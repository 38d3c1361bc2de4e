"""The pages of the app."""

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.exceptions import HTTPException

from todo.forms import TaskForm
from todo.models import Task, db, now

bp = Blueprint("tasks", __name__)


@bp.get("/")
def index():
    """Show the list."""
    return list_page(TaskForm())


def list_page(form: TaskForm) -> str:
    """The form that adds a task, and the list: what is to do before what is done, the newest first."""
    tasks = db.session.scalars(db.select(Task).order_by(Task.done_at.is_not(None), Task.id.desc())).all()
    left = sum(task.done_at is None for task in tasks)
    return render_template("index.html", tasks=tasks, left=left, form=form)


@bp.post("/add")
def add():
    """Add a task, or show what is wrong with it."""
    form = TaskForm()
    if not form.validate():
        return list_page(form), 422
    db.session.add(Task(text=form.text.data))
    db.session.commit()
    return redirect(url_for("tasks.index"))


@bp.post("/tasks/<id:task_id>/done", defaults={"done": True})
@bp.post("/tasks/<id:task_id>/undo", defaults={"done": False})
def mark(task_id: int, done: bool):
    """Mark a task as done, or as not done yet."""
    return change(db.update(Task).where(Task.id == task_id).values(done_at=now() if done else None))


@bp.post("/tasks/<id:task_id>/delete")
def delete(task_id: int):
    """Remove a task for good."""
    return change(db.delete(Task).where(Task.id == task_id))


def change(statement):
    """Change one task and go back to the list. Without such a task, answer 404."""
    if db.session.execute(statement).rowcount == 0:
        abort(404)
    db.session.commit()
    return redirect(url_for("tasks.index"))


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
