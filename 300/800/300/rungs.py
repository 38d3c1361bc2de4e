"""What keeps an exporter from Azure."""

from __future__ import annotations

import re

from workshop.diagnosis.connection_string import FORM, NAME, fault
from workshop.diagnosis.facts import Diagnosis, Facts
from workshop.diagnosis.settings import nearest

EXPORTER = "azure_monitor_opentelemetry_exporter"
SAID = re.compile(r"ValueError: (Invalid connection string|Invalid instrumentation key.*|Instrumentation key cannot be.*)")


def connection_string(f: Facts) -> Diagnosis | None:
    """The exporter could not read the connection string, or nothing came to where the string should lead."""
    said, setting = SAID.search(f.output), f.settings.get(NAME)
    found = fault(setting.value) if setting and setting.plain and (said or f.missing) else None
    if setting and found:
        where, seen, expected, do = setting.where, f"{NAME} has {found.seen}", found.expected, found.do
    elif said and not setting:
        other = nearest(NAME, [name for name in f.all_settings if name.startswith("APPLICATIONINSIGHTS_")], 0.85)
        where = f.all_settings[other].where if other else f"src/{f.script}"
        seen, expected = other or f"no {NAME}", NAME
        do = f"write {NAME} in place of {other}" if other else f"export {NAME} as {FORM}"
        do = f"write `export ` before {NAME}" if other == NAME else do
    elif said:
        where, seen, expected, do = f"src/{f.script}", f"{NAME} is what the exporter cannot read", FORM, "look at its quotes"
    else:
        return None
    return Diagnosis(
        "connection-string",
        f"{where}: {seen}" + (f"\n{said[0]}" if said else ""),
        expected,
        "it holds the key and the address; an exporter that cannot read it gives up, "
        + ("and the app runs untraced" if f.listened else "and the app with it")
        if said
        else "it holds the key and the address; what has no address of yours goes to one of Microsoft's",
        f"{do}, in {where}",
        "300/800/300",
    )


def exporter_not_installed(f: Facts) -> Diagnosis | None:
    """The name is right, and no package has it."""
    if not re.search(rf"Requested component '{EXPORTER}' not found", f.output):
        return None
    return Diagnosis(
        "missing-package",
        f"no exporter {EXPORTER} in the environment that runs your app",
        "the exporter for Azure, beside the packages of the lessons before",
        "the agent finds exporters by the packages that are installed; without this one it gives up, and the app runs untraced",
        "run `pip install --require-hashes -r 300/800/300/requirements.txt`",
        "300/800/300",
    )


STARTS = (connection_string,)
SPANS = (exporter_not_installed, connection_string)
