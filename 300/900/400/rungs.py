"""What goes wrong in the file that OTEL_CONFIG_FILE names; the SDK names no line, so it is looked for."""

from __future__ import annotations

import re
from typing import NamedTuple

from workshop.diagnosis import settings
from workshop.diagnosis.facts import Diagnosis, Facts

SECTIONS = (
    "file_format disabled log_level attribute_limits logger_provider meter_provider propagator tracer_provider resource "
    "instrumentation/development distribution"
).split()
READ = "300/900/400"
UNTRACED = "so the agent gave up, and the app runs without any telemetry"


class File(NamedTuple):
    """The configuration file: its path below `src/`, and its lines."""

    path: str
    lines: list[str]

    def line(self, pattern: str) -> str:
        """The first line that looks so, as `src/file:line`; without one, the file."""
        found = (number for number, text in enumerate(self.lines, 1) if re.search(pattern, text))
        return f"src/{self.path}:{number}" if (number := next(found, 0)) else f"src/{self.path}"


def _file(f: Facts) -> File | None:
    setting = f.settings.get("OTEL_CONFIG_FILE")
    return File(setting.value, f.files.get(setting.value, "").splitlines()) if setting else None


def _said(f: Facts, pattern: str) -> re.Match | None:
    return re.search(pattern, f.output) if _file(f) else None


def no_package(f: Facts) -> Diagnosis | None:
    if not (said := _said(f, r"OTEL_CONFIG_FILE is set but opentelemetry-configuration is not installed")):
        return None
    return Diagnosis(
        "settings-package",
        said[0],
        "the package that reads the file",
        f"the SDK itself cannot, {UNTRACED}",
        f"pip install --require-hashes -r {READ}/requirements.txt",
        READ,
    )


def not_found(f: Facts) -> Diagnosis | None:
    if not (said := _said(f, r"Configuration file not found: (.+)")):
        return None
    setting = f.settings["OTEL_CONFIG_FILE"]
    there = [name for name in f.files if name.endswith((".yaml", ".yml"))]
    right = settings.nearest(setting.value, there)
    return Diagnosis(
        "settings-not-found",
        f"{setting.where}: {setting.name}={setting.value}, and there is no src/{said[1]}",
        "the path of a file, seen from src/",
        f"it cannot be read, {UNTRACED}",
        f"write {right} in {setting.where}" if right else f"create src/{setting.value}",
        READ,
    )


def no_yaml(f: Facts) -> Diagnosis | None:
    said = _said(f, r"Failed to parse YAML: (?:.*\n){1,12}")
    marks = re.findall(r"(.+)\n *in .*, line (\d+), column \d+", said[0]) if said else []
    if not marks:
        return None
    problem, number = marks[-1]  # the first says where what it reads begins, the last what it has met there
    file, tab = _file(f), "\\t" in problem
    where = file.line(r"^ *\t") if tab else f"src/{file.path}:{number}"
    return Diagnosis(
        "settings-tab" if tab else "settings-yaml",
        f"{where}: {'a tab at its beginning' if tab else problem}",
        "blanks only" if tab else "YAML: each key with its colon, each bracket with its end",
        f"YAML knows no tabs there, {UNTRACED}" if tab else f"the file cannot be read, {UNTRACED}",
        f"write blanks in {where}" if tab else f"mend {where}, or the line before it",
        READ,
    )


def unknown_version(f: Facts) -> Diagnosis | None:
    said = _said(f, r"(?:Unsupported|Invalid) file_format '(.*?)'|(\S+) is not of type 'string' \(at file_format\)")
    said = said or _said(f, r"'file_format' is a required property")
    if not said:
        return None
    where = _file(f).line(r"^file_format")
    return Diagnosis(
        "settings-version",
        f"{where}: {said[0]}",
        'file_format: "1.1"',
        f"the SDK reads version 1 of this format, given as a text in quotes, {UNTRACED}",
        f'write file_format: "1.1" in {where}',
        READ,
    )


def unknown_key(f: Facts) -> Diagnosis | None:
    said = _said(f, r"Additional properties are not allowed \('([^']+)'.*?\) \(at (.+)\)")
    if not said:
        return None
    where = _file(f).line(rf"\b{re.escape(said[1])}:")
    return Diagnosis(
        "settings-unknown-key",
        f"{where}: {said[1]}, below {said[2]}",
        "a key that the format has there",
        f"it is misspelled, or stands too far left or right, {UNTRACED}",
        f"compare {where} with the page",
        READ,
    )


