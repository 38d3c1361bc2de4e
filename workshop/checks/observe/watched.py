"""Serves the app of wsgi.py, and tells on stderr what a thread of a pool raised, and who left a context attached.

What that thread serves next would be in a context that is not its own."""

import os
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from opentelemetry import baggage, context, trace


def watched(work: Callable) -> Callable:
    """The same function, which tells what it leaves attached."""

    def run(*args, **kwargs):
        before = context.get_current()
        try:
            return work(*args, **kwargs)
        finally:
            after = context.get_current()
            if after != before:
                span, carried = trace.get_current_span(after), dict(baggage.get_all(after))
                what = f"baggage {carried}" if carried else f"the span {getattr(span, 'name', span)!r}"
                say(f"left attached: {getattr(work, '__name__', work)}: {what}")

    return run


def tell(result: Future, work: Callable) -> None:
    """Tell what a thread raised, and where in `src/`; a call with wrong arguments fails before the first line of `work`."""
    if error := result.exception():
        frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
        places = [(work.__code__.co_filename, work.__code__.co_firstlineno)] if hasattr(work, "__code__") else []
        places += [place for place in frames if place[0].startswith(os.getcwd()) and place[0] != __file__]
        where = "".join(f"{part}:" for part in (places or [()])[-1])
        say(f"raised: {where} {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")


def say(line: str) -> None:
    """In one piece: threads that print at the same time would share a line."""
    sys.stderr.write(f"{line}\n")


def submit_watched(pool, work, /, *args, **kwargs):
    result = submit(pool, watched(work), *args, **kwargs)
    result.add_done_callback(lambda result: tell(result, work))
    return result


submit, ThreadPoolExecutor.submit = ThreadPoolExecutor.submit, submit_watched

from wsgi import app  # noqa: E402

app.dispatch_request = watched(app.dispatch_request)
