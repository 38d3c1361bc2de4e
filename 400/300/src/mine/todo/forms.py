"""What the app accepts."""

from flask_wtf import FlaskForm
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
