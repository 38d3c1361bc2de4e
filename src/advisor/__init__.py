"""The advisor: it hears how much there is to do, and says what helps."""

import re

from flask import Flask, request
from opentelemetry import baggage, trace

app = Flask(__name__)


@app.before_request
def note_import() -> None:
    """Write the number of the import on this request's span, where the baggage holds one."""
    import_id = baggage.get_baggage("todo.import.id")
    if isinstance(import_id, str) and re.fullmatch("[0-9a-f]{32}", import_id):
        trace.get_current_span().set_attribute("todo.import.id", import_id)


@app.get("/advice")
def advice():
    """A word of advice for a list with so many tasks left."""
    left = request.args.get("left", 0, type=int)
    if left == 0:
        word = "Nothing is left. Go outside."
    elif left < 4:
        word = "Begin with the oldest."
    else:
        word = f"{left} are many. Pick three for today."
    return {"advice": word}


@app.get("/step")
def step():
    """The first step for a task of so many words."""
    words = request.args.get("words", 0, type=int)
    return {"advice": "Say when it is done." if words < 4 else "Split it in two."}
