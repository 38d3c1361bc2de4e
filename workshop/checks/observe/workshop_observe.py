"""Notes what ends a thread, and what a Future holds and nobody asks for, in the app under check.

Loaded as Python starts, or under `opentelemetry-instrument`, which has a `sitecustomize` of its own, as a step before its
instrumentations. It only looks: every call does what it always does, and notes go to a file of the check's, not to the app's output.
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
    """Watch what ends threads, and what Futures get and give."""
    if not FILE:
        return
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
    keep.observes = True
    Future.set_exception, Future.result, Future.exception = keep, ask_for_result, ask_for_exception


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
