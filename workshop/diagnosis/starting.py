"""Does the app start? Rungs from the command line to the port on which it listens."""

from __future__ import annotations

import ast
import re

from workshop.diagnosis import script, settings
from workshop.diagnosis.configuration import unknown_exporter, unknown_protocol
from workshop.diagnosis.facts import Diagnosis, Facts, Stage, exception, frame, words
from workshop.diagnosis.files import in_the_way, unreadable
from workshop.diagnosis.packages import missing_package, not_active
from workshop.diagnosis.script import SCRIPT


def shadowed(f: Facts) -> Diagnosis | None:
    name = next((name for name in f.shadows if _to_blame(f, name.removeprefix("src/").removesuffix(".py"))), "")
    if not name:
        return None
    return Diagnosis(
        "shadowed",
        f"{name} has the name of a Python package; the app said\n{exception(f.output)}",
        "your own files under names that no package uses",
        "Python looks in the app's folder first, so every `import` of that package gets your file",
        f"rename {name}, also where you import it, then check again",
        "300/200/100",
    )


def _to_blame(f: Facts, module: str) -> bool:
    """Whether the app failed at what it expects of a package, and found in the learner's file of that name."""
    if f.listened and not f.missing:
        return False
    told = rf"File \"src/{module}[./]|\(src/{module}[./]|'{module}' (is not a package|has no attribute)|module '{module}'"
    return bool(re.search(told, f.output)) or (not f.listened and "Traceback" not in f.output and "Error" not in f.output)


def no_such_command(f: Facts) -> Diagnosis | None:
    missing = script.said(f, r"([\w./-]+): (?:command )?not found")
    if missing and not f.listened:
        line, name = missing.groups()
        known = settings.nearest(name, script.COMMANDS)
        known = "" if known == name else known
        return Diagnosis(
            "no-such-command",
            f"src/{f.script}:{line}: {name}: command not found",
            f"the command `{known}`" if known else f"a command of the name {name}",
            "it is misspelled" if known else "it is not installed in the environment in which the app runs",
            f"write `{known}` in src/{f.script}:{line}"
            if known
            else "run `make install`, or `workshop doctor` to see what is missing",
            "300/100",
        )
    file = re.escape(f.script)
    if re.search(rf"{file}: No such file|can't open '?{file}|cannot open {file}", f.output):
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
    if f.makes_environment and not missing:  # some package of the same namespace is there, and not this one
        missing = re.search(r"ImportError: cannot import name '\w+' from '([\w.]+)' \(unknown location\)", f.output)
    if f.listened or not missing or missing[1].split(".")[0] in {name.split("/")[0].removesuffix(".py") for name in f.files}:
        return None
    where = frame(f.output) or f"src/{f.script}"  # gunicorn itself imports what stands there
    elsewhere = sorted(path for path in f.files if path.endswith(f"/{missing[1]}.py"))
    if elsewhere:
        return Diagnosis(
            "no-such-module",
            f"{where} imports {missing[1]}, and there is no file src/{missing[1]}.py; there is src/{elsewhere[0]}",
            f"src/{missing[1]}.py",
            "`import` looks for a file of that name in src/ itself, not in the folders below",
            f"move src/{elsewhere[0]} to src/{missing[1]}.py",
            f.lesson,
        )
    return Diagnosis(
        "not-installed",
        f"{where}: No module named {missing[1]!r}",
        f"a package that brings {missing[1].split('.')[0]!r}, or another spelling",
        "the environment in which the app runs does not have it",
        f"look at the spelling in {where}; if it is right, "
        + (
            f"compare with the page how src/{f.script} names its environment and activates it"
            if f.makes_environment
            else "run `make install`"
        ),
        f.lesson if f.makes_environment else "300/100",
    )


def no_such_module(f: Facts) -> Diagnosis | None:
    """A module of the app's own that is imported and is not there."""
    found = re.search(
        r"(?:No module named|Could not import) '(\w+)\.([\w.]+)'|"
        r"cannot import name '(\w+)' from (?:partially initialized )?module '(\w+)'",
        f.output,
    )
    if f.listened or not found:
        found = None if f.listened else re.search(r"cannot import name '(\w+)' from '(\w+)' \(src/\w+/__init__\.py\)", f.output)
        package, name = (found[2], found[1]) if found else ("", "")
    else:
        package, name = found[1] or found[4], found[2] or found[3]
    folder = {path for path in f.files if path.startswith(f"{package}/")}
    path = f"{package}/{name.replace('.', '/')}.py"
    # Where the package itself says the name, something else is wrong with it, such as two modules that import each other.
    if (
        not package
        or not folder
        or path in folder
        or re.search(rf"\b{name}\s*=|def {name}\b|class {name}\b", f.files.get(f"{package}/__init__.py", ""))
    ):
        return None
    elsewhere = [other for other in sorted(f.files) if other.rpartition("/")[2] == path.rpartition("/")[2]]
    near = elsewhere[0] if elsewhere else settings.nearest(path, folder, 0.8)
    where = frame(f.output) or f"src/{f.script}"  # `flask --app` names one, too
    return Diagnosis(
        "no-such-module",
        f"{where} imports {name}, and there is no file src/{path}" + (f"; there is src/{near}" if near else ""),
        f"src/{path}",
        "`import` looks for a file of that very name",
        f"move src/{near} to src/{path}, or mend the name in {where}"
        if near
        else f"write src/{path}, or mend the name in {where}",
        f.lesson,
    )


