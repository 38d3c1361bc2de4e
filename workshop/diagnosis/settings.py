"""The settings of the agent that a `run.sh` holds, and the names and values that exist.

A flag `--traces_exporter X` of `opentelemetry-instrument` is the variable `OTEL_TRACES_EXPORTER`, and `--distro X` is
`OTEL_PYTHON_DISTRO`; where both are given the flag wins (seen with opentelemetry-instrumentation 0.66b1).
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

# A line that goes on, a comment, the end of a command, or a word with its quotes.
TOKEN = re.compile(
    r"""\\\n|#[^\n]*|(?P<end>[\n;&|()])|(?P<word>(?:\\[^\n]|"(?:\\.|[^"\\])*"|'[^']*'|[^\s;&|()"'\\])+)""", re.DOTALL
)
ASSIGNED = re.compile(r"(OTEL_\w+)=(.*)", re.DOTALL)
AGENT = "opentelemetry-instrument"

# Read by instrumentations, and so in no list that the SDK could give.
OF_INSTRUMENTATIONS = frozenset(
    """OTEL_SEMCONV_STABILITY_OPT_IN OTEL_PYTHON_EXCLUDED_URLS OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION
    OTEL_PYTHON_LOG_CORRELATION OTEL_PYTHON_LOG_FORMAT OTEL_PYTHON_LOG_LEVEL OTEL_PYTHON_LOG_CODE_ATTRIBUTES
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS
    OTEL_EXPORTER_PROMETHEUS_HOST OTEL_EXPORTER_PROMETHEUS_PORT""".split()
)
OF_ONE_INSTRUMENTATION = re.compile(r"OTEL_PYTHON_[A-Z0-9]+_(EXCLUDED_URLS|TRACED_REQUEST_ATTRS)")


@dataclass(frozen=True)
class Setting:
    """One setting as it stands in a file. `name` is the variable's, also where a flag was used."""

    name: str
    value: str
    where: str
    shown: str


def read(text: str, where: str = "src/run.sh") -> dict[str, Setting]:
    """The settings in a shell script, by variable name; of several the one that counts."""
    variables: dict[str, Setting] = {}
    flags: dict[str, Setting] = {}
    for words in _commands(text.replace("\r\n", "\n")):
        for word, line in words:
            if match := ASSIGNED.match(word):
                variables[match[1]] = Setting(match[1], _unquoted(match[2]), f"{where}:{line}", match[1])
        for flag, value, line in _flags(words):
            name = _variable(flag)
            flags[name] = Setting(name, _unquoted(value), f"{where}:{line}", f"--{flag}")
    return {**variables, **flags}


def _commands(text: str) -> Iterator[list[tuple[str, int]]]:
    """The commands of a shell script, each as its words, still quoted, with the number of their line."""
    command: list[tuple[str, int]] = []
    for match in TOKEN.finditer(text):
        if match["word"]:
            command.append((match["word"], text.count("\n", 0, match.start()) + 1))
        elif match["end"]:
            yield command
            command = []
    yield command


def _flags(words: list[tuple[str, int]]) -> Iterator[tuple[str, str, int]]:
    """The agent's own flags with value and line: those between `opentelemetry-instrument` and what it starts."""
    rest = iter(words)
    for word, _ in rest:
        if word.rpartition("/")[2] == AGENT:
            break
    for word, line in rest:
        if not word.startswith("--"):
            return
        flag, given, value = word[2:].partition("=")
        yield flag, value if given else next(rest, ("", line))[0], line


def _unquoted(word: str) -> str:
    return "".join(shlex.split(word))


def _variable(flag: str) -> str:
    """The variable that a flag sets; the agent takes the beginning of a flag, too, where it fits only one."""
    by_flag = {re.sub("OTEL_(PYTHON_)?", "", name).lower(): name for name in _names() if name.startswith("OTEL_")}
    fitting = [flag] if flag in by_flag else [longer for longer in by_flag if longer.startswith(flag)]
    return by_flag[fitting[0]] if len(fitting) == 1 else f"OTEL_{flag.upper()}"


@cache
def _names() -> frozenset[str]:
    """The constants that the installed packages give to `opentelemetry-instrument`; it makes no flag of `_OTEL_…`."""
    modules = [entry.load() for entry in entry_points(group="opentelemetry_environment_variables")]
    return frozenset(name for module in modules for name in dir(module))


@cache
def known() -> frozenset[str]:
    """The names of all variables that the installed OpenTelemetry packages read."""
    bare = {name.lstrip("_") for name in _names()}
    return OF_INSTRUMENTATIONS | {name for name in bare if name.startswith("OTEL_")}


@cache
def exporters(signal: str) -> frozenset[str]:
    """The values that `OTEL_<SIGNAL>_EXPORTER` may take with what is installed; signal is traces, metrics or logs."""
    return frozenset(entry.name for entry in entry_points(group=f"opentelemetry_{signal}_exporter")) | {"none"}


def is_known(name: str) -> bool:
    return name in known() or bool(OF_ONE_INSTRUMENTATION.fullmatch(name))


def nearest(word: str, words: frozenset[str]) -> str:
    """The word most like this one, or nothing when none is."""
    return next(iter(difflib.get_close_matches(word, sorted(words), 1, 0.6)), "")
