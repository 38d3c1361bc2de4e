"""Tasks from a text file: what is taken, and how it is kept."""

from flask import abort
from werkzeug.datastructures import FileStorage

from todo.models import Step, Task, db


def lines_of(file: FileStorage | None) -> list[str]:
    """The tasks in a text file, one on each line. Any other file is refused as a whole, and the answer says why."""
    text = file.read().decode("utf-8-sig", errors="replace") if file else ""
    if "\0" in text or "\N{REPLACEMENT CHARACTER}" in text:
        abort(422, "This is no text in UTF-8. Save it as UTF-8 and send it again. Nothing was imported.")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not 1 <= len(lines) <= 30:
        abort(422, f"This file has {len(lines)} tasks; it may have 1 to 30. Nothing was imported.")
    if long := [number for number, line in enumerate(lines, 1) if len(line) > 256]:
        abort(422, f"Task {long[0]} in this file has more than 256 characters. Nothing was imported.")
    return lines


def keep(lines: list[str]) -> list[tuple[int, int]]:
    """Keep each line as a task. Returns the number of each, and how many words it has."""
    values = [{"text": line} for line in lines]
    tasks = db.session.execute(db.insert(Task).returning(Task.id, Task.text), values).all()
    db.session.commit()
    return [(task_id, len(text.split())) for task_id, text in tasks]


def keep_step(task_id: int, text: str) -> None:
    """Give a task a step, unless the task was deleted meanwhile."""
    task = db.select(Task.id, db.literal(text[:256])).where(Task.id == task_id)
    db.session.execute(db.insert(Step).from_select(["task_id", "text"], task))
    db.session.commit()
