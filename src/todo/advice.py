"""What the advisor says. The app works as well without it."""

import json

import requests
from flask import current_app


def ask(path: str, **query: int) -> str:
    """A line of text from the advisor; nothing when it has none to give."""
    url = current_app.config["ADVISOR_URL"] + path
    try:
        with requests.get(url, params=query, timeout=1, stream=True, allow_redirects=False) as answer:
            said = json.loads(next(answer.iter_content(500), b"")) if answer.status_code == 200 else {}
    except (requests.RequestException, ValueError):
        return ""
    word = said.get("advice") if isinstance(said, dict) else ""
    return word if isinstance(word, str) and word.isprintable() else ""
