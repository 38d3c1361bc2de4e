"""Tasks from a file: kept at once, and given a first step in the background."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from flask import Blueprint, Flask, current_app, redirect, request, url_for
from opentelemetry import baggage, context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Status, StatusCode

from todo.advice import ask
from todo.forms import lines_of
from todo.models import Step, Task, db

bp = Blueprint("imports", __name__)
pool = ThreadPoolExecutor(8)
tracer = trace.get_tracer(__name__)


@bp.post("/import")
def take():
    """Keep each line of a file as a task, and do not wait for what the advisor says about them."""
    lines = [{"text": line} for line in lines_of(request.files.get("file"))]
    tasks = db.session.execute(db.insert(Task).returning(Task.id, Task.text), lines).all()
    db.session.commit()
    app = current_app._get_current_object()
    import_id = uuid4().hex
    trace.get_current_span().set_attributes({"todo.import.id": import_id, "todo.import.tasks": len(tasks)})
    sent = baggage.set_baggage("todo.import.id", import_id)
    for task_id, text in tasks:
        pool.submit(run, app, sent, task_id, len(text.split()))
    return redirect(url_for("tasks.index"))


def run(app: Flask, sent: Context, task_id: int, words: int) -> None:
    """What a thread of the pool does, in the context in which the work was sent."""
    token = context.attach(sent)
    try:
        with app.app_context():
            advise(task_id, words)
    finally:
        context.detach(token)


def advise(task_id: int, words: int) -> None:
    """Give a task its first step. An advisor without an answer is asked once more."""
    failed = []
    for attempt in (1, 2):
        with tracer.start_as_current_span("find first step", links=failed) as span:
            span.set_attribute("todo.attempt", attempt)
            if step := ask("/step", words=words):
                # One statement, so that a task which was deleted meanwhile gets no step.
                found = db.select(Task.id, db.literal(step[:256])).where(Task.id == task_id)
                db.session.execute(db.insert(Step).from_select(["task_id", "text"], found))
                db.session.commit()
                return
            span.set_status(Status(StatusCode.ERROR, "no answer"))
            failed = [Link(span.get_span_context())]
