"""Each fact stands under its old and its stable name; with the stable names alone a search for an old one is blind."""

import re

import pytest

ROW = re.compile(r"^\| `([\w.]+)` \| `([\w.]+)`", re.MULTILINE)
SEARCHED = ("http.status_code", "http.response.status_code")
STABLE_ONLY = "OTEL_SEMCONV_STABILITY_OPT_IN=http,database"


def visit(checkpoint):
    """One run with the file's own value: the app, and the answer to a task that was added."""
    with checkpoint.serve(shown=True, jaeger=True) as app:
        added = app.submit("/add", {"text": "Buy milk"})
    return app, added


@pytest.mark.before("one-name")
def test_each_fact_stands_under_its_old_and_its_stable_name(checkpoint):
    app, added = checkpoint.shared(visit)

    both_names(checkpoint, app, added)
    old, stable = app.metric("http.server.duration"), app.metric("http.server.request.duration")
    assert (old.unit, stable.unit) == ("ms", "s")


@pytest.mark.before("one-name")
def test_with_stable_names_alone_a_search_for_an_old_one_finds_nothing(checkpoint):
    app, added = checkpoint.shared(visit)
    both_names(checkpoint, app, added)
    stored = app.in_jaeger(added)
    for name in SEARCHED:
        app.attribute(stored, name, 302)

    with checkpoint.serve(STABLE_ONLY, shown=True, jaeger=True) as app:
        added = app.submit("/add", {"text": "Buy milk"})
    stays = [name for span in seen(app, added) for name, _ in pairs(checkpoint) if name in span.attributes]
    checkpoint.must(
        not stays,
        "fixed-value",
        seen=f"{STABLE_ONLY} in front of `sh run.sh`, and still spans with {', '.join(sorted(set(stays))[:3])}",
        expected="the stable names, and none of the old ones",
        why="src/run.sh puts its own value over the one that it was given",
        do="write the value in src/run.sh as ${OTEL_SEMCONV_STABILITY_OPT_IN:-...}",
    )
    app.in_jaeger(added, name="POST /add")
    counts = [checkpoint.run(f"sh search.sh {name} 302").output.strip() for name in SEARCHED]
    checkpoint.must(
        counts == ["found: 0", "found: 1"],
        "search",
        seen=f"the search by the old name says {counts[0]!r}, the one by the stable name {counts[1]!r}",
        expected="0 by the old name, 1 by the stable one",
        why="src/search.sh counts the traces of the last run that have an attribute of that name and value",
    )


def pairs(checkpoint):
    """The rows of the lesson's table: old name, stable name."""
    return ROW.findall(checkpoint.lesson.readme.read_text(encoding="utf-8"))


def seen(app, answer):
    span = app.server_span(answer, name="POST /add", route="/add")
    return [span, *app.sql_below(span)]


def both_names(checkpoint, app, answer):
    for span in seen(app, answer):
        for old, stable in pairs(checkpoint):
            has_old, has_stable = old in span.attributes, stable in span.attributes
            checkpoint.must(
                has_stable or not has_old,
                "one-name",
                seen=f"{span.kind.upper()} span {span.name}: has {old}, and no {stable}",
                expected="both, for HTTP and for the database",
                why="stable names come only when they are asked for, and a word that nobody knows is ignored",
                do="let OTEL_SEMCONV_STABILITY_OPT_IN in src/run.sh list http/dup and database/dup, and export it",
            )
            checkpoint.must(
                has_old or not has_stable,
                "old-names-gone",
                seen=f"{span.kind.upper()} span {span.name}: has {stable}, and no {old}",
                expected="both, for a while",
                why="without /dup the old names go at once, and every search for one of them finds nothing",
                do="write http/dup and database/dup in src/run.sh",
            )
