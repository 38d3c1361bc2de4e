"""Dev container, Gitpod and workflows, held against their schemas, against the repository and against themselves."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from workshop.checks.process import environment
from workshop.checks.sandbox import ADVISOR, APP
from workshop.course import lessons
from workshop.programs.jaeger import JAEGER

ROOT = lessons.ROOT
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SITE = 8000


def devcontainer() -> dict:
    """The dev container's settings; a line that begins with // is a comment there."""
    lines = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8").splitlines()
    return json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))


def read(path: Path) -> dict:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def gitpod() -> dict:
    return read(ROOT / ".gitpod.yml")


# Workspaces


def test_every_port_that_the_workshop_opens_is_forwarded_under_a_name_and_no_other():
    found = devcontainer()
    ports = [APP, ADVISOR, JAEGER.ports["query"].number, SITE]
    assert found["forwardPorts"] == ports
    assert list(found["portsAttributes"]) == [str(port) for port in ports]
    assert all(about["label"] for about in found["portsAttributes"].values())
    assert found["otherPortsAttributes"] == {"onAutoForward": "ignore"}
    assert [about["port"] for about in gitpod()["ports"]] == ports


def test_what_takes_long_is_done_where_prebuilds_do_it():
    found = devcontainer()
    assert found["updateContentCommand"] == "make install"
    assert not {"onCreateCommand", "postCreateCommand", "postStartCommand"} & set(found)


