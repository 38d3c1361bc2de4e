"""The settings of the agent that a `run.sh` holds, and the names and values that exist.

A flag `--traces_exporter X` of `opentelemetry-instrument` is the variable `OTEL_TRACES_EXPORTER`; where both are given the
flag wins (seen with opentelemetry-instrumentation 0.66b1).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

ASSIGNED = re.compile(r"(?<![\w-])(OTEL_\w+)=(\"[^\"]*\"|'[^']*'|[^\s;|&\\]*)")
FLAG = re.compile(r"(?<=\s)--([a-z][a-z_]+)[= ](\"[^\"]*\"|'[^']*'|[^\s;|&\\]+)")
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
    under_agent = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        for name, value in ASSIGNED.findall(line):
            variables[name] = Setting(name, value.strip("\"'"), f"{where}:{number}", name)
        start = line.find(AGENT)
        under_agent = under_agent or start >= 0
        if under_agent:
            for flag, value in FLAG.findall(line[max(start, 0) :]):
                name = f"OTEL_{flag.upper()}"
                flags[name] = Setting(name, value.strip("\"'"), f"{where}:{number}", f"--{flag}")
        under_agent = under_agent and line.rstrip().endswith("\\")
    return {**variables, **flags}


@cache
def known() -> frozenset[str]:
    """The names of all variables that the installed OpenTelemetry packages read."""
    modules = [entry.load() for entry in entry_points(group="opentelemetry_environment_variables")]
    return OF_INSTRUMENTATIONS | {name for module in modules for name in dir(module) if name.startswith("OTEL_")}


@cache
def exporters(signal: str) -> frozenset[str]:
    """The values that `OTEL_<SIGNAL>_EXPORTER` may take with what is installed; signal is traces, metrics or logs."""
    return frozenset(entry.name for entry in entry_points(group=f"opentelemetry_{signal}_exporter")) | {"none"}


def is_known(name: str) -> bool:
    return name in known() or bool(OF_ONE_INSTRUMENTATION.fullmatch(name))


def nearest(word: str, words: frozenset[str]) -> str:
    """The word most like this one, or nothing when none is."""
    return next(iter(difflib.get_close_matches(word, sorted(words), 1, 0.6)), "")
