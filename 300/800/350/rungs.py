"""What keeps a distro from what it was installed for."""

from __future__ import annotations

import re

from workshop.diagnosis.connection_string import NAME
from workshop.diagnosis.facts import Diagnosis, Facts, place

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
    said = re.search(r"^Error: (Failed to find Flask application.* in module '(\w+)'.*)$", f.output, re.MULTILINE)
    if f.listened or not said:
        return None
    file = f"{said[2]}.py"
    where = place({file: f.files.get(file, "")}, r"^configure_azure_monitor\(")
    if not where:
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


def nobody_there(f: Facts) -> Diagnosis | None:
    """The exporter for Azure knocks where nobody listens, and says so."""
    said = re.search(r"Retrying due to server request error: .*?host='([^']+)', port=(\d+)\D.*Connection refused", f.output)
    if not said or not f.missing:
        return None
    address = f"{said[1]}:{said[2]}"
    return Diagnosis(
        "nobody-there",
        f"the exporter asks {address}, and nobody listens there",
        "the address of `python ingestion.py`, http://localhost:5324/",
        "it keeps what it cannot send and tries again later; until then nothing arrives",
        f"compare IngestionEndpoint in src/{f.script} with the page",
        "300/800/350",
    )


def another_app(f: Facts) -> Diagnosis | None:
    """What is served does not call the distro, though there is a file that does."""
    served = re.search(r"--app[ =](\w+)", f.run_sh)
    calling = [path for path, text in sorted(f.modules.items()) if "configure_azure_monitor(" in text]
    if not served or not calling or NAME not in f.all_settings or not f.missing or f"{served[1]}.py" in calling:
        return None
    return Diagnosis(
        "another-app",
        f"src/{f.script} serves {served[1]}; configure_azure_monitor() is called in src/{calling[0]}",
        "the file that calls it",
        "what is never imported is never called, and nothing says so",
        f"write `--app {calling[0].removesuffix('.py')}` in src/{f.script}",
        "300/800/350",
    )


STARTS = (distro_too_late,)
SPANS = (two_distros, nobody_there, another_app)
