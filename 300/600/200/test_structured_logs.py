"""A line is one JSON object with the ids of its request, says nothing private, and no request waits for it."""

import json
import shutil
from types import SimpleNamespace

import pytest

from workshop.course.requirements import requirements

TASK, MAIL, TOKEN = requirements().canaries
SIGNED, BARE = "somebody signed in", "a header came"
FORGED = 'nobody signed out\n{"message": "forged", "level": "INFO"}\nINFO:todo:forged \x1b[31min red\x1b[0m'
AFTER, LAST, FLOODS = "the check goes on", "the last words of the check", ("flood ", "too late ")
AT_THE_END = "said as the SDK ends"
ADDRESSES = ("203.0.113.7", "2001:db8::17")
VISITOR = {"token": "visitor-4c1e77", "mail": "visitor.4c1e77@example.org"}
RAISED = "raised.4c1e77@example.org"  # in the traceback of an exception, which passes to OpenTelemetry until the next lesson
CAUGHT = "it was raised, and caught"
FIELDS = {"logger": "told", "service": "todo", "todo.number": 7}


def told(app, *said, **how):
    """Let the app log these: each is a level, a message, and what is given as `extra`."""
    return app.get("/told", headers={"X-Told": json.dumps(said)}, **how)


def visited(checkpoint):
    """One run of the app: what it logs, a flood of lines while nothing is printed, its last words, and another flood."""
    shutil.copy(checkpoint.lesson.root / "300" / "600" / "100" / "told.py", checkpoint.folder)
    checkpoint.environment["FLASK_APP"] = "told"
    checkpoint.environment["TZ"] = "TST-9"
    extra = {"todo.number": 7, "mail": MAIL, "user": {"token": TOKEN, "from": list(ADDRESSES)}, "refused": MAIL}
    with checkpoint.serve(shown=True) as app:
        run = SimpleNamespace(app=app)
        run.told = told(
            app,
            ("INFO", f"{SIGNED}: {MAIL}, token={TOKEN}, from {' and '.join(ADDRESSES)}", extra),
            ("WARNING", f"{BARE}, Authorization: Bearer {TOKEN}", None),
            ("ERROR", FORGED, None),
            ("RAISED", f"no visitor {RAISED}", None),
            traceparent=True,
        )
        run.visited = app.get(f"/no-such-page?token={VISITOR['token']}&mail={VISITOR['mail']}", wanted=404)
        run.misfit = app.get("/misfit", wanted=(200, 500))
        run.added = app.submit("/add", {"text": TASK})
        run.waited = app.get("/flood").text
        app.until(lambda: told(app, ("INFO", AFTER, None)).status != 200 or AFTER in app.output)
        app.get("/last")
    return run


@pytest.mark.before("not-json")
def test_a_line_is_a_json_object_with_the_ids_of_its_request(checkpoint):
    run = checkpoint.shared(visited)
    app, lines = run.app, run.app.json_lines
    plain = [line for line in app.lines if SIGNED in line and not any(SIGNED in str(read.body) for read in lines)]
    checkpoint.must(
        not plain,
        "not-json",
        seen=plain[0] if plain else "",
        expected='{"time": "…", "level": "INFO", "logger": "told", "message": "…", …}',
        why="a program finds a field by its name; a sentence has to be taken apart, and changes",
    )
    span = app.server_span(run.told)
    line = app.log_record(span, text=SIGNED, severity="INFO", logs=lines)
    lacks = [f"{name}: {line.attributes.get(name)!r}" for name, value in FIELDS.items() if line.attributes.get(name) != value]
    checkpoint.must(
        not lacks and abs(line.time_ns - span.start_ns) < 60 * 10**9,
        "fields",
        seen=", ".join(lacks) or "time: it is missing, is not as ISO 8601 has it with its zone, or is another one",
        expected=", ".join(f"{name}: {value!r}" for name, value in FIELDS.items()) + ", and the time",
        why="whoever searches the logs of forty services asks for the same names in all of them",
    )
    app.log_record(app.server_span(run.added), text="A task was added.", logs=lines)
    status = app.log_record(app.server_span(run.visited), text="GET - 404", logs=lines).attributes
    checkpoint.must(
        status.get("http.response.status_code") == 404,
        "fields",
        seen=f"the line of an answer has {', '.join(status)}",
        expected="http.response.status_code, http.request.method and http.route, too",
        why="what stands only in a sentence can be read, not counted",
        do="give them to `log.info` as `extra`",
    )


@pytest.mark.before("private")
def test_nothing_private_is_in_any_signal(checkpoint):
    run = checkpoint.shared(visited)
    run.app.keeps_secrets()
    logs = [*run.app.console.logs, *run.app.json_lines]
    caught = [str(line.attributes) for line in run.app.json_lines if CAUGHT in str(line.body)]
    checkpoint.must(
        not any(RAISED in told for told in caught),
        "private",
        seen=f"{RAISED} in the traceback of a line",
        expected="[e-mail] in its place",
        why="what an exception says holds what was sent to the app; a formatter puts it together after the filters",
        do="mask what `formatException` returns",
    )
    found = [secret for secret in (*ADDRESSES, *VISITOR.values()) for log in logs if secret in f"{log.body} {log.attributes}"]
    checkpoint.must(
        not found,
        "private",
        seen=f"{found and found[0]} in a log record",
        expected="[ip], [e-mail] or [secret] in its place",
        why="a query holds what visitors were sent, and an IP address is a person's; logs are copied and kept",
        do="mask the whole record before each handler of the root logger gets it",
    )
    colored = [log.body for log in logs if "\x1b" in str(log.body)]
    checkpoint.must(
        not colored,
        "colors",
        seen=f"{colored and colored[0]!r}",
        expected="the text without the codes of a terminal",
        why="codes that color a terminal make a text that no search finds; others move the cursor and overwrite lines",
    )


