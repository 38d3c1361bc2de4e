"""The packages are there, belong together, and are ones that the instrumentations know.

This lesson changes nothing in `src/`. Before it, each check looks at an environment in which its fault is caused.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

from workshop.checks.sandbox import END, START
from workshop.course import lessons


def looks_installed(checkpoint, name, version, *needs):
    """What an app would see if this version of a package were installed; nothing but metadata, in front of all others."""
    folder = checkpoint.folder.parent / "overlay" / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
    (folder / "RECORD").touch()
    return {"PYTHONPATH": str(folder.parent)}


def report(checkpoint):
    """What the doctor prints; before the lesson, with two packages of the wrong version."""
    broken = {}
    if checkpoint.at == START:
        looks_installed(checkpoint, "opentelemetry-sdk", "1.43.0")
        broken = looks_installed(checkpoint, "sqlalchemy", "2.1.9")
    return checkpoint.run("workshop doctor", **broken).output.splitlines()


def finding(checkpoint, name):
    """What the doctor says under this name: its first word, ok or not, and the text."""
    return next(line.split(maxsplit=2) for line in checkpoint.shared(report) if line.split()[1:2] == [name])


@pytest.mark.before("dependencies")
def test_pip_finds_nothing_missing(checkpoint):
    broken = looks_installed(checkpoint, "flask-wtf", "1.3.0", "flask-of-tomorrow") if checkpoint.at == START else {}
    said = checkpoint.run("pip check", **broken).output.strip()
    checkpoint.must(
        "No broken requirements" in said,
        "dependencies",
        seen=said[:200],
        expected="No broken requirements found.",
        why="a package needs another one that is not there, or is there in a version that it does not take",
        do="run `make install`",
    )


@pytest.mark.before("release")
def test_all_opentelemetry_packages_are_of_one_release_train(checkpoint):
    state, _, said = finding(checkpoint, "release")
    checkpoint.must(
        state == "ok",
        "release",
        seen=said,
        expected="one release train: 1.N with 0.(N+21)b",
        why="the packages call each other's inner parts, which change with every release",
        do="run `make install`",
    )
    checkpoint.run("pip freeze")


@pytest.mark.before("sqlalchemy-out-of-range")
def test_sqlalchemy_is_one_that_is_instrumented(checkpoint):
    state, _, said = finding(checkpoint, "sqlalchemy")
    checkpoint.must(
        state == "ok",
        "sqlalchemy-out-of-range",
        seen=said,
        expected="a version inside the range of opentelemetry-instrumentation-sqlalchemy",
        why="outside of it the instrumentation does nothing, and says so in one line only",
        do="run `make install`",
    )
    checkpoint.run("python -c")


@pytest.mark.before("not-installed")
def test_the_environment_was_made_from_the_pinned_files(checkpoint):
    prefix = Path(sys.prefix)
    if checkpoint.at != "mine":
        prefix = fresh_environment(checkpoint, filled=checkpoint.at == END)
    missing = [name for name in ("flask", "opentelemetry-instrument", "workshop") if not (prefix / "bin" / name).exists()]
    checkpoint.must(
        not missing,
        "not-installed",
        seen=f"the environment {prefix.name} has no {', '.join(missing)}",
        expected="the commands flask, opentelemetry-instrument and workshop",
        why="the pinned packages are not in it, or not all of them",
        do="run the two `pip install` lines of the lesson, or `make install`",
        lesson="300/100",
    )


def fresh_environment(checkpoint, filled):
    """Run the lesson's own lines in a folder that holds what they need."""
    folder = checkpoint.folder.parent / "clone"
    shutil.copytree(lessons.ROOT / "workshop", folder / "workshop", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.txt", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(lessons.ROOT / name, folder / name)
    prefix = folder / ".venv"
    path = os.pathsep.join([str(prefix / "bin"), os.environ["PATH"]])
    checkpoint.run("python3 -m venv", folder=folder)
    if filled:
        checkpoint.run("pip install", folder=folder, seconds=300, PATH=path, VIRTUAL_ENV=str(prefix))
    return prefix
