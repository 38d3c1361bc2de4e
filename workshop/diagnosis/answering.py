"""Does the app answer as wanted, and does it stop?"""

from __future__ import annotations

import re
from dataclasses import replace

from workshop.diagnosis.facts import Diagnosis, Facts, Response, Stage, climb, exception, frame, line_at, search, words
from workshop.diagnosis.files import in_the_way, mark_on_page, mark_unseen, unreadable
from workshop.diagnosis.starting import STARTS


def worker_failed(f: Facts) -> Diagnosis | None:
    """gunicorn listens before a worker imports the app, so an app that does not start is one that does not answer."""
    said = search(r"Exception in worker process|^Failed to (?:find|parse)", f.output)
    if all(response.status for response in f.responses) or not said:
        return None
    return climb(replace(f, listened=False), STARTS)


def does_not_answer(f: Facts) -> Diagnosis | None:
    silent = next((a for a in f.responses if not a.status), None)
    if not silent:
        return None
    return Diagnosis(
        "does-not-answer",
        f"{silent}: no answer ({silent.problem[:200]})",
        "an answer within ten seconds",
        "the app closed the connection or is busy with something that does not end",
        f"run `{f.command}` in src/ and ask it yourself: curl -i http://localhost:{f.port}{silent.path}",
        f.lesson,
    )


def missing_column(f: Facts) -> Diagnosis | None:
    missing = re.search(r"no such column: ([\w.]+)", f.output)
    if not missing or not any(a.status == 500 for a in f.responses):
        return None
    where = frame(f.output)
    return Diagnosis(
        "missing-column",
        f"{where + ': ' if where else ''}no such column: {missing[1]}",
        "columns that the database has had since its table was made",
        "`create_all()` makes a table that is missing, and never a column of one that is there",
        "leave the columns of a table as they are, and give what is new a table of its own",
        "300/300/400",
    )


def _without_token(f: Facts) -> list[str]:
    """The forms that post without a token, each as `file:line`."""
    return [
        f"src/{path}:{line_at(text, form.start())}"
        for path, text in f.files.items()
        if path.endswith(".html")
        for form in re.finditer(r"<form\b.*?(?:</form>|\Z)", text, re.DOTALL | re.IGNORECASE)
        if re.search(r"method\s*=\s*[\"']?post", form[0], re.IGNORECASE) and not re.search("csrf_token|hidden_tag", form[0])
    ]


def token_forgotten(f: Facts) -> Diagnosis | None:
    refused = next((a for a in f.responses if a.wanted and a.status not in a.wanted), None)
    if not refused or refused.status != 400:  # a page that failed before could not hand out a token
        return None
    said = "CSRF token is missing" in refused.text + f.output
    protected = any("CSRFProtect" in text for text in f.modules.values())
    bare = _without_token(f)
    if not said and not (protected and bare):  # a page of the app's own need not say why
        return None
    return Diagnosis(
        "token-forgotten",
        f"{refused}: status 400"
        + (", the CSRF token is missing" if said else "")
        + (f"; the form in {bare[0]} has no token" if bare else ""),
        f"status {' or '.join(map(str, refused.wanted))}, for a form that carries the app's token",
        "CSRFProtect refuses every form that does not bring the token which the app gave to this visitor's page",
        'write `<input type="hidden" name="csrf_token" value="{{ csrf_token() }}">` into the form'
        + (f" in {bare[0]}" if bare else ""),
        "300/200/300",
    )