@pytest.mark.before("forged-line")
def test_who_writes_line_breaks_forges_no_line(checkpoint):
    run = checkpoint.shared(visited)
    forged = [line for line in run.app.lines if line.startswith(('{"message": "forged', "INFO:todo:forged"))]
    checkpoint.must(
        not forged,
        "forged-line",
        seen=f"{forged and forged[0]!r} is a line of its own; it came within the text of another",
        expected="one record, one line",
        why="whoever can write a line break into a log can make it say what never happened",
        do="`json.dumps` writes a line break as \\n",
    )
    span = run.app.server_span(run.told)
    for logs in (run.app.json_lines, run.app.console.logs):
        run.app.log_record(span, text=FORGED.splitlines()[0], logs=logs)
        run.app.log_record(span, text=CAUGHT, severity="ERROR", logs=logs)


@pytest.mark.before("log-blocks")
def test_no_request_waits_for_a_line_to_be_printed(checkpoint):
    run = checkpoint.shared(visited)
    checkpoint.must(
        "in a request" not in run.waited,
        "log-blocks",
        seen="nothing was printed for two seconds, and the request that logged waited as long",
        expected="an answer at once; the lines come later",
        why="who prints waits for the terminal, the disk or the network; a visitor must not",
        do="a `QueueHandler` takes the lines, and the thread of a `QueueListener` prints them",
    )
    checkpoint.must(
        run.misfit.status == 200,
        "log-fails-request",
        seen="a request that logs `%d of them` about no number is answered with 500",
        expected="an answer, whatever becomes of the line",
        why="what a filter, a factory or OpenTelemetry's handler raises comes back to who logs",
        do="catch what `record.getMessage()` raises",
    )
    heard = any(LAST in str(line.body) for line in run.app.json_lines)
    untold = "enqueue_sentinel" in run.app.output  # in the traceback that `stop` leaves
    checkpoint.must(
        heard and not untold,
        "last-words",
        seen="`listener.stop` raised queue.Full" if untold else "what was logged last, before Ctrl-C, is not printed",
        expected="every line that waits in the queue, before the app ends",
        why="the thread that prints ends with the app, and takes along what waits; `stop` needs room in the queue to end it",
        do="`atexit.register(listener.stop)`, and a queue without a size: `enqueue` counts how many wait",
    )
    checkpoint.must(
        any(AT_THE_END in str(line.body) for line in run.app.json_lines),
        "last-words",
        seen="what is logged after the app's own end, as the SDK does when it could not send its last spans, is not printed",
        expected="that, too",
        why="what was registered with `atexit` first is called last, and the SDK was there before your app; it finds a queue "
        "whose thread has ended",
        do='`atexit.register(setattr, waiting, "enqueue", listener.handle)` in the line before `atexit.register(listener.stop)`',
    )


@pytest.mark.before("no-metric")
def test_a_full_queue_drops_lines_and_counts_them(checkpoint):
    run = checkpoint.shared(visited)
    printed, late = (sum(str(line.body).startswith(flood) for line in run.app.json_lines) for flood in FLOODS)
    checkpoint.must(
        "queue.Full" not in run.app.output,
        "full-queue",
        seen=f"--- Logging error ---, and queue.Full, {run.app.output.count('queue.Full')} times",
        expected="no word about a full queue where nothing can be printed",
        why="`QueueHandler` prints a traceback for each line that finds its queue full, in the thread of the request",
        do="override `enqueue`: where `self.queue.qsize()` is too much, count and go on; `Queue()` needs no size then",
    )
    checkpoint.must(
        printed < 2000,
        "queue-without-end",
        seen=f"{printed} lines waited, all that were logged",
        expected="at most 1000",
        why="a queue without an end takes all memory when nothing is printed for long, and the app ends",
        do="override `enqueue` of `QueueHandler`: hand on what finds less than a thousand, else count it",
    )
    counted = run.app.total("todo.log.dropped")
    checkpoint.must(
        counted >= 4000 - printed - late,
        "not-counted",
        seen=f"{4000 - printed - late} lines of 4000 were dropped, and todo.log.dropped is {counted}",
        expected="every dropped line is counted",
        why="whoever reads a log has to know that it has gaps",
    )
    if checkpoint.showing:
        show(checkpoint)


def show(checkpoint):
    """What the page shows: two lines of one request, in a file."""
    there = checkpoint.on_the_way("grep no-such-page")
    with there.serve("sh run.sh 2> lines.jsonl"):
        there.run("curl")
    there.run("grep '\"http")
    there.run("grep no-such-page")
