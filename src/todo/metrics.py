"""What the app counts and measures."""

from collections.abc import Iterable

from flask import Flask
from opentelemetry import metrics
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.metrics import CallbackOptions, Observation

from todo.models import Task, db

meter = metrics.get_meter(__name__)

tasks_added = meter.create_counter("todo.tasks.added", unit="{task}", description="Tasks that were added.")

HOUR, DAY = 3600, 86400
time_to_done = meter.create_histogram(
    "todo.task.time_to_done",
    unit="s",
    description="How long a task was open.",
    explicit_bucket_boundaries_advisory=[60, 600, HOUR, 4 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY],
)


def watch_open_tasks(app: Flask) -> None:
    """Count the open tasks each time that metrics leave."""

    def open_tasks(options: CallbackOptions) -> Iterable[Observation]:
        with suppress_instrumentation(), app.app_context():
            return [Observation(db.session.scalar(db.select(db.func.count(Task.id)).where(Task.done_at.is_(None))))]

    meter.create_observable_gauge("todo.tasks.open", [open_tasks], unit="{task}", description="Tasks that are not done.")
