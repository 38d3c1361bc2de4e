"""What keeps a distro from what it was installed for."""

from __future__ import annotations

import re

from workshop.diagnosis.facts import Diagnosis, Facts

SAID = re.compile(
    r"Configuration of (\w+) not loaded(?:,| because) (\w+) (?:already loaded|is set by OTEL_PYTHON_CONFIGURATOR)"
)


def two_distros(f: Facts) -> Diagnosis | None:
    """The agent found two distros, and took one. Two of one name are told apart in 300/800/400."""
    said = SAID.search(f.output)
    if not said or said[1] == said[2] or not f.missing:
        return None
    return Diagnosis(
        "two-distros",
        said[0],
        "one distro: that of the backend in code, or an exporter under the agent",
        f"the agent takes the first distro that it finds; what {said[1]} would have set up is missing, and nothing else says so",
        f"take `opentelemetry-instrument` out of src/{f.script}; or name the other by OTEL_PYTHON_DISTRO and OTEL_PYTHON_CONFIGURATOR",
        "300/800/350",
    )


def distro_too_late(f: Facts) -> Diagnosis | None:
    """The distro has replaced `flask.Flask` after the app's module had imported it."""
    said = re.search(r"^Error: (Failed to find Flask application.*)$", f.output, re.MULTILINE)
    called = (
        f"src/{path}:{number}"
        for path, text in sorted(f.files.items())
        for number, line in enumerate(text.splitlines(), 1)
        if path.endswith(".py") and line.startswith("configure_azure_monitor(")
    )
    if f.listened or not said or not (where := next(called, "")):
        return None
    return Diagnosis(
        "flask-replaced",
        f"{where} is called when the app is already imported; `flask run` says: {said[1]}",
        "configure_azure_monitor(…) before `from todo import create_app`",
        "the distro puts another class in the place of `flask.Flask`; who imported `Flask` before has the old one, "
        "and `flask run` does not know its app",
        "call it before that import",
        "300/800/350",
    )


STARTS = (distro_too_late,)
SPANS = (two_distros,)
