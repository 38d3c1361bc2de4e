"""Every picture of a lesson: complete in itself, for light and dark pages, and told in words."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from workshop.course.fences import ROOT
from workshop.course.lessons import lessons

DRAWINGS = [path for lesson in lessons() for path in sorted(lesson.folder.glob("*.svg"))]


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
