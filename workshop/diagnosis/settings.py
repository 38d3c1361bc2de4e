"""The settings of the agent that a `run.sh` holds, and the names and values that exist.

A flag `--traces_exporter X` of `opentelemetry-instrument` is the variable `OTEL_TRACES_EXPORTER`, and `--distro X` is
`OTEL_PYTHON_DISTRO`; where both are given the flag wins (seen with opentelemetry-instrumentation 0.66b1).
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points

# A line that goes on, a comment, the end of a command, or a word with its quotes.
TOKEN = re.compile(
    r"""\\\n|#[^\n]*|(?P<end>[\n;&|()])|(?P<word>(?:\\[^\n]|"(?:\\.|[^"\\])*"|'[^']*'|[^\s;&|()"'\\])+)""", re.DOTALL
)
ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
EXPANSION = re.compile(r"\$(?:(\w+)|\{(\w+)\}|\{(\w+)(:?)-([^{}$`]*)\})")
AGENT = "opentelemetry-instrument"

# Read by instrumentations, and so in no list that the SDK could give.
OF_INSTRUMENTATIONS = frozenset(
    """OTEL_SEMCONV_STABILITY_OPT_IN OTEL_PYTHON_EXCLUDED_URLS OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION
    OTEL_PYTHON_LOG_CORRELATION OTEL_PYTHON_LOG_FORMAT OTEL_PYTHON_LOG_LEVEL OTEL_PYTHON_LOG_CODE_ATTRIBUTES OTEL_PYTHON_LOG_HANDLER_LEVEL
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS
    OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS OTEL_EXPORTER_PROMETHEUS_HOST OTEL_EXPORTER_PROMETHEUS_PORT""".split()
)
OF_ONE_INSTRUMENTATION = re.compile(r"OTEL_PYTHON_[A-Z0-9]+_(EXCLUDED_URLS|TRACED_REQUEST_ATTRS)")
ALIKE = 0.85  # from here on two names are one that is misspelt; names of other packages share less with a known one


@dataclass(frozen=True)
class Setting:
    """One setting as it stands in a file. `name` is the variable's, also where a flag was used.

    `exported` is False where the shell keeps the value for itself: an assignment that stands alone, without `export`."""

    name: str
    value: str
    where: str
    shown: str
    exported: bool = True

    @property
    def plain(self) -> bool:
        """Whether the value is known: nothing in it is left for the shell to work out."""
        return "$" not in self.value.rstrip("$") and "`" not in self.value

    @property
    def values(self) -> list[str]:
        """The parts of a list with commas."""
        return [part.strip() for part in self.value.split(",")]


def read(text: str, where: str = "src/run.sh") -> dict[str, Setting]:
    """The settings in a shell script, by variable name; of several the one that counts.

    `$NAME`, `${NAME}` and `${NAME:-default}` are worked out where the script itself says what they are."""
    shell: dict[str, str] = {}
    variables: dict[str, Setting] = {}
    flags: dict[str, Setting] = {}
    exported: set[str] = set()
    for words in _commands(text.replace("\r\n", "\n")):
        alone = all(ASSIGNED.match(word) for word, _ in words)
        if words and words[0][0] == "export":
            exported |= {word.partition("=")[0] for word, _ in words[1:]}
        for word, line in words:
            if match := ASSIGNED.match(word):
                name, value = match[1], _unquoted(_expanded(match[2], shell))
                shell[name] = value
                if name.startswith(("OTEL_", "APPLICATIONINSIGHTS_")):
                    variables[name] = Setting(name, value, f"{where}:{line}", name, not alone)
        for flag, value, line in _flags([(_expanded(word, shell), line) for word, line in words]):
            name = _variable(flag)
            flags[name] = Setting(name, _unquoted(value), f"{where}:{line}", f"--{flag}")
    if re.search(r"^\s*set (-\w*a|-o allexport)", text, re.MULTILINE):
        exported |= variables.keys()
    kept = {name: replace(s, exported=s.exported or name in exported) for name, s in variables.items()}
    return {**kept, **flags}


