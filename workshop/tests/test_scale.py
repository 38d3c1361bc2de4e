"""What lesson 300/900/500 hands over for containers and a cluster: valid, of the pinned versions, and with the lesson's own files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from workshop.course.fences import ROOT
from workshop.dev.opensearch import OPENSEARCH
from workshop.programs.program import find

FOLDER = ROOT / "300/900/500/src/scale"
COMPOSE, KUBERNETES = FOLDER / "compose.yaml", FOLDER / "kubernetes.yaml"


def validated(*command: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)


def composed(file: Path) -> subprocess.CompletedProcess:
    return validated("check_jsonschema", "--builtin-schema", "vendor.compose-spec", file)


def in_cluster(file: Path) -> subprocess.CompletedProcess:
    return validated("kubernetes_validate", "--strict", file)


@pytest.mark.parametrize(("check", "file"), [(composed, COMPOSE), (in_cluster, KUBERNETES)])
def test_it_fits_its_schema(check, file):
    done = check(file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Couldn't find schema" not in done.stdout + done.stderr  # of an unknown kind nothing is checked


@pytest.mark.parametrize(
    ("check", "file", "right", "wrong"),
    [(composed, COMPOSE, "mem_limit:", "mem_limits:"), (in_cluster, KUBERNETES, "replicas: 2", "replica: 2")],
)
def test_a_misspelt_key_would_be_noticed(check, file, right, wrong, tmp_path):
    broken = tmp_path / file.name
    broken.write_text(file.read_text(encoding="utf-8").replace(right, wrong, 1), encoding="utf-8")
    done = check(broken)
    assert done.returncode == 1 and wrong.partition(":")[0] in done.stdout + done.stderr


@pytest.mark.parametrize("file", [COMPOSE, KUBERNETES], ids=lambda file: file.name)
def test_its_images_are_those_of_the_workshop(file):
    images = set(re.findall(r"image: (\S+)", file.read_text(encoding="utf-8")))
    ours = {image for image in images if image.startswith(("otel/", "jaegertracing/"))}
    assert ours == {find("collector").image_tag, find("jaeger").image_tag}
    # The store in the version that `make test-opensearch` runs.
    assert images - ours - {"todo:1"} == {f"opensearchproject/opensearch:{OPENSEARCH.version}"}


def test_all_of_compose_comes_with_the_profile_and_nothing_but_loopback_is_published():
    services = YAML(typ="safe").load(COMPOSE)["services"]
    assert {tuple(service["profiles"]) for service in services.values()} == {("scale",)}
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))


@pytest.mark.parametrize("file", [COMPOSE, KUBERNETES], ids=lambda file: file.name)
def test_its_collectors_read_what_the_lesson_writes_and_are_told_all_that_it_asks_for(file):
    text = file.read_text(encoding="utf-8")
    configured = set(re.findall(r"--config=/etc/\w+/([\w-]+\.yaml)", text))
    assert configured == {"agent.yaml", "gateway.yaml", "jaeger-opensearch.yaml"}
    page = (ROOT / "300/900/500/README.md").read_text(encoding="utf-8")
    assert all(f'title="src/otel/{name}"' in page for name in configured - {"jaeger-opensearch.yaml"})
    for needed in ("COLLECTOR_HOST", "COLLECTOR_DATA", "GATEWAYS", "JAEGER", "OPENSEARCH"):
        assert re.search(rf"\b{needed}\b", text)
