"""Environments of pinned packages in the user's cache: one for each content, made once."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from workshop.cli import _say_earlier_packages as say_earlier_packages
from workshop.cli import main
from workshop.course.fences import ROOT
from workshop.setup import environments
from workshop.setup.environments import EnvironmentFailed

OLD = "300/400/600/old-requirements.txt"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, list[str]]]:
    """What would have been installed: the environment's folder and the files' names."""
    calls = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make = lambda folder, *files, progress: calls.append((folder, [file.name for file in files]))  # noqa: E731
    monkeypatch.setattr(environments, "make_environment", make)
    return calls


def test_the_same_files_give_the_same_folder_and_other_content_gives_another(made: list, tmp_path: Path):
    base, more = tmp_path / "base.txt", tmp_path / "more.txt"
    base.write_text("flask==3.1.3\n")
    more.write_text("click==8.5.1\n")
    both = environments.environment_of(base, more, progress=print)
    assert made == [(both, ["base.txt", "more.txt"])]
    assert environments.environment_of(base, more, progress=print) == both
    assert environments.environment_of(base, progress=print) != both
    more.write_text("click==8.5.2\n")
    assert environments.environment_of(base, more, progress=print) != both


def test_the_command_prints_the_folder_alone_on_standard_output(made: list):
    done = CliRunner().invoke(main, ["environment", OLD])
    assert done.exit_code == 0
    assert done.stdout.strip() == str(environments.environment_of(ROOT / OLD, progress=print))


def test_the_command_takes_several_files_for_one_environment(made: list):
    done = CliRunner().invoke(main, ["environment", "requirements.txt", OLD])
    assert done.exit_code == 0
    assert [files for _, files in made] == [["requirements.txt", "old-requirements.txt"]]


def test_only_a_terminal_is_told_how_far_it_is(made: list, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environments, "make_environment", lambda *_, progress: progress("installing"))
    assert CliRunner().invoke(main, ["environment", OLD]).stderr == ""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True, raising=False)
    assert CliRunner().invoke(main, ["environment", OLD]).stderr == "installing\n"


def test_a_file_that_is_not_there_is_named(made: list):
    done = CliRunner().invoke(main, ["environment", "300/400/600/none.txt"])
    assert (done.exit_code, done.stdout, made) == (1, "", [])
    assert "300/400/600/none.txt" in done.stderr and str(ROOT) in done.stderr


def test_what_an_installer_said_is_told_without_a_traceback(made: list, monkeypatch: pytest.MonkeyPatch):
    def fails(*_, **__):
        raise EnvironmentFailed("The disk is full.")

    monkeypatch.setattr(environments, "make_environment", fails)
    done = CliRunner().invoke(main, ["environment", OLD])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: The disk is full.\n"


def test_who_jumps_over_a_lesson_hears_which_packages_it_installs(toy, capsys):
    toy.write("requirements.txt", "click==8.5.1\nno-such-base==1\n")
    for name in ("100/100", "100/200", "100/300"):
        toy.page(name, f"# {name}\n")
    for name in ("100/200", "100/300"):
        toy.write(f"{name}/requirements.txt", f"no-such-package-of-{name[4:]}==1\n")
    say_earlier_packages(toy.lesson("100/300"))
    assert " ".join(capsys.readouterr().out.split()) == (
        "Packages of every lesson are missing here, and src/ needs them from here on, too: `make install`. "
        "Packages that 100/200 installs are missing here, and src/ needs them from here on, too: "
        "`pip install --require-hashes -r 100/200/requirements.txt`."
    )
