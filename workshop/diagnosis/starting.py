"""Does the app start? Rungs from the command line to the port on which it listens."""

from __future__ import annotations

import re

from workshop.diagnosis import settings
from workshop.diagnosis.facts import Diagnosis, Facts, Stage, exception, frame, tail


def shadowed(f: Facts) -> Diagnosis | None:
    if f.listened or not f.shadows:
        return None
    name = f.shadows[0]
    return Diagnosis(
        "shadowed",
        f"{name} has the name of a Python package, and the app does not start",
        "your own files under names that no package uses",
        "Python looks in the app's folder first, so every `import` of that package gets your file",
        f"rename {name}, also where you import it, then check again",
        "300/200/100",
    )


def no_such_command(f: Facts) -> Diagnosis | None:
    missing = re.search(r"(?:line )?(\d+): ([\w./-]+): (?:command )?not found", f.output)
    if missing and not f.listened:
        line, name = missing.groups()
        known = settings.nearest(name, frozenset({"flask", "gunicorn", "opentelemetry-instrument", "tee", "python", "sh"}))
        known = "" if known == name else known
        return Diagnosis(
            "no-such-command",
            f"src/{f.script}:{line}: {name}: command not found",
            f"the command `{known}`" if known else f"a command of the name {name}",
            "it is misspelt" if known else "it is not installed in the environment in which the app runs",
            f"write `{known}` in src/{f.script}:{line}"
            if known
            else "run `make install`, or `workshop doctor` to see what is missing",
            "300/100",
        )
    script = re.escape(f.script)
    if re.search(rf"{script}: No such file|can't open '?{script}|cannot open {script}", f.output):
        return Diagnosis(
            "no-run-file",
            f"there is no file src/{f.script}",
            f"src/{f.script} with the command line that starts the app",
            "the check starts your app by your own command line, and finds none",
            f"write src/{f.script} as the lesson shows; `workshop diff {f.lesson}` shows it",
            f.lesson,
        )
    return None


def not_installed(f: Facts) -> Diagnosis | None:
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", f.output)
    if f.listened or not missing or missing[1].split(".")[0] in {name.split("/")[0].removesuffix(".py") for name in f.files}:
        return None
    where = frame(f.output)
    return Diagnosis(
        "not-installed",
        f"{where}: No module named {missing[1]!r}",
        f"a package that brings {missing[1].split('.')[0]!r}, or another spelling",
        "the environment in which the app runs does not have it",
        f"look at the spelling in {where}; if it is right, run `make install`",
        "300/100",
    )


def does_not_import(f: Facts) -> Diagnosis | None:
    if f.listened:
        return None
    trace = "Traceback (most recent call last)" in f.output or "SyntaxError" in f.output
    if trace and (where := frame(f.output)):
        return Diagnosis(
            "does-not-import",
            f"{where}: {exception(f.output)}",
            "an app that Python can import",
            "your code raised this error while it was loaded, so no request can be served",
            f"look at {where}, and compare: `workshop diff {f.lesson}`",
            f.lesson,
        )
    no_app = re.search(r"^Error: (.*(?:Flask application|Could not import|Failed to find).*)$", f.output, re.MULTILINE)
    if no_app and any("FlaskInstrumentor().instrument()" in text for text in f.files.values()):
        return Diagnosis(
            "flask-replaced",
            no_app[1],
            "an app of the class that `flask.Flask` names now",
            "`FlaskInstrumentor().instrument()` puts another class in its place; who imported `Flask` before has the old one, "
            "and `flask run` does not know its app",
            "write `FlaskInstrumentor().instrument_app(app)`, which watches the app that is there",
            "300/400/500",
        )
    if no_app:
        return Diagnosis(
            "no-app",
            no_app[1],
            "src/wsgi.py, which makes `app`",
            "`flask run` looks for `app` in wsgi.py or app.py of the folder in which it is started",
            f"compare src/wsgi.py: `workshop diff {f.lesson}`",
            "300/200/100",
        )
    return None


def port_taken(f: Facts) -> Diagnosis | None:
    if not re.search(r"Address already in use|Port \d+ is in use|Errno 98\]|Errno 48\]", f.output):
        return None
    port = re.search(r"Port (\d+)|127\.0\.0\.1['\", :]+(\d+)", f.output)
    number = next((group for group in port.groups() if group), f.port) if port else f.port
    return Diagnosis(
        "port-taken",
        f"port {number} is in use" + (f" by {f.port_owner}" if f.port_owner else ""),
        f"an app that listens on port {f.port}",
        "two programs cannot listen on one port" + (", and 5000 is AirPlay's on a Mac" if str(number) == "5000" else ""),
        f"stop that program, or write `-p {f.port}` in src/{f.script}",
        "300/200/100",
    )


def listens_elsewhere(f: Facts) -> Diagnosis | None:
    if f.listened or not f.listening_ports:
        return None
    return Diagnosis(
        "listens-elsewhere",
        f"the app listens on port {f.listening_ports[0]}",
        f"port {f.port}",
        f"all lessons and their checks ask http://localhost:{f.port}",
        f"write `-p {f.port}` in src/{f.script} (gunicorn: `-b 127.0.0.1:{f.port}`)",
        "300/200/100",
    )


def ends_at_once(f: Facts) -> Diagnosis | None:
    if f.listened or f.exit_code is None:
        return None
    return Diagnosis(
        "ends-at-once",
        f"`{f.command}` ended with status {f.exit_code} and never listened"
        + (f"; it printed last\n{tail(f.output)}" if f.output.strip() else ", and printed nothing"),
        f"an app that listens on port {f.port} until Ctrl-C",
        "the command line did not start a server",
        f"run `{f.command}` in src/ yourself and read what it says; compare: `workshop diff {f.lesson}`",
        f.lesson,
    )


def never_listens(f: Facts) -> Diagnosis | None:
    if f.listened:
        return None
    return Diagnosis(
        "never-listens",
        f"`{f.command}` runs, but listens on no port"
        + (f"; it printed last\n{tail(f.output)}" if f.output.strip() else ", and prints nothing"),
        f"an app that listens on port {f.port}",
        "something in it waits before the server starts",
        f"run `{f.command}` in src/ and see where it stays; compare: `workshop diff {f.lesson}`",
        f.lesson,
    )


STARTS = Stage(
    "STARTS",
    shadowed,
    no_such_command,
    not_installed,
    does_not_import,
    port_taken,
    listens_elsewhere,
    ends_at_once,
    never_listens,
)
