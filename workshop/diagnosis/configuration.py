"""Did the SDK take the settings as they were meant? What it said decides; run.sh is read for telemetry that is missing."""

from __future__ import annotations

import re

from workshop.diagnosis import settings
from workshop.diagnosis.facts import Diagnosis, Facts, exception, search
from workshop.diagnosis.settings import Setting

EXPORTERS = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER")


def unknown_exporter(f: Facts) -> Diagnosis | None:
    """The SDK, or the app's own set-up, looked for an exporter that nobody has."""
    said = search(r"Requested component '([^']*)' not found in entry point 'opentelemetry_\w+_exporter'", f.output)
    said = said or (None if f.listened else re.search(r"KeyError: '([^']*)'", f.output))
    setting = said and next((f.settings[n] for n in EXPORTERS if n in f.settings and said[1] in f.settings[n].values), None)
    if not said or not (setting or "Requested" in said[0]):
        return None
    where, value = (setting.where, said[1]) if setting else (f"src/{f.script}", said[1])
    if not value:
        return Diagnosis(
            "blank-in-list",
            f"{where}: {setting.shown if setting else 'an exporter'} {setting.value if setting else ''}, and then a blank",
            "a list without blanks, such as console,otlp",
            "the value ends at the blank, and what stands behind its last comma is an exporter without a name",
            f"take the blank away in {where}",
            "300/300/200",
        )
    signal = setting.name.split("_")[1].lower() if setting else "traces"
    right = settings.nearest(value, settings.exporters(signal))
    return Diagnosis(
        "wrong-exporter",
        f"{where}: {setting.shown if setting else 'an exporter'} {value}\n{exception(f.output)}",
        f"one of {', '.join(sorted(settings.exporters(signal)))}",
        "no exporter that is installed has this name"
        + (", so the agent gave up and the app runs without any telemetry" if f.listened else ", and the app ends there"),
        f"write {right} in {where}" if right else f"write console or otlp in {where}",
        "300/300/100",
    )


def unknown_protocol(f: Facts) -> Diagnosis | None:
    said = search(r"^RuntimeError: Unsupported OTLP protocol '(.*)'|^KeyError: 'otlp_proto_(.*)'", f.output)
    if not said:
        return None
    value = said[1] or said[2] or ""
    setting = next((s for s in f.settings.values() if s.name.endswith("_PROTOCOL") and value in s.value), None)
    where = setting.where if setting else f"src/{f.script}"
    right = "grpc" if value.startswith("g") else "http/protobuf"
    return Diagnosis(
        "wrong-protocol",
        f"{where}: {setting.shown if setting else 'OTEL_EXPORTER_OTLP_PROTOCOL'} {value}\n{said[0]}",
        "grpc or http/protobuf",
        "the exporter knows only these names; with another the agent gives up, and the app runs without any telemetry",
        f"write {right} in {where}",
        "300/300/300",
    )


def queue_below_batch(f: Facts) -> Diagnosis | None:
    """The SDK compares two sizes, one of which may be its default."""
    said = search(r"max_export_batch_size must be less than or equal to max_queue_size", f.output)
    if not said:
        return None
    sizes = {name: f.settings.get(name) for name in ("OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE")}
    given = [f"{s.where}: {name}={s.value}" for name, s in sizes.items() if s]
    where = next((s.where for s in sizes.values() if s), f"src/{f.script}")
    return Diagnosis(
        "queue-below-batch",
        "\n".join([*given, said[0]]),
        "a queue of at least one batch: by default 2048 and 512 spans",
        "a batch that does not fit into the queue would never be full, so the agent gave up, and the app runs without any telemetry",
        f"raise OTEL_BSP_MAX_QUEUE_SIZE in {where}, or lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE with it",
        "300/900/300",
    )


def agent_gave_up(f: Facts) -> Diagnosis | None:
    said = search(r"Failed to auto initialize OpenTelemetry|Error in sitecustomize", f.output)
    if not said or not f.missing:
        return None
    return Diagnosis(
        "agent-gave-up",
        f"the agent said: {said[0]}\n{exception(f.output)}",
        "an agent that sets telemetry up",
        "the error in the line above ended its set-up, and the app runs without any telemetry",
        f"mend what the error names; `{f.command}` in src/ shows it as its first lines",
        "300/300/100",
    )


def export_forgotten(f: Facts) -> Diagnosis | None:
    kept = [s for s in f.all_settings.values() if not s.exported]
    if not f.missing or not kept:
        return None
    setting = next((s for s in kept if s.name in f.lacks), kept[0])
    return Diagnosis(
        "export-forgotten",
        f"{setting.where}: {setting.name}={setting.value}",
        f"export {setting.name}={setting.value}",
        "without `export` a shell keeps a variable for itself, and the programs that it starts do not see it",
        f"write `export ` before it in {setting.where}",
        "300/300/200",
    )


def misspelt_setting(f: Facts) -> Diagnosis | None:
    if not f.missing:
        return None
    wrong: Setting | None = next((s for s in f.settings.values() if settings.misspelt(s.name)), None)
    if not wrong:
        return None
    right = settings.misspelt(wrong.name)
    if wrong.shown.startswith("--"):
        right = settings.nearest(wrong.shown, settings.flags()) or right
    return Diagnosis(
        "misspelt-setting",
        f"{wrong.where}: {wrong.shown}",
        right,
        "no package reads this name, and an unknown name is not an error: the default stays",
        f"write {right} in {wrong.where}",
        "300/300/200" if wrong.shown.startswith("OTEL") else "300/300/100",
    )


CONFIGURATION = (unknown_exporter, unknown_protocol, queue_below_batch, export_forgotten, misspelt_setting)
