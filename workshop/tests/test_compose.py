"""docker-compose.yml: valid, the same Jaeger with the same configuration as on every other road, on loopback only."""

import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from workshop.course.fences import ROOT
from workshop.programs.jaeger import CONFIGURATION
from workshop.programs.program import JAEGER

COMPOSE = ROOT / "docker-compose.yml"


@pytest.fixture
def service() -> dict:
    return YAML(typ="safe").load(COMPOSE)["services"]["jaeger"]


def validate(file) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", file]
    return subprocess.run(command, capture_output=True, text=True)


def test_it_fits_the_compose_schema():
    assert validate(COMPOSE).returncode == 0, validate(COMPOSE).stdout


def test_the_schema_would_notice_a_mistake(tmp_path):
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(COMPOSE.read_text(encoding="utf-8").replace("create_host_path: false", "create_host_path: [no]"))
    assert validate(broken).returncode == 1


def test_every_port_is_published_on_loopback_under_its_own_number(service):
    names = {
        "query": "JAEGER_QUERY_PORT",
        "health": "JAEGER_HEALTH_PORT",
        "grpc": "JAEGER_GRPC_PORT",
        "http": "JAEGER_HTTP_PORT",
    }
    assert set(service["ports"]) == {f"127.0.0.1:${{{names[what]}:-{port}}}:{port}" for what, port in JAEGER.ports.items()}


def test_the_container_reads_the_file_that_every_road_reads(service):
    (mount,) = service["volumes"]
    assert (ROOT / mount["source"]).samefile(CONFIGURATION)
    assert service["command"] == [f"--config={mount['target']}"]
    assert mount["read_only"] is True
    assert mount["bind"] == {"create_host_path": False}
    assert service["environment"] == {"JAEGER_HOST": "0.0.0.0"}


def test_memory_is_limited(service):
    assert service["mem_limit"] == "512m"


def test_the_configuration_uses_the_ports_of_the_table():
    text = CONFIGURATION.read_text(encoding="utf-8")
    for what, port in JAEGER.ports.items():
        assert text.count(f"${{env:JAEGER_HOST:-127.0.0.1}}:${{env:JAEGER_{what.upper()}_PORT:-{port}}}") == 1
