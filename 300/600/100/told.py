"""Serves the app of wsgi.py, logs what a check asks for, and holds up what is printed, as a slow disk or terminal would.

The header X-Told has a list of [level, message, extra]."""

import json
import logging
import threading
from logging.handlers import QueueListener

from flask import has_request_context, request

HELD_UP = 2  # seconds, after which what is held up goes on
FLOOD = 2000  # lines

gate, ending, waited = threading.Event(), threading.Event(), []
gate.set()


def held_up(handler, record):
    if ending.is_set():
        gate.wait(0.3)
    elif not gate.wait(HELD_UP):
        gate.set()
        in_request = has_request_context() or "process_request" in threading.current_thread().name
        waited.append("in a request" if in_request else "elsewhere")
    emit(handler, record)


def stop_without_waiting(listener):
    gate.set()
    stop(listener)


emit, logging.StreamHandler.emit = logging.StreamHandler.emit, held_up
stop, QueueListener.stop = QueueListener.stop, stop_without_waiting

from wsgi import app  # noqa: E402

log = logging.getLogger("told")


@app.get("/told")
def told():
    for level, message, extra in json.loads(request.headers["X-Told"]):
        log.log(getattr(logging, level), message, extra=extra)
    return "told"


@app.get("/flood")
def flood():
    """Log more than a queue should hold, while nothing is printed. Returns where anybody waited for that."""
    exporting = [handler for handler in logging.getLogger().handlers if type(handler).__name__ == "LoggingHandler"]
    for handler in exporting:
        handler.setLevel(logging.CRITICAL)
    gate.clear()
    for number in range(FLOOD):
        log.info("flood %d", number)
    gate.set()
    for handler in exporting:
        handler.setLevel(logging.NOTSET)
    return " and ".join(waited)


@app.get("/last")
def last():
    """Log lines that take six seconds to print, unless somebody asks for them at the end."""
    if "in a request" not in waited:
        ending.set()
        gate.clear()
    for number in range(20):
        log.info("nearly the end, %d", number)
    log.info("the last words of the check")
    return "last"
