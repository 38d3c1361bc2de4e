"""Every picture of a lesson: complete in itself, for light and dark pages, and told in words."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from workshop.course.fences import ROOT
from workshop.course.lessons import find

DRAWINGS = sorted(ROOT.glob("[0-9]00/**/*.svg"))


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_drawing_needs_nothing_from_elsewhere_and_is_told_in_words(path: Path):
    text = path.read_text(encoding="utf-8")
    drawing = ElementTree.fromstring(text)
    names = {element.tag.rpartition("}")[2]: "".join(element.itertext()).strip() for element in drawing}
    assert names["title"] and names["desc"]
    assert "@media(prefers-color-scheme:dark)" in text.replace(" ", "")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg\")|@import|@font-face|<script|<image|\bdata:", text)
    page = (path.parent / "README.md").read_text(encoding="utf-8")
    alternative = re.search(rf"!\[([^\]]+)\]\({re.escape(path.name)}\)", page)
    assert alternative and len(alternative[1].split()) >= 5


def test_the_change_that_is_explained_is_one_of_a_lesson():
    drawing = ElementTree.parse(ROOT / "300" / "change.svg").getroot()
    texts = [(text.get("class"), text.text) for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    shown, sign = [], ""
    for kind, text in texts:
        if kind == "sign":
            sign = text if text in ("+", "-") else " "
        elif kind == "code":
            shown.append(sign + text)
    changes = [set(block.lines) for block in find("300/200/200").blocks if block.title == "src/todo/__init__.py"]
    assert len(shown) == 5 and any(set(shown) <= lines for lines in changes)
