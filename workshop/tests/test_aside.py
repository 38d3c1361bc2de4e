"""What is said after a green check about things that the check has set aside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from workshop.checks import aside
from workshop.course.pins import BASE, Packages, compared
from workshop.tests.conftest import Toy


def database(path: Path, *tables: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as made:
        for table in tables:
            made.execute(f"CREATE TABLE {table}")
        made.commit()
    return path


MADE = ("task (id, text, done_at)", "step (id, task_id)")


def test_a_database_of_older_models_is_named_with_what_it_lacks_and_the_way_out(tmp_path: Path):
    made = database(tmp_path / "check.db", *MADE)
    own = database(tmp_path / "src" / "instance" / "todo.db", "task (id, text)")
    before = own.read_bytes()
    (said,) = aside.stale_databases(tmp_path / "src", [made])
    assert "src/instance/todo.db" in said and "no task.done_at" in said
    assert "`mv src/instance/todo.db src/instance/todo.db.old`" in said and "old tasks stay" in said
    assert own.read_bytes() == before


@pytest.mark.parametrize("tables", [MADE, MADE[:1], ("task (id, text, done_at, more)",), ("other (id)",), ()])
def test_a_database_that_the_app_can_use_is_no_news(tmp_path: Path, tables: tuple[str, ...]):
    made = database(tmp_path / "check.db", *MADE)
    database(tmp_path / "src" / "instance" / "todo.db", *tables)
    assert aside.stale_databases(tmp_path / "src", [made]) == []


def test_what_is_no_database_and_a_check_without_one_are_no_news(tmp_path: Path):
    own = tmp_path / "src" / "instance" / "todo.db"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"no database at all")
    assert aside.stale_databases(tmp_path / "src", [database(tmp_path / "check.db", *MADE)]) == []
    assert aside.stale_databases(tmp_path / "src", [tmp_path / "none.db"]) == []
    assert not (tmp_path / "none.db").exists()


def test_a_misspelt_setting_is_said_though_all_telemetry_came(tmp_path: Path):
    script = tmp_path / "run.sh"
    script.write_text(
        "export OTEL_LOG_EXPORTER=none\nexport OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true\nflask run\n"
    )
    (said,) = aside.unread_settings(script)
    assert said.startswith("src/run.sh:1: no package reads OTEL_LOG_EXPORTER. Is OTEL_LOGS_EXPORTER meant?")
    assert aside.unread_settings(tmp_path / "none.sh") == []


def test_packages_that_drifted_are_named_with_the_file_that_pins_them(bare: Toy):
    bare.page("100/100", "# One\n")
    bare.page("100/200", "# Two\n")
    bare.write(BASE, "flask==3.1.3 \\\n    --hash=sha256:0\n")
    bare.write(f"100/100/{BASE}", "Opentelemetry_SDK==1.45.1\n")
    bare.write(f"100/200/{BASE}", "later==1\n")
    site = bare.root / "venv" / "lib" / "python3.99" / "site-packages"
    for name, version in {"Flask": "3.1.3", "opentelemetry-sdk": "1.45.2"}.items():
        bare.write(
            site / f"{name}-{version}.dist-info" / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    found = compared(bare.lesson("100/100"), bare.root / "venv")
    assert (found.absent, found.drifted) == ([], ["opentelemetry-sdk"])
    (said,) = aside.drifted(found)
    assert "opentelemetry-sdk 1.45.2 (pinned: 1.45.1)" in said
    assert f"`pip install --require-hashes -r 100/100/{BASE}`" in said
    assert aside.drifted(Packages({"flask": "3"}, {"flask": "3"})) == aside.drifted(Packages({}, {"flask": "3"})) == []
    assert "`make install`" in aside.drifted(Packages({"x": "1"}, {"flask": "3"}, {"flask": BASE}))[0]