def same_name_twice(f: Facts) -> Diagnosis | None:
    found = re.search(r"overwriting an existing endpoint function: ([\w.]+)", f.output)
    if f.listened or not found:
        return None
    name = found[1].rpartition(".")[2]
    places = [f"src/{path}:{line}" for path, line, node in _functions(f) if node.name == name]
    return Diagnosis(
        "same-name-twice",
        f"two views are called {name}: {' and '.join(places) or 'see the files with routes'}",
        "a name of its own for each view",
        "Flask knows a view by the name of its function, and the second would take the place of the first",
        f"give the function in {places[-1] if places else 'one of the files'} another name",
        "300/200/100",
    )


def factory_without_return(f: Facts) -> Diagnosis | None:
    if f.listened or not re.search("Failed to find Flask application|NoneType|Failed to find application object", f.output):
        return None
    for path, line, node in _functions(f):
        if node.name in ("create_app", "make_app") and not any(isinstance(n, ast.Return) and n.value for n in ast.walk(node)):
            return Diagnosis(
                "factory-without-return",
                f"src/{path}:{line}: {node.name}() makes an app and does not return it",
                "`return app` as its last line",
                "a function without `return` gives None, and None is no app",
                f"write `return app` at the end of {node.name}() in src/{path}",
                "300/200/100",
            )
    return None


def _functions(f: Facts) -> list[tuple[str, int, ast.FunctionDef]]:
    """The functions of the app's Python files, each with its path below src/ and its line."""
    found = []
    for path, text in f.modules.items():
        try:
            found += [(path, n.lineno, n) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
        except (SyntaxError, ValueError):
            continue
    return found


def does_not_import(f: Facts) -> Diagnosis | None:
    if f.listened:
        return None
    trace = "Traceback (most recent call last)" in f.output or "SyntaxError" in f.output
    if trace and (where := frame(f.output)):
        return Diagnosis(
            "does-not-import",
            f"{where}: {exception(f.output)}{_quoted(f, where)}",
            "an app that Python can import",
            "your code raised this error while it was loaded, so no request can be served",
            f"look at {where} and at the lines just above it; `workshop diff {f.lesson}` shows what the lesson has there",
            f.lesson,
        )
    return None


def _quoted(f: Facts, where: str) -> str:
    """The line of a file that a place such as src/wsgi.py:3 names, to stand below what was seen."""
    path, _, number = where.removeprefix("src/").rpartition(":")
    lines = f.files.get(path, "").splitlines()
    line = lines[int(number) - 1].strip() if number.isdigit() and 0 < int(number) <= len(lines) else ""
    return f"\n{line}" if line else ""


def no_app(f: Facts) -> Diagnosis | None:
    said = re.search(r"^Error: (.*(?:Flask application|Could not import|Failed to find).*)$", f.output, re.MULTILINE)
    if f.listened or not said:
        return None
    if "Failed to find" in said[1] and any("FlaskInstrumentor().instrument()" in text for text in f.files.values()):
        return Diagnosis(
            "flask-replaced",
            said[1],
            "an app of the class that `flask.Flask` names now",
            "`FlaskInstrumentor().instrument()` puts another class in its place; who imported `Flask` before has the old one, "
            "and `flask run` does not know its app",
            "write `FlaskInstrumentor().instrument_app(app)`, which watches the app that is there",
            "300/400/500",
        )
    return Diagnosis(
        "no-app",
        said[1],
        "src/wsgi.py, which makes `app`",
        "`flask run` looks for `app` in wsgi.py or app.py of the folder in which it is started",
        "let src/wsgi.py say `app = create_app()`" if "wsgi.py" in f.files else "write src/wsgi.py as the lesson shows it",
        "300/200/100",
    )


def no_app_for_gunicorn(f: Facts) -> Diagnosis | None:
    said = re.search(
        r"^Failed to (?:find (?:attribute|application)|parse (?:arguments|.* as an attribute)).*$", f.output, re.MULTILINE
    )
    if f.listened or not said:
        return None
    return Diagnosis(
        "no-app-for-gunicorn",
        said[0],
        "a module, a colon, and the app in it, as in `wsgi:app`",
        "gunicorn imports what stands before the colon, and takes or calls what stands behind it; quotes inside of quotes of the "
        "same kind end them",
        f"mend the last word of the line with gunicorn in src/{f.script}, or what it is set to",
        f.lesson,
    )


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
        f"`{f.command}` ended with status {f.exit_code} and never listened" + words(f.output),
        f"an app that listens on port {f.port} until Ctrl-C",
        "the command line did not start a server",
        f"run `{f.command}` in src/ yourself and read its first line; then compare src/{f.script}: `workshop diff {f.lesson}`",
        f.lesson,
    )


def never_listens(f: Facts) -> Diagnosis | None:
    if f.listened:
        return None
    return Diagnosis(
        "never-listens",
        f"`{f.command}` runs, but listens on no port" + words(f.output),
        f"an app that listens on port {f.port}",
        "something in it waits before the server starts",
        f"run `{f.command}` in src/, press Ctrl-C after a while, and read in which line it stood",
        f.lesson,
    )


STARTS = Stage(
    "STARTS",
    *SCRIPT,
    not_active,
    unreadable,
    in_the_way,
    shadowed,
    no_such_command,
    missing_package,
    unknown_exporter,
    unknown_protocol,
    no_such_module,
    not_installed,
    same_name_twice,
    factory_without_return,
    does_not_import,
    no_app,
    no_app_for_gunicorn,
    port_taken,
    listens_elsewhere,
    ends_at_once,
    never_listens,
)
