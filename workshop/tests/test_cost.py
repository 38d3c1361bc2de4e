"""What telemetry costs is measured mode by mode, kept, read again and drawn; no test asserts how long anything took."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from workshop import cli
from workshop.checks.checkpoint import Checkpoint
from workshop.course import lessons
from workshop.errors import UserError
from workshop.scenarios import cost
from workshop.scenarios.cost import Row, Table

LESSON = "300/900/300"
OFF = Row("off", 200, 6, 20, 4, 90, 1.5, 0)
OTLP = Row("otlp", 150, 7, 30, 5, 140, 2, 1200)
TABLE = Table(30, "2 cores", [OFF, OTLP])


def run(*options: str):
    return CliRunner().invoke(cli.main, ["cost", *options], prog_name="workshop")


def test_a_mode_without_telemetry_sends_nothing_and_one_with_it_does():
    lesson, said = lessons.find(LESSON), []
    make = lambda folder: Checkpoint(lesson, "end", folder, lambda name: None)  # noqa: E731
    table = cost.measure(make, ["off", "otlp"], rate=20, seconds=0.5, progress=said.append)
    off, otlp = table.rows
    assert (off.mode, otlp.mode) == ("off", "otlp") and len(said) == 2
    assert off.sent == 0 < otlp.sent
    assert all(row.p50 > 0 and row.memory > 10 and row.start > 0 for row in table.rows)


def test_src_without_modes_is_told_which_lesson_writes_them():
    make = lambda folder: Checkpoint(lessons.find(LESSON), "start", folder, lambda name: None)  # noqa: E731
    with pytest.raises(UserError, match=r"no src/modes\.sh.*300/900/300"):
        cost.measure(make, ["off"], rate=20, seconds=0.5)


def test_of_several_rounds_the_best_counts_in_each_column():
    other = Row("off", 180, 5, 25, 3, 95, 1, 0)
    assert OFF.best(other) == other.best(OFF) == Row("off", 200, 5, 20, 3, 90, 1, 0)


def test_a_kept_table_is_the_same_when_it_is_read(tmp_path):
    TABLE.write(tmp_path / "mine.json")
    assert Table.read(tmp_path / "mine.json") == TABLE
    shown = run("--read", str(tmp_path / "mine.json"), "--svg", str(tmp_path / "mine.svg")).output
    assert re.search(r"otlp .* 5\.0 +0\.80 +150 +7 +30 +140 +2\.0 +1200$", shown, re.MULTILINE)
    assert (tmp_path / "mine.svg").read_text(encoding="utf-8") == cost.svg(TABLE)


@pytest.mark.parametrize("text", ["", "[]", '{"rate": 1}', '{"rate": 1, "machine": "", "rows": [{"mode": "off"}]}'])
def test_what_is_no_table_is_refused_with_its_file(tmp_path, text):
    file = tmp_path / "mine.json"
    file.write_text(text, encoding="utf-8")
    found = run("--read", str(file))
    assert found.exit_code and "mine.json holds no table" in found.output.replace("\n", " ")


def test_a_mode_that_there_is_not_is_refused_with_those_that_there_are():
    found = run("--modes", "off,otpl")
    assert found.exit_code and "'otpl' is no mode" in found.output and "console" in found.output


def test_bars_are_as_long_as_what_they_stand_for():
    drawing = ElementTree.fromstring(cost.svg(replace(TABLE, machine="<2> & more")))
    bars = [float(bar.get("width")) for bar in drawing.iter("{http://www.w3.org/2000/svg}rect") if bar.get("class") == "bar"]
    assert bars[0] / bars[1] == pytest.approx(0.8, abs=0.01)
    assert "batch, OTLP: 5.0 ms" in drawing.find("{http://www.w3.org/2000/svg}desc").text
