"""Did something fail where no request shows it: in a thread, in a process, or in a Future that nobody asked?"""

from __future__ import annotations

import re

from workshop.diagnosis.facts import Diagnosis, Facts, Stage, exception, frame, place
from workshop.telemetry.console import without_objects

# A server's line for a request, and an exporter's object: other threads print them, also between the lines of a traceback.
REQUEST = re.compile(r'^\S+ - - \[.*?\] ".*\n', re.MULTILINE)
ENDED = re.compile(r"^(?:Exception in thread (\S+).*|Process (\S+):)\n", re.MULTILINE)
BEGIN = re.compile(rf"{ENDED.pattern}(?=Traceback)", re.MULTILINE)

# What Python says of work in threads, and what cures it wherever it was said.
CURES = {
    "Working outside of application context": "do the work inside of `with app.app_context():`; "
    "where a request begins it, hand on the app itself: `current_app._get_current_object()`",
    "Working outside of request context": "read what the thread needs of the request before `submit`, and hand it that",
    r"cannot enter context: .* is already entered": "make one copy of the context for each piece of work: "
    "one `Context` of Python's serves one thread at a time",
    r"'(?:function|_Span|NonRecordingSpan|SpanContext)' object has no attribute 'get'": "attach a Context: "
    "`context.get_current()`, with its parentheses; of a span, `trace.set_span_in_context(span)` makes one",
}


def cure(error: str) -> str:
    """What to do about an error that says its place and not its cause; empty where there is nothing better than to look."""
    return next((do for said, do in CURES.items() if re.search(said, error)), "")


def in_the_background(f: Facts) -> Diagnosis | None:
    """Python itself prints what ends a thread or a process."""
    output = f.ended or f.output
    if not ENDED.search(output):
        return None
    output = REQUEST.sub("", without_objects(output))
    begun = list(BEGIN.finditer(output))
    if not begun:
        return None
    part = first_traceback(output[begun[-1].end() :])
    where = _place(f, part)
    return Diagnosis(
        "background-failed",
        f"{where or 'in the background'}: {exception(part)}\n{begun[-1][0].strip()}",
        "work in the background that ends without an error",
        "an error there ends the thread or the process and no request: the page is as always, and the work is not done",
        cure(part) or (f"mend {where}" if where else f"run `{f.command}` in src/ and read the traceback"),
        f.lesson,
    )


def held_by_a_future(f: Facts) -> Diagnosis | None:
    if not f.held:
        return None
    where = _place(f, f.held)
    return Diagnosis(
        "held-by-a-future",
        f"{where or 'in a function that was submitted'}: {exception(f.held)}",
        "a submitted function that ends without an error",
        "an executor keeps what its function raises in the Future that `submit` gives back; nobody asked that Future, so nobody saw it",
        (cure(f.held) or f"mend {where or 'the function'}") + "; "
        "to see such an error, ask the Future: `.result()`, or `.exception()` in a done-callback",
        f.lesson,
    )


def _place(f: Facts, told: str) -> str:
    """Where a traceback leads in the learner's files; without a line of theirs, the function called, or what starts the work."""
    called = re.search(r"^TypeError: (?:\w+\.)*(\w+)\(\)", told, re.MULTILINE)
    made = place(f.modules, rf"^[ \t]*def {called[1]}\b") if called else ""
    return frame(told) or made or place(f.modules, r"\.submit\(|Thread\(|Process\(")


def first_traceback(text: str) -> str:
    """A text to the end of the traceback with which it begins, with all that it was caused by."""
    end = re.search(r"^(?!\s|Traceback|During handling|The above|$).*(?:\n(?!\nDuring|\nThe above)|\Z)", text, re.MULTILINE)
    return text[: end.end()] if end else text


BACKGROUND = Stage("BACKGROUND", in_the_background, held_by_a_future)
