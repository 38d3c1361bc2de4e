"""What the app accepts."""

from flask import abort
from flask_wtf import FlaskForm
from werkzeug.datastructures import FileStorage
from werkzeug.routing import IntegerConverter
from wtforms import StringField
from wtforms.validators import DataRequired, Length


def trimmed(text: object) -> str:
    """The text without the blanks around it; nothing where a stranger sent a file or no text at all."""
    return text.strip() if isinstance(text, str) else ""


class TaskForm(FlaskForm):
    """The form that adds a task."""

    text = StringField(
        filters=[trimmed],
        validators=[
            DataRequired("Write down what is to be done."),
            Length(max=256, message="That is too long: a task has at most 256 characters."),
        ],
    )


class Id(IntegerConverter):
    """The number of a row in an address. One with more digits than a column holds is no address of this app."""

    regex = r"\d{1,9}"


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