def started(text: str, where: str = "src/run.sh") -> tuple[str, str, str] | None:
    """What the agent is told to start in a shell script: its word before that, that word, and its place; None without an agent.

    The word is empty where the command ends before it."""
    for words in _commands(text.replace("\r\n", "\n")):
        words = [(_expanded(word, {}), line) for word, line in words]
        names = [word.rpartition("/")[2] for word, _ in words]
        if AGENT not in names:
            continue
        rest = words[names.index(AGENT) + 1 :]
        taken = sum(1 if "=" in flag else 2 for flag, _ in _before_command(rest))
        before = (words[names.index(AGENT) :] + [("", 0)])[taken][0]
        word, line = rest[taken] if taken < len(rest) else ("", words[-1][1])
        return before, word, f"{where}:{line}"
    return None


def _before_command(words: list[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    rest = iter(words)
    for word, line in rest:
        if not word.startswith("--"):
            return
        yield word, line
        if "=" not in word:
            next(rest, None)


def _expanded(word: str, shell: dict[str, str]) -> str:
    """A word with its simple expansions worked out; what is not simple stays as it is."""
    if "'" in word:
        return word

    def known_value(match: re.Match) -> str:
        plain, braced, name, _, default = match.groups()
        if name:
            return shell.get(name, default)
        return shell.get(plain or braced, match[0])

    return EXPANSION.sub(known_value, word)


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
    by_flag = _by_flag()
    fitting = [flag] if flag in by_flag else [longer for longer in by_flag if longer.startswith(flag)]
    return by_flag[fitting[0]] if len(fitting) == 1 else f"OTEL_{flag.upper()}"


@cache
def _by_flag() -> dict[str, str]:
    """The variables that `opentelemetry-instrument` has flags for, by the flag without its dashes."""
    return {re.sub("OTEL_(PYTHON_)?", "", name).lower(): name for name in _names() if name.startswith("OTEL_")}


@cache
def _names() -> frozenset[str]:
    """The constants that the installed packages give to `opentelemetry-instrument`; it makes no flag of `_OTEL_…`."""
    modules = [entry.load() for entry in entry_points(group="opentelemetry_environment_variables")]
    return frozenset(name for module in modules for name in dir(module))


@cache
def known() -> frozenset[str]:
    """The names of all variables that the installed OpenTelemetry packages read."""
    bare = {name.lstrip("_") for name in _names()}
    watched = {entry.name.upper() for entry in entry_points(group="opentelemetry_instrumentor")}
    excluded = {f"OTEL_PYTHON_{name}_EXCLUDED_URLS" for name in watched}
    return OF_INSTRUMENTATIONS | excluded | {name for name in bare if name.startswith("OTEL_")}


def misspelt(name: str) -> str:
    """The name that this one is a misspelling of; empty where it is known, or resembles none."""
    return "" if is_known(name) else nearest(name, known(), ALIKE)


def flags() -> list[str]:
    """The flags of `opentelemetry-instrument`."""
    return [f"--{name}" for name in _by_flag()]


@cache
def exporters(signal: str) -> frozenset[str]:
    """The values that `OTEL_<SIGNAL>_EXPORTER` may take with what is installed; signal is traces, metrics or logs."""
    return frozenset(entry.name for entry in entry_points(group=f"opentelemetry_{signal}_exporter")) | {"none"}


def wrong_address(endpoint: str, path: str) -> str:
    """Why an endpoint of one signal does not lead to a program that takes OTLP at this path, without TLS; empty where it may."""
    scheme, host, found = re.match(r"(?:(\w+)://)?([^/?]*)([^?]*)", endpoint).groups()
    if scheme == "https":
        return "https:// asks for TLS, and this program speaks without"
    if scheme != "http":
        return "an endpoint begins with http://; without it the exporter finds no way there"
    if found == f"{path}/":
        return "with a / at its end it is another address; the answer there is a refusal or a redirect, which the exporter does not follow"
    if found != path:
        return "the endpoint of one signal is taken as it stands: host, port and the whole path, once"
    return ""


def is_known(name: str) -> bool:
    return name in known() or bool(OF_ONE_INSTRUMENTATION.fullmatch(name))


def nearest(word: str, words: Iterable[str], alike: float = 0.6) -> str:
    """The word most like this one, or nothing when none is; 1 is alike in all letters, 0 in none."""
    return next(iter(difflib.get_close_matches(word, sorted(words), 1, alike)), "")
