"""docker-compose.yml: valid, with each program as its own file has it, on loopback only, and with no name that clones share."""

import re
import subprocess
import sys
from pathlib import Path

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


def settable(program: Program, name: str) -> str:
    """A port as the file has it: the one that a variable names, else the usual one."""
    return f"${{{program.setting(f'{name}_port')}:-{program.numbers[name]}}}"


def inside(program: Program) -> dict[str, object]:
    """What the words of the program's arguments stand for in its container."""
    service = compose()["services"][program.name]
    hosted = service.get("network_mode") == "host"
    ports = {name: settable(program, name) if hosted else port for name, port in program.numbers.items()}
    target = service["volumes"][0]["target"] if program.configuration else ""
    file = f"{target}/{Path(program.default).name}" if program.default else target
    return {"host": "127.0.0.1" if hosted else "0.0.0.0", "configuration": file, "data": "/data", **ports}


def test_without_a_name_it_is_jaeger_alone():
    plain = [name for name, service in compose()["services"].items() if "profiles" not in service]
    assert plain == ["jaeger"]
    assert {name: service.get("profiles", [name]) for name, service in compose()["services"].items()} == {
        name: [name] for name in compose()["services"]
    }


def test_what_a_page_starts_by_name_is_there():
    pages = {path: path.read_text(encoding="utf-8") for path in ROOT.glob("[1-4]00/**/*.md")}
    started = r"^docker compose (?:up(?: -\S+)*|exec(?: -\S+)*) ([a-z][\w-]*)"
    named = {(path, name) for path, text in pages.items() for name in re.findall(started, text, re.MULTILINE)}
    assert "llm" in {name for _, name in named}
    assert {(path, name) for path, name in named if name not in compose()["services"]} == set()


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

    def test_it_listens_on_loopback_alone_under_its_own_numbers(self, program: Program):
        service = compose()["services"][program.name]
        if service.get("network_mode") == "host":
            assert "ports" not in service and inside(program)["host"] == "127.0.0.1"
            return
        published = {f"127.0.0.1:{settable(program, name)}:{port}" for name, port in program.numbers.items()}
        assert set(service["ports"]) == published

    def test_the_container_starts_as_every_other_way_does(self, program: Program):
        arguments = [argument.format(**inside(program)) for argument in program.arguments]
        assert compose()["services"][program.name]["command"] == arguments

    def test_the_container_reads_the_file_that_every_other_way_reads(self, program: Program):
        service = compose()["services"][program.name]
        if not program.configuration:
            assert "volumes" not in service
            return
        mount, file = service["volumes"][0], ROOT / (program.default or program.configuration)
        if program.default:
            given, _, usual = mount["source"].removeprefix("${").removesuffix("}").partition(":-")
            assert given == program.setting("folder") and (ROOT / usual / file.name).samefile(file)
        else:
            assert (ROOT / mount["source"]).samefile(file)
        assert mount["read_only"] is True
        assert mount["bind"] == {"create_host_path": False}

    def test_its_configuration_finds_its_ports_and_folders_in_the_environment(self, program: Program):
        given = compose()["services"][program.name].get("environment", {})
        text = (ROOT / (program.default or program.configuration or "Makefile")).read_text(encoding="utf-8")
        for setting in re.findall(rf"\$\{{env:({program.name.upper()}_\w+)", text):
            assert setting in given or inside(program)["host"] == "0.0.0.0"
        for name, setting in ((name, program.setting(f"{name}_port")) for name in program.ports):
            assert given.get(setting, settable(program, name)) == settable(program, name)

    def test_its_memory_is_limited(self, program: Program):
        assert compose()["services"][program.name]["mem_limit"]

    def test_it_listens_on_the_ports_of_its_file(self, program: Program):
        """By its arguments, or by its configuration."""
        file = program.default or program.configuration
        text = (ROOT / file).read_text(encoding="utf-8") if file else ""
        for name, port in program.ports.items():
            host, setting = program.setting("host"), program.setting(f"{name}_port")
            configured = text.count(f"${{env:{host}:-127.0.0.1}}:${{env:{setting}:-{port.number}}}")
            given = sum(argument.count(f"{{host}}:{{{name}}}") for argument in program.arguments)
            assert configured + given == 1 or port.optional
