"""Notes what ends a thread, what a Future holds and nobody asks for, and which filter drops a log record, in the app under check.

Loaded as Python starts, or under `opentelemetry-instrument`, which has a `sitecustomize` of its own, as a step before its
instrumentations. It only looks: every call does what it always does, and notes go to a file of the check's, not to the app's output.
But for stdout, which loses now and then what one thread writes while another one's text goes out: it keeps that.
"""

import json
import os
import sys
import traceback

FILE = os.environ.get("WORKSHOP_HELD", "")


def watch_under_agent() -> None:
    """As `watch`, and note whether the agent is here, which has Python load a `sitecustomize` of its own."""
    watch()
    if FILE and "auto_instrumentation" in (getattr(sys.modules.get("sitecustomize"), "__file__", "") or ""):
        _write({"agent": os.getpid()})


def watch() -> None:
    """Note with which settings this process begins; watch what ends threads, what Futures get and give, and what the app's filters drop."""
    if not FILE:
        return
    keep_whole(sys.stdout)
    _write({"began": os.getpid(), "variables": {n: v for n, v in os.environ.items() if n.startswith(("OTEL_", "FLASK_"))}})
    import logging
    import threading
    from concurrent.futures import Future

    set_exception, result, exception = Future.set_exception, Future.result, Future.exception
    if getattr(set_exception, "observes", False):
        return

    def keep(self, error):
        if error is not None:
            self.workshop_noted = True
            _note(self, "".join(traceback.format_exception(type(error), error, error.__traceback__)))
        return set_exception(self, error)

    def ask_for_result(self, *how, **more):
        try:
            return result(self, *how, **more)
        finally:
            _asked(self)

    def ask_for_exception(self, *how, **more):
        try:
            return exception(self, *how, **more)
        finally:
            _asked(self)

    end = threading.excepthook

    def tell(args):
        # What Python prints of it comes in pieces, the server's lines between them, and may be cut off by Ctrl-C.
        name = args.thread.name if args.thread else ""
        raised = "".join(traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback))
        _write({"thread": name, "raised": f"Exception in thread {name}:\n{raised}"})
        end(args)

    threading.excepthook = tell
    consult = logging.Filterer.filter

    def tell_who_drops(self, record):
        if not self.filters:
            return consult(self, record)
        asked = []
        kept = consult(_Filters([_watched(one, asked) for one in self.filters]), record)
        if not kept and asked:
            _dropped(record, *asked[-1])
        return kept

    logging.Filterer.filter = tell_who_drops
    keep.observes = True
    Future.set_exception, Future.result, Future.exception = keep, ask_for_result, ask_for_exception


def keep_whole(stream) -> None:
    """Let no text get lost that threads write to this stream at the same time, such as the console exporters' of several signals.

    Text that would not fit into the stream's chunk goes out before what is written next. What other threads write meanwhile is
    forgotten: issue 119506 of CPython, seen with 3.10.13, 3.11.7 and 3.12.1, and not with 3.13.0. In a chunk without end all fits."""
    if hasattr(stream, "_CHUNK_SIZE"):
        stream._CHUNK_SIZE = sys.maxsize


class _Filters:
    """What has filters, for `logging` to ask them."""

    def __init__(self, filters):
        self.filters = filters


def _watched(one, asked):
    """A filter, which keeps in `asked` who it is and what it has returned."""
    ask = getattr(one, "filter", one)

    def answer(record):
        found = ask(record)
        asked.append((ask, found))
        return found

    return answer


def _dropped(record, ask, returned) -> None:
    code = getattr(ask, "__code__", None)
    if code is None or not code.co_filename.startswith(os.getcwd()):
        return  # not a filter of the app's own
    try:
        said = record.getMessage()
    except Exception:
        said = str(record.msg)
    said = f"{vars(record).get('otel.event.name', '')} {said}".strip()
    _write({"filter": f"{code.co_filename}:{code.co_firstlineno}", "returned": repr(returned)[:80], "said": said})


def _asked(future) -> None:
    if getattr(future, "workshop_noted", False):
        _note(future)


def _note(future, raised=None) -> None:
    _write({"future": f"{os.getpid()}-{id(future)}", "raised": raised})


def _write(note) -> None:
    try:
        with open(FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")
    except OSError:
        pass  # the check is over, and its folder gone
