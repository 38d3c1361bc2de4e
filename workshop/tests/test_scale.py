"""What lesson 300/900/500 hands over for containers and a cluster: valid, of the pinned versions, and with the lesson's own files."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from workshop.course import lessons
from workshop.course.fences import ROOT
from workshop.dev.opensearch import OPENSEARCH
from workshop.diagnosis.answering import ANSWERS
from workshop.diagnosis.facts import Facts, Response, climb
from workshop.diagnosis.stages import expanded
from workshop.diagnosis.starting import STARTS
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


# What psycopg says, as it stands on the terminal of an app that logs lines of JSON.
CONNECTION = (
    'sqlalchemy.exc.OperationalError: (psycopg.OperationalError) connection failed: connection to server at \\"127.0.0.1\\"'
)
REFUSED = f"{CONNECTION}, port 5432 failed: Connection refused\\n\\tIs the server running on that host"
FULL = f"{CONNECTION}, port 5432 failed: FATAL:  sorry, too many clients already\\n"
CUT = "sqlalchemy.exc.OperationalError: (psycopg.OperationalError) server closed the connection unexpectedly\\n"
FAILED = [Response("GET", "/", "workshop-check/1", (200,), status=500)]


@pytest.mark.parametrize(
    ("stage", "said", "rung", "seen"),
    [
        (STARTS, REFUSED, "database-away", "Connection refused"),
        (STARTS, FULL, "too-many-connections", "too many clients"),
        (ANSWERS, REFUSED, "database-away", "Connection refused"),
        (ANSWERS, FULL, "too-many-connections", "too many clients"),
        (ANSWERS, CUT, "stale-connection", "status 500"),
    ],
)
def test_a_postgresql_that_is_away_at_the_start_and_in_the_middle_is_named(stage, said, rung, seen):
    listened = stage is ANSWERS
    facts = Facts(
        "300/900/500",
        "sh scale.sh",
        {"scale.sh": ""},
        f'{{"message": "Exception on / [GET]", "exception": "{said}"}}\n',
        listened=listened,
        exit_code=None if listened else 3,
        responses=FAILED if listened else [],
    )
    found = climb(facts, expanded(lessons.find("300/900/500"), [stage]))
    assert found.rung == rung and seen in found.seen
    well = climb(
        replace(facts, listened=True, exit_code=0, responses=[replace(FAILED[0], status=200)]),
        expanded(lessons.find("300/900/500"), [ANSWERS]),
    )
    assert not well or well.rung not in ("database-away", "stale-connection")