def test_the_python_of_the_dev_container_is_one_that_the_pins_are_made_for():
    minor = int(re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:3\.(\d+)-bookworm", devcontainer()["image"])[1])
    assert 10 <= minor <= 14


def test_the_first_lesson_is_opened_at_first_and_not_again_later(tmp_path):
    first = f"{lessons.lessons()[0].name}/README.md"
    found = devcontainer()
    assert found["customizations"]["codespaces"]["openFiles"] == [first]
    for name, text in {"code": 'echo "opens $*"', ".venv/bin/workshop": "echo the map"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    def attached(path: str) -> str:
        command, env = ["sh", "-c", found["postAttachCommand"]], {"PATH": path}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout

    assert attached(f"{tmp_path}:{os.defpath}") == f"opens {first}\nthe map\n"
    assert attached(os.defpath) == "the map\n"
    (tmp_path / ".saved").mkdir()
    (tmp_path / ".saved" / "progress.json").touch()
    assert attached(f"{tmp_path}:{os.defpath}") == "the map\n"


# Workflows


def jsonschema(schema: str, *paths: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_the_workflows_fit_their_schema_and_every_job_ends_in_time(schema):
    done = jsonschema(schema, *WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_of_dependabot_fits():
    done = jsonschema("vendor.dependabot", ROOT / ".github" / "dependabot.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def unknown_names(workflow: dict) -> list[str]:
    """What a job's expressions name and nothing defines: a key of its matrix, a step, a job that it needs."""
    found = []
    for job in workflow["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        known = {
            "matrix": {*matrix, *(name for more in matrix.get("include", []) for name in more)},
            "steps": {step.get("id") for step in job["steps"]},
            "needs": {*([needs] if isinstance(needs := job.get("needs", []), str) else needs)},
        }
        for expression in re.findall(r"\$\{\{(.*?)\}\}", json.dumps(job)):
            for kind, name in re.findall(r"\b(matrix|steps|needs)\.([\w-]+)", expression):
                found += [] if name in known[kind] else [f"{kind}.{name}"]
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_expressions_of_a_workflow_name_what_there_is(path):
    assert unknown_names(read(path)) == []


def test_a_misspelt_name_in_an_expression_is_seen():
    text = (ROOT / ".github" / "workflows" / "lessons.yml").read_text(encoding="utf-8")
    broken = YAML(typ="safe").load(text.replace("matrix.python }}", "matrix.pyhton }}"))
    assert "matrix.pyhton" in unknown_names(broken)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_may_do_only_what_they_must(path):
    used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert used and all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in used), used
    workflow = read(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"] == ({"issues": "write"} if name == "tell" else {"contents": "read"})
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_lessons_are_run_on_the_oldest_and_the_newest_python_on_both_roads_and_on_a_mac():
    matrix = read(ROOT / ".github" / "workflows" / "lessons.yml")["jobs"]["lessons"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.10", "3.12", "3.14"]
    assert matrix["jaeger"] == ["from Docker", "without Docker"]
    assert [more["os"] for more in matrix["include"]] == ["macos-15"]


# The weekly run


def step(name: str) -> dict:
    jobs = read(ROOT / ".github" / "workflows" / "newest.yml")["jobs"].values()
    return next(step for job in jobs for step in job["steps"] if step.get("name") == name)


def bash(commands: str, folder: Path, **env: str) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    path = os.pathsep.join([str(folder / "bin"), environment()["PATH"]])
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", commands],
        cwd=folder,
        env={**environment(), "PATH": path, **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def tool(folder: Path, name: str, says: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "{Path(name).name} $*" >> "{folder}/commands.txt"\n{says}\n')
    path.chmod(0o755)


def test_the_weekly_run_takes_the_newest_but_keeps_upper_bounds(tmp_path):
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    tool(tmp_path, "bin/python", "")
    tool(tmp_path, "bin/make", "")
    bash(step("Pin the newest")["run"], tmp_path)
    wanted = re.search(r"^dependencies = \[\n(.*?)^\]", (tmp_path / "pyproject.toml").read_text(), re.M | re.S)[1]
    assert "==" not in wanted and "~=" not in wanted
    assert '"opentelemetry-sdk>=1.' in wanted and '"sqlalchemy<2.1"' in wanted
    assert "make pins pins-site UPGRADE=--upgrade" in (tmp_path / "commands.txt").read_text()


@pytest.mark.parametrize("fails", ["", "--at end", "--at start", "site"])
def test_the_weekly_run_sums_up_what_came_of_it(tmp_path, fails):
    says = f'echo "made of $*"; case "$*" in *"{fails or "nothing"}"*) exit 1;; esac'
    tool(tmp_path, ".venv/bin/python", says)
    tool(tmp_path, "bin/make", says)
    tool(tmp_path, "bin/git", "printf -- '-flask==3.1.3 \\\\\\n+flask==3.2.0 \\\\\\n+    --hash=sha256:0\\n'")
    run = step("Lessons both ways, and the site")["run"]
    bash(run, tmp_path, GITHUB_STEP_SUMMARY="page.md", GITHUB_OUTPUT="output")
    output = (tmp_path / "output").read_text()
    assert output.startswith(f"green={'false' if fails else 'true'}\nsummary<<END-OF-SUMMARY\nWhat changed:\n")
    assert "\n-flask==3.1.3\n+flask==3.2.0\n```\n" in output
    ran = ["-m pytest -q --tb=line --at end 100", "-m pytest -q --tb=line --at start 100", "site"]
    assert all(f"made of {what}" in output for what in ran)
    assert (tmp_path / "page.md").read_text() in output


@pytest.mark.parametrize(
    "green, there, expected",
    [
        ("true", "", []),
        ("true", "7", ["gh issue close 7 --comment Green again: https://run"]),
        ("false", "", ["gh issue create --title Newest releases --body-file body.md"]),
        ("false", "7", ["gh issue edit 7 --body-file body.md"]),
        ("", "", ["gh issue create --title Newest releases --body-file body.md"]),
    ],
)
def test_the_weekly_run_keeps_one_issue(tmp_path, green, there, expected):
    tool(tmp_path, "bin/gh", f'case "$2" in list) echo "{there}";; esac')
    tell = step("Open the summary, renew it, or close it")
    env = {"TITLE": tell["env"]["TITLE"], "GREEN": green, "SUMMARY": "what $(came) `of` it", "RUN": "https://run"}
    bash(tell["run"], tmp_path, **env)
    listed, *done = (tmp_path / "commands.txt").read_text().splitlines()
    assert listed.startswith("gh issue list --state open") and '.title == "Newest releases"' in listed
    assert done == expected
    assert (tmp_path / "body.md").read_text() == "https://run\n\nwhat $(came) `of` it\n"
