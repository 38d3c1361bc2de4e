"""Serves the app of wsgi.py, logs what a check asks for, and holds up what is printed, as a slow disk or terminal would.

The header X-Told has a list of [level, message, extra]; the level RAISED is an exception that says so."""

import atexit
import json
import logging
import threading
import time
from logging.handlers import QueueListener
from queue import Queue

from flask import has_request_context, request

HELD_UP = 2  # seconds, after which what is held up goes on
FLOOD = 2000  # lines
LATE = 6  # seconds that the first line takes at the end: until then no other one leaves the queue

gate, ending, waited, over = threading.Event(), threading.Event(), [], []
gate.set()


def held_up(handler, record):
    if over and record.created >= over[0]:
        pass
    elif ending.is_set():
        handler.release()  # what is said as the SDK ends does not wait for this line
        gate.wait(LATE)
        gate.set()
        handler.acquire()
    elif not gate.wait(HELD_UP):
        gate.set()
        in_request = has_request_context() or "process_request" in threading.current_thread().name
        waited.append("in a request" if in_request else "elsewhere")
    emit(handler, record)


def room_or_told(lines, item, block=True, timeout=None):
    if block and lines.full() and has_request_context():
        waited.append("in a request")
        gate.set()
    put(lines, item, block, timeout)


def room_then_go_on(listener):
    tell_to_end(listener)
    gate.set()


def go_on_then_wait(lines):
    gate.set()
    wait_for_all(lines)


emit, logging.StreamHandler.emit = logging.StreamHandler.emit, held_up
tell_to_end, QueueListener.enqueue_sentinel = QueueListener.enqueue_sentinel, room_then_go_on
put, Queue.put = Queue.put, room_or_told
wait_for_all, Queue.join = Queue.join, go_on_then_wait

log = logging.getLogger("told")


@atexit.register  # like the SDK, before the app is made, so that it is called after what the app has registered
def end():
    over.append(time.time())
    log.error("said as the SDK ends")


from wsgi import app  # noqa: E402


@app.get("/told")
def told():
    for level, message, extra in json.loads(request.headers["X-Told"]):
        if "refused" in (extra or {}):
            extra["refused"] = LookupError(extra["refused"])  # no type that JSON has
        if level == "RAISED":
            raised(message)
        else:
            log.log(getattr(logging, level), message, extra=extra)
    return "told"


def raised(message):
    try:
        raise LookupError(message)
    except LookupError:
        log.exception("it was raised, and caught")


@app.get("/misfit")
def misfit():
    log.info("%d of them", "none")
    return "logged"


def pour(word):
    """Log more than a queue should hold, on the terminal alone."""
    exporting = [handler for handler in logging.getLogger().handlers if type(handler).__name__ == "LoggingHandler"]
    for handler in exporting:
        handler.setLevel(logging.CRITICAL)
    for number in range(FLOOD):
        log.info("%s %d", word, number)
    for handler in exporting:
        handler.setLevel(logging.NOTSET)


@app.get("/flood")
def flood():
    """Pour, while nothing is printed. Returns where anybody waited for that."""
    gate.clear()
    pour("flood")
    gate.set()
    return " and ".join(waited)


@app.get("/last")
def last():
    """Log lines that nobody prints for six seconds, unless they are asked for at the end, and amid them more than a queue holds."""
    behind = "in a request" not in waited
    if behind:
        ending.set()
        gate.clear()
    for number in range(20):
        log.info("nearly the end, %d", number)
    log.info("the last words of the check")
    if behind:
        pour("too late")
        log.info("the last words of the check")
    return "last"
