"""One pin per program, and every road agrees with it."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from workshop.course.fences import ROOT
from workshop.programs.program import JAEGER, PROGRAMS, this_platform


def test_container_archive_and_go_build_are_the_pinned_version():
    compose = YAML(typ="safe").load(ROOT / "docker-compose.yml")
    assert compose["services"]["jaeger"]["image"] == "jaegertracing/jaeger:2.13.0" == JAEGER.image_tag
    assert JAEGER.archive_name("linux-amd64") == "jaeger-2.13.0-linux-amd64.tar.gz"
    assert JAEGER.archive_member("darwin-arm64") == "jaeger-2.13.0-darwin-arm64/jaeger"
    assert JAEGER.archive_sums == "jaeger-2.13.0.sha256sum.txt"
    assert JAEGER.go_flags.endswith("/internal/version.latestVersion=v2.13.0")


def test_the_version_is_written_in_no_other_place():
    machinery = [*ROOT.glob("workshop/*.*"), ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob(".ci/*")]
    naming = {path.name for path in machinery if path.is_file() and "2.13.0" in path.read_text(encoding="utf-8")}
    assert naming == {"programs.py"}


def test_release_and_module_bear_the_same_tag():
    assert JAEGER.archive.folder.rsplit("/", 1)[1] == JAEGER.go.version


@pytest.mark.parametrize(
    "system, machine, name",
    [
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Darwin", "x86_64", "darwin-amd64"),
        ("Linux", "riscv64", "linux-riscv64"),
    ],
)
def test_platforms_have_the_names_of_the_archives(monkeypatch, system, machine, name):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert this_platform() == name


def test_a_mirror_takes_the_place_of_the_archive_host(monkeypatch):
    monkeypatch.delenv("WORKSHOP_ARCHIVES", raising=False)
    path = "jaegertracing/jaeger/releases/download/v1.76.0/some.tar.gz"
    assert JAEGER.archive_address("some.tar.gz") == f"https://github.com/{path}"
    monkeypatch.setenv("WORKSHOP_ARCHIVES", "http://127.0.0.1:8080/mirror/")
    assert JAEGER.archive_address("some.tar.gz") == f"http://127.0.0.1:8080/mirror/{path}"


def test_every_program_is_found_by_its_own_name():
    assert {name: program.name for name, program in PROGRAMS.items()} == {"jaeger": "jaeger"}


def test_what_runs_before_the_installation_needs_nothing_but_python():
    names = ["programs.roads", "setup.install"]
    imports = "; ".join(f"import workshop.{name}" for name in names)
    # -S leaves out the packages of this environment, -I the folders that the shell names.
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {imports}; print(*sys.modules)"
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    done = subprocess.run([base, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"\b(click|psutil|rich|flask|requests)\b", done.stdout)
