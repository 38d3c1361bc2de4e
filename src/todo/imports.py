"""Tasks from a file: kept at once, and given a first step in the background."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import uuid4

from flask import Blueprint, Flask, current_app, redirect, request, url_for
from opentelemetry import baggage, context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Status, StatusCode

from todo.advice import ask
from todo.files import keep, keep_step, lines_of
from todo.metrics import tasks_added

bp = Blueprint("imports", __name__)
pool = ThreadPoolExecutor(8)
log = logging.getLogger(__name__)
tracer = trace.get_tracer(__name__)


@bp.post("/import")
def take():
    """Keep each line of a file as a task, and do not wait for what the advisor says about them."""
    app = current_app._get_current_object()
    tasks = keep(lines_of(request.files.get("file")))
    tasks_added.add(len(tasks), {"todo.task.source": "file"})
    import_id = uuid4().hex
    trace.get_current_span().set_attributes({"todo.import.id": import_id, "todo.import.tasks": len(tasks)})
    sent = baggage.set_baggage("todo.import.id", import_id)
    known = {"otel.event.name": "todo.file.imported", "todo.import.tasks": len(tasks)}
    log.info("A file was imported.", extra=known)
    for task_id, words in tasks:
        pool.submit(run, app, sent, task_id, words).add_done_callback(report)
    return redirect(url_for("tasks.index"))


def run(app: Flask, sent: Context, task_id: int, words: int) -> None:
    """What a thread of the pool does, in the context in which the work was sent."""
    token = context.attach(sent)
    try:
        with app.app_context():
            find_step(task_id, words)
    finally:
        context.detach(token)


def report(work: Future) -> None:
    """Log what a thread raised: nobody waits for its result."""
    if error := work.exception():
        logging.getLogger(__name__).error("The work of a thread failed.", exc_info=error)


def find_step(task_id: int, words: int) -> None:
    """Ask the advisor for the first step of a task, and keep it. Without an answer it is asked once more."""
    failed = []
    for attempt in (1, 2):
        with tracer.start_as_current_span("find first step", links=failed) as span:
            span.set_attribute("todo.attempt", attempt)
            if step := ask("/step", words=words):
                return keep_step(task_id, step)
            span.set_status(Status(StatusCode.ERROR, "no answer"))
            failed = [Link(span.get_span_context())]