def unknown_section(f: Facts) -> Diagnosis | None:
    """Of a key at the left the SDK says nothing."""
    file = _file(f)
    keys = [match[1] for line in file.lines if (match := re.match(r"([\w/]+):", line))] if file and f.missing else []
    strange = next((key for key in keys if key not in SECTIONS), "")
    if not strange:
        return None
    where, right = file.line(rf"^{re.escape(strange)}:"), settings.nearest(strange, SECTIONS)
    return Diagnosis(
        "settings-unknown-section",
        f"{where}: {strange}",
        right or f"one of {', '.join(SECTIONS[3:])}",
        "at the left of the file any key is allowed, and of one that it does not know the SDK says nothing",
        f"write {right} in {where}" if right else f"take {where} out",
        READ,
    )


def unknown_exporter(f: Facts) -> Diagnosis | None:
    if not (said := _said(f, r"Plugin '([^']+)' not found in group '(\w+)'")):
        return None
    where = _file(f).line(rf"\b{re.escape(said[1])}\b")
    known = ("console", "otlp_http", "otlp_grpc", "tracecontext", "baggage", "service", "host", "process")
    right = settings.nearest(said[1], known)
    return Diagnosis(
        "settings-unknown-plugin",
        f"{where}: {said[1]}\n{said[0]}",
        right or "the name of something that is installed",
        f"a name that is none of the format's own is looked for among the installed packages, {UNTRACED}",
        f"write {right} in {where}" if right else f"look at {where}",
        READ,
    )


def wrong_value(f: Facts) -> Diagnosis | None:
    said = _said(f, r"Configuration does not match schema: (.+?)(?: \(at (.+)\))?\n")
    if not said:
        return None
    key = (said[2] or "").rpartition(" -> ")[2]
    where = _file(f).line(rf"\b{re.escape(key)}:" if key else "$^")
    return Diagnosis(
        "settings-value",
        f"{where}: {said[1]}" + (f", at {said[2]}" if said[2] else ""),
        "a value of the kind that the format has there",
        f"a number in quotes is a text, and a variable in quotes as well, {UNTRACED}",
        f"mend {where}",
        READ,
    )


def filed_service(f: Facts) -> Diagnosis | None:
    """The name stands in the file, and no variable changes it."""
    strange = next((span.service for span in f.spans if span.service != f.service), "")
    if not _file(f) or not strange or any(span.service == f.service for span in f.spans):
        return None
    where = _file(f).line(r"service\.name")
    return Diagnosis(
        "wrong-service",
        f"{where}: service.name is {strange!r}",
        f"{f.service!r}",
        "a backend groups everything by this name, and the file wins over OTEL_SERVICE_NAME",
        f"write {{name: service.name, value: {f.service}}} in {where}",
        READ,
    )


def no_propagator(f: Facts) -> Diagnosis | None:
    if not _said(f, r"AttributeError: 'NoneType' object has no attribute 'get'"):
        return None
    file = _file(f)
    return Diagnosis(
        "settings-propagator",
        f"src/{file.path} names no propagator, and the app fails at every request",
        "a propagator: composite: [{tracecontext: }, {baggage: }]",
        "without one the SDK sets an empty one, which gives Flask's instrumentation no context to begin a span in",
        f"write it into src/{file.path}",
        READ,
    )


def old_name(f: Facts) -> Diagnosis | None:
    setting = f.settings.get("OTEL_EXPERIMENTAL_CONFIG_FILE")
    if not setting or not f.missing:
        return None
    return Diagnosis(
        "misspelt-setting",
        f"{setting.where}: {setting.name}",
        "OTEL_CONFIG_FILE",
        "that was its name while it was an experiment; the SDK does not read it any more, and does not say so",
        f"write OTEL_CONFIG_FILE in {setting.where}",
        READ,
    )


ANSWERS = (no_propagator,)
SPANS = (
    old_name,
    no_package,
    not_found,
    no_yaml,
    unknown_version,
    unknown_key,
    unknown_section,
    unknown_exporter,
    wrong_value,
    filed_service,
)
