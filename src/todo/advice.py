"""What the advisor says. The app works as well without it."""

import json
import time

import requests
from flask import current_app

SECONDS, LONGEST = 1, 500


def ask(path: str, **query: int) -> str:
    """A line of text from the advisor; nothing when it has none to give, or not in time."""
    deadline = time.monotonic() + SECONDS
    url = current_app.config["ADVISOR_URL"] + path
    try:
        with requests.get(url, params=query, timeout=SECONDS, stream=True, allow_redirects=False) as answer:
            said = json.loads(body(answer, deadline)) if answer.status_code == 200 else {}
    except (requests.RequestException, ValueError):
        return ""
    word = said.get("advice") if isinstance(said, dict) else ""
    return word if isinstance(word, str) and word.isprintable() else ""


def body(answer: requests.Response, deadline: float) -> bytes:
    """The first bytes of an answer, as many as come before the deadline."""
    read = b""
    for byte in answer.iter_content(1):
        read += byte
        if len(read) == LONGEST or time.monotonic() > deadline:
            break
    return read
