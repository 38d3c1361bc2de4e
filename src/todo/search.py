"""Search that forgives misspelling."""

from difflib import get_close_matches

from opentelemetry import trace
from sqlalchemy.orm import selectinload

from todo.models import Task, db

tracer = trace.get_tracer(__name__)


def find(words: str) -> list[Task]:
    """The tasks that hold every word, or one with nearly the same letters."""
    with tracer.start_as_current_span("search tasks") as span:
        tasks = db.session.scalars(db.select(Task).options(selectinload(Task.steps))).all()
        found = [task for task in tasks if all(like(word, task.text) for word in words.split())]
        span.set_attribute("todo.search.length", len(words))
        span.set_attribute("todo.search.compared", len(tasks))
        span.set_attribute("todo.search.found", len(found))
    return found


def like(word: str, text: str) -> bool:
    """Whether the text holds the word, or one with nearly the same letters."""
    word, text = word.casefold(), text.casefold()
    return word in text or bool(get_close_matches(word, text.split(), 1, 0.7))
