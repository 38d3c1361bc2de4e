"""What a log must not say, and what it says instead."""

import logging
import re

MASKS = [
    (re.compile(r"\x1b\[[0-9;]*[A-Za-z]"), ""),  # colors
    (re.compile(r"(?<![\w.+-])[\w.+-]+(?:@|%40)[\w.-]+"), "[e-mail]"),
    (re.compile(r"(?i)\b(bearer|basic) [^\s,;\"']+"), r"\1 [secret]"),
    (re.compile(r"(?i)(token|password|secret|api_?key|session)([\"']?\s*[=:]\s*[\"']?)[^\s&,;\"']+"), r"\1\2[secret]"),
    (re.compile(r"\b(?!127\.)\d{1,3}(?:\.\d{1,3}){3}\b"), "[ip]"),
    (re.compile(r"(?i)(?<![\w:])(?:(?:[\da-f]{1,4}:){7}[\da-f]{1,4}|[\da-f:]{0,30}::[\da-f:]{1,30})(?![\w:])"), "[ip]"),
]
SECRET = re.compile("(?i)token|password|secret|cookie|authorization")
STANDARD = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}


def extra(record: logging.LogRecord) -> dict:
    """What a call has given to a record as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in STANDARD}


def masked(value: object, name: str = "") -> object:
    """A value without what must not be told, however deep it lies; `name` is the one under which it stands."""
    if SECRET.search(name):
        return "[secret]"
    if isinstance(value, dict):
        return {key: masked(part, str(key)) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(part) for part in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = str(value)  # what is no text becomes one where it is told
    for pattern, instead in MASKS:
        text = pattern.sub(instead, text)
    return text


class Mask(logging.Filter):
    """Masks a record before its handler gets it."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # arguments that do not fit: a line of the log must not fail a request
            message = str(record.msg)
        record.msg, record.args = masked(message), ()
        vars(record).update({name: masked(value, name) for name, value in extra(record).items()})
        return True
