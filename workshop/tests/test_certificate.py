"""The certificate says what the learner's record says, and nothing that a name could make of it."""

import json
import re
from datetime import datetime, timezone
from xml.etree import ElementTree

import pytest

from workshop.errors import UserError
from workshop.learner import certificate
from workshop.learner.workspace import Proof

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def proved(toy):
    """Two of three lessons are green, one of them by a trace."""
    toy.workspace.start(toy.lesson("100/100"))
    toy.workspace.mark_done(toy.lesson("200/100"))
    toy.workspace.mark_done(toy.lesson("100/100"), TRACE)
    return toy.workspace


def test_it_lists_what_is_proved_when_and_by_which_trace(toy):
    made = certificate.of(proved(toy))
    today = datetime.now(timezone.utc).date().isoformat()
    assert [(lesson.name, proof.at[:10], proof.trace) for lesson, proof in made.proved] == [
        ("100/100", today, TRACE),
        ("200/100", today, ""),
    ]
    assert made.summary.startswith("2 of 3 lessons")
    for drawn in (certificate.page(made), "\n".join(certificate.lines(made))):
        assert all(word in drawn for word in ("100/100", "Hello", "200/100", "Last", today, TRACE))
    assert "Change" not in certificate.page(made) + certificate.svg(made)


def test_a_second_green_check_changes_neither_the_day_nor_the_trace(toy):
    workspace = proved(toy)
    before = workspace.proofs()
    workspace.mark_done(toy.lesson("100/100"), "another")
    assert workspace.proofs() == before


def test_what_was_proved_before_days_were_kept_counts_too(toy):
    toy.write(".saved/progress.json", '{"current": "100/100", "done": ["100/100", "gone/100"]}')
    assert [(lesson.name, proof) for lesson, proof in certificate.of(toy.workspace).proved] == [("100/100", Proof())]
    toy.workspace.mark_done(toy.lesson("200/100"), TRACE)
    assert toy.workspace.progress()["done"] == ["100/100", "gone/100", "200/100"]


@pytest.mark.parametrize("broken", [[], 5, {"100/100": []}, {"100/100": {"at": 5}}])
def test_broken_proofs_count_as_unknown(toy, broken):
    toy.write(".saved/progress.json", json.dumps({"current": None, "done": ["100/100"], "proofs": broken}))
    assert certificate.svg(certificate.of(toy.workspace)).startswith("<svg")


def test_without_a_proof_there_is_none(toy):
    with pytest.raises(UserError, match="no lesson is proved yet"):
        certificate.of(toy.workspace)


@pytest.mark.parametrize("name", ["", "Ada Lovelace", "<script>alert(1)</script>", "عمر الخيّام", "N" * 400, "two\nlines\t&"])
def test_a_name_is_text_and_fits(toy, name):
    made = certificate.of(proved(toy), name)
    root = ElementTree.fromstring(certificate.svg(made))
    shown = " ".join(name.split()) or "A learner"
    [line] = [text for text in root.iter("{http://www.w3.org/2000/svg}text") if text.text == shown]
    assert float(line.get("font-size")) * len(shown) * 0.5 < 800
    page = certificate.page(made)
    assert "<script" not in page and not re.search(r"\b(?:src|href)=", page)


def test_both_say_that_nobody_supervised_it(toy):
    made = certificate.of(proved(toy))
    assert "Nobody supervised it" in certificate.svg(made) and "Nobody supervised it" in certificate.page(made)
