"""What a green check has set aside and would bite when the app is started by hand.

A check runs a copy of `src/` with a database of its own, and run.sh is read only where telemetry is missing. So after a green
check the learner's own database is compared with the one that the app made for the check, names of settings with those
that packages read, and the packages that are installed with the pins. Each note says what to do; none makes a check red.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from workshop.course.lessons import Lesson
from workshop.course.pins import Packages
from workshop.diagnosis import settings

SHOWN = 3


def notes(lesson: Lesson, made: list[Path], packages: Packages) -> list[str]:
    """What to say after a green check of a lesson; `made` are the databases that the app made for the check."""
    return [*stale_databases(lesson.root / "src", made), *unread_settings(lesson.root / "src" / "run.sh"), *drifted(packages)]


def stale_databases(src: Path, made: list[Path]) -> list[str]:
    """The learner's own databases that lack a column which the app now asks for. They are opened to be read only."""
    wanted: dict[str, set[str]] = {}
    for path in filter(Path.exists, made):  # a check may have taken a table away from one of them
        for table, columns in _columns(path).items():
            wanted.setdefault(table, set()).update(columns)
    told = []
    for path in sorted((src / "instance").glob("*.db")):
        own = _columns(path)
        lacks = [f"{table}.{column}" for table in wanted if table in own for column in sorted(wanted[table] - own[table])]
        if lacks:
            name = f"src/instance/{path.name}"
            told.append(
                f"Your own database {name} is older than your models: it has no {' and no '.join(lacks[:SHOWN])}, and the app "
                f"will fail on it. The check used one of its own. `mv {name} {name}.old` lets the app make a new one at its "
                "next start; its list is empty, and the old tasks stay in the file that you moved."
            )
    return told


def unread_settings(script: Path) -> list[str]:
    """Names in run.sh that no package reads and that resemble one that is read."""
    if not script.exists():
        return []
    found = settings.read(script.read_bytes().decode(errors="replace")).values()
    return [
        f"{setting.where}: no package reads {setting.name}. Is {settings.misspelt(setting.name)} meant? The check missed nothing by it."
        for setting in found
        if settings.misspelt(setting.name)
    ]


def drifted(packages: Packages) -> list[str]:
    """Packages that are installed in other versions than the pinned ones, or not at all."""
    wrong = [*packages.absent, *packages.drifted] if packages.installed else []
    if not wrong:
        return []
    shown = ", ".join(
        f"{name} {packages.installed.get(name, 'is missing')} (pinned: {packages.pinned[name]})" for name in wrong[:SHOWN]
    )
    more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return [f"Your packages are not those of the lessons: {shown}{more}. `{packages.cure(wrong[0])}` installs them."]


def _columns(path: Path) -> dict[str, set[str]]:
    """The columns of each table of an SQLite file; none where it cannot be read as one."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {
                table: {row[1] for row in database.execute("SELECT * FROM pragma_table_info(?)", (table,))} for table in tables
            }
    except sqlite3.Error:
        return {}
