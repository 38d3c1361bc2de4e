"""The diff that a learner reads and an author pastes."""

from __future__ import annotations

import random

import pytest

from workshop.course.difference import between, hunks
from workshop.course.fences import Block
from workshop.course.replay import apply


def pasted(old: list[str], lines: list[str]) -> list[str]:
    """`old` after the lines of a ```diff block."""
    state = {"file": "".join(f"{line}\n" for line in old).encode()}
    apply(Block("here", 1, "diff", "src/file", "change", tuple(lines)), state)
    return state["file"].decode().splitlines()


def test_nothing_lies_between_equal_files():
    assert between({}) == ""


def test_a_changed_file_is_shown_with_its_hunks():
    mine = b"one\ntwo\nthree\nfour\n...\nfive\nsix\nseven\neight\n"
    theirs = b"one\n2\nthree\nfour\n...\nfive\nsix\n7\neight\n"
    assert between({"todo/views.py": (mine, theirs)}).splitlines() == [
        "src/todo/views.py",
        " one",
        "-two",
        "+2",
        " three",
        " four",
        "@@",
        " five",
        " six",
        "-seven",
        "+7",
        " eight",
    ]


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        (b"x\n", None, "src/f: only yours; the lesson has no such file"),
        (b"\xff", b"x\n", "src/f: differs, and is not text"),
        (None, b"\xff", "src/f: missing, and is not text"),
        (None, b"a\nb\n", "src/f: missing; it begins\n+a\n+b"),
        (None, b"a\n" * 13, "src/f: missing; it begins\n" + "+a\n" * 12 + "…"),
        (
            b"a\r\nb\r\n",
            b"a\nb\n",
            "src/f: differs only in how lines end (CRLF or LF, or a last line that does not end)",
        ),
        (b"a\nb", b"a\nb\n", "src/f: differs only in how lines end (CRLF or LF, or a last line that does not end)"),
        (b"", b"a\n", "src/f\n+a"),
    ],
)
def test_what_is_no_simple_change_is_said_in_a_sentence(mine, theirs, expected):
    assert between({"f": (mine, theirs)}) == expected


def test_names_that_no_terminal_can_show_are_shown_somehow():
    text = between({"caf\udce9.txt": (b"x", None), "ünï code.txt": (b"x", None)})
    assert text.encode().decode() == text
    assert "src/ünï code.txt: only yours" in text


def test_a_hunk_gets_as_much_context_as_it_needs_to_fit_one_place():
    old = ["a", "b", "", "def x():", "    pass", "", "def y():", "    pass", "", "end"] * 3
    for at in (0, 5, 15, 25, 30):
        new = [*old[:at], "new", *old[at:]]
        assert pasted(old, hunks(old, new)) == new


def test_what_is_shown_can_be_pasted_whatever_was_changed():
    dice = random.Random(4318)
    for _ in range(200):
        old = [dice.choice(["", "x", "    return 1", "def a():", f"line {number}"]) for number in range(dice.randint(1, 30))]
        old[dice.randrange(len(old))] = "something to hold on to"
        new = [line for line in old if dice.random() > 0.1]
        new.insert(dice.randint(0, len(new)), "+ added")
        assert pasted(old, hunks(old, new)) == new