def unregistered(f: Facts) -> Diagnosis | None:
    """A blueprint that the app does not know: its pages are not found, and no address can be made for them."""
    lost = next((a for a in f.responses if a.wanted and a.status in (404, 500) and a.status not in a.wanted), None)
    registered = re.findall(r"register_blueprint\(\s*([\w.]+)", "\n".join(f.files.values()))
    made = re.compile(r"^\w+\s*=\s*Blueprint\(\s*[\"'](\w+)", re.MULTILINE)
    for path, text in f.files.items():
        module = path.rpartition("/")[2].removesuffix(".py")
        known = any("." not in name or module in name.split(".") for name in registered)
        blueprint = made.search(text) if lost and path.endswith(".py") and not known else None
        if not blueprint:
            continue
        asked_for = re.search(rf"Could not build url for endpoint '{blueprint[1]}\.\w+'", f.output)
        if asked_for if lost.status == 500 else f'"{lost.path}"' in text.replace("'", '"'):
            variable = blueprint[0].partition("=")[0].strip()
            where = f"src/{path}:{line_at(text, blueprint.start())}"
            return Diagnosis(
                "unregistered",
                f"{lost}: status {lost.status}; {where} makes the blueprint {blueprint[1]!r}, and the app does not register it",
                f"status {' or '.join(map(str, lost.wanted))}",
                "an app has the pages of a blueprint only once it registers it",
                f"import {module} in src/todo/__init__.py, and write `app.register_blueprint({module}.{variable})` in `create_app`",
                f.lesson,
            )
    return None


def form_not_shown(f: Facts) -> Diagnosis | None:
    """A form is refused that no page had, so that nobody was given its token, and one lies in a part that no page includes."""
    refused = next((a for a in f.responses if a.wanted and a.status == 400 and a.status not in a.wanted), None)
    if not refused or any(f'action="{refused.path}"' in a.text for a in f.responses):
        return None
    pages = {path: text for path, text in f.files.items() if path.endswith(".html")}
    names = {path: path.rpartition("/")[2] for path, text in pages.items() if "<form" in text and "/_" in path}
    parts = [path for path, name in names.items() if not any(name in other for other in pages.values())]
    if len(parts) != 1:
        return None
    return Diagnosis(
        "form-not-shown",
        f"{refused}: status 400, and no page has a form that goes there; one lies in src/{parts[0]}, which no page includes",
        f"status {' or '.join(map(str, refused.wanted))}, for a form that carries the app's token",
        "CSRFProtect refuses what does not bring the token of a page of the app, and only a form on a page can bring it",
        f'write `{{% include "{names[parts[0]]}" %}}` into the page that is to show it',
        f.lesson,
    )


def wrong_status(f: Facts) -> Diagnosis | None:
    wrong = next((a for a in f.responses if a.wanted and a.status not in a.wanted), None)
    if not wrong:
        return None
    error = exception(f.output) if wrong.status >= 500 and "Traceback" in f.output else ""
    where = frame(f.output) if error else ""
    return Diagnosis(
        "wrong-status",
        f"{wrong}: status {wrong.status}" + (f", {where}: {error}" if where else f", {error}" if error else ""),
        f"status {' or '.join(map(str, wrong.wanted))}",
        _status_why(wrong, bool(error)),
        f"look at {where}; `workshop diff {f.lesson}` shows what the lesson has there"
        if where
        else f"look at the view of {wrong.path}; ask it yourself and read the page: curl -i http://localhost:{f.port}{wrong.path}",
        f.lesson,
    )


def _status_why(response: Response, raised: bool) -> str:
    if raised:
        return "your code raised this error while it answered"
    return {
        404: "no route of the app has this address, or it says that the thing asked for does not exist",
        405: "the route exists, but not for this method",
        400: "the app refused the form",
        500: "the app failed while it answered",
    }.get(response.status, "the view of this route answered otherwise")


def does_not_stop(f: Facts) -> Diagnosis | None:
    if f.stopped:
        return None
    return Diagnosis(
        "does-not-stop",
        f"`{f.command}` still ran ten seconds after Ctrl-C" + words(f.output, 3),
        "an app that ends when it is told to",
        "something in it catches or ignores the interrupt, or waits for an answer that does not come",
        f"run `{f.command}` in src/ and press Ctrl-C; press it again, and the traceback names the line in which it waits",
        f.lesson,
    )


ANSWERS = Stage(
    "ANSWERS",
    mark_on_page,
    mark_unseen,
    worker_failed,
    does_not_answer,
    missing_column,
    unreadable,
    in_the_way,
    token_forgotten,
    form_not_shown,
    unregistered,
    wrong_status,
    does_not_stop,
)
