"""A die."""

import random

from flask import Flask

app = Flask(__name__)


@app.get("/roll")
def roll() -> str:
    """Throw it."""
    return str(random.randint(1, 6))
