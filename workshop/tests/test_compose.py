"""docker-compose.yml: valid, with each program as its own file has it, on loopback only, and with no name that clones share."""

import re
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from workshop.course.fences import ROOT
from workshop.programs.program import Program, programs

COMPOSE = ROOT / "docker-compose.yml"
CONTAINED = [program for program in programs().values() if program.image]


def compose() -> dict:
    return YAML(typ="safe").load(COMPOSE)


def validate(file) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", file]
    return subprocess.run(command, capture_output=True, text=True)


def test_it_fits_the_compose_schema():
    assert validate(COMPOSE).returncode == 0, validate(COMPOSE).stdout


def test_the_schema_would_notice_a_mistake(tmp_path):
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(COMPOSE.read_text(encoding="utf-8").replace("create_host_path: false", "create_host_path: [no]"))
    assert validate(broken).returncode == 1


def test_no_project_container_or_volume_has_a_name_that_another_clone_would_share():
    file = compose()
    assert "name" not in file
    named = [part for kind in ("services", "volumes", "networks") for part in (file.get(kind) or {}).values() if part]
    assert [part for part in named if {"name", "container_name"} & set(part)] == []


@pytest.mark.parametrize("program", CONTAINED, ids=lambda program: program.name)
class TestEachProgram:
    def test_its_container_is_the_pinned_version(self, program: Program):
        assert compose()["services"][program.name]["image"] == program.image_tag

    def test_its_version_is_written_in_no_other_place(self, program: Program):
        machinery = [
            *ROOT.glob("workshop/**/*.py"),
            *ROOT.glob("workshop/**/*.yaml"),
            ROOT / "Makefile",
            ROOT / "pyproject.toml",
        ]
        machinery += [*ROOT.glob(".ci/*"), *ROOT.glob(".github/workflows/*")]
        machinery = [path for path in machinery if "tests" not in path.parts]
        pinned = re.compile(rf"(?<![\d.]){re.escape(program.version)}(?![\d.])")
        naming = {path.name for path in machinery if pinned.search(path.read_text(encoding="utf-8"))}
        assert naming == {f"{program.name}.py"}

    def test_every_port_is_published_on_loopback_under_its_own_number(self, program: Program):
        published = {
            f"127.0.0.1:${{{program.setting(f'{name}_port')}:-{port}}}:{port}" for name, port in program.numbers.items()
        }
        assert set(compose()["services"][program.name]["ports"]) == published

    def test_the_container_reads_the_file_that_every_other_way_reads(self, program: Program):
        service = compose()["services"][program.name]
        mount = next(mount for mount in service["volumes"] if mount["type"] == "bind")
        assert (ROOT / mount["source"]).samefile(ROOT / program.configuration)
        arguments = [argument.format(configuration=mount["target"]) for argument in program.arguments]
        assert service["command"] == arguments
        assert mount["read_only"] is True
        assert mount["bind"] == {"create_host_path": False}
        assert service["environment"] == {program.setting("host"): "0.0.0.0"}

    def test_its_memory_is_limited(self, program: Program):
        assert compose()["services"][program.name]["mem_limit"]

    def test_its_configuration_uses_the_ports_of_its_file(self, program: Program):
        text = (ROOT / program.configuration).read_text(encoding="utf-8")
        for name, port in program.numbers.items():
            host, setting = program.setting("host"), program.setting(f"{name}_port")
            assert text.count(f"${{env:{host}:-127.0.0.1}}:${{env:{setting}:-{port}}}") == 1
