"""Exceptions in log records, by the names of the semantic conventions."""

import logging
import traceback


class ExceptionFields(logging.Filter):
    """Tells a record's exception by three fields, as the event on a span has them."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info and record.exc_info[1]
        if error:
            kind = type(error)
            module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
            told = {
                "exception.type": f"{module}{kind.__qualname__}",
                "exception.message": str(error),
                "exception.stacktrace": "".join(traceback.format_exception(error)),
            }
            vars(record).update(told)
            record.exc_info = record.exc_text = None  # else each handler tells it again, in its own way
        return True
