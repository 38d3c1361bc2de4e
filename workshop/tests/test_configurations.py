"""Every file that a program of the repository reads is accepted by that program: the workshop's own, and those of each lesson."""

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from workshop.course import lessons
from workshop.course.fences import ROOT
from workshop.course.replay import replay

pytestmark = pytest.mark.xdist_group("configurations")


def asked(file: Path) -> tuple[str, list[str]] | None:
    """The program that reads a file, and the command of it that says whether it is right; None for any other file."""
    found = next(YAML(typ="safe").load_all(file), None)  # of several in one file none is of a program
    keys = set(found) if isinstance(found, dict) else set()
    if {"service", "extensions", "receivers"} <= keys and "jaeger_storage" in found["extensions"]:
        return "jaeger", ["jaeger", "validate", f"--config={file}"]
    if {"service", "receivers"} <= keys:
        return "collector", ["otelcol-contrib", "validate", f"--config={file}"]
    if "tests" in keys and "rule_files" in keys:
        return "prometheus", ["promtool", "test", "rules", str(file)]
    if keys & {"scrape_configs", "rule_files", "global", "otlp"}:
        return "prometheus", ["promtool", "check", "config", str(file)]
    if "groups" in keys:
        return "prometheus", ["promtool", "check", "rules", str(file)]
    return None


def problem(file: Path, brought) -> str:
    """What the program that reads a file has against it."""
    program, (tool, *arguments) = asked(file)
    done = subprocess.run([brought(program).with_name(tool), *arguments], capture_output=True, text=True)
    return f"{file.name}: {done.stdout}{done.stderr}" if done.returncode else ""


def folders(temporary: Path):
    """The folders with such files: the programs', those that lessons hand over, and `src/otel/` as it is after each lesson."""
    yield ROOT / "workshop" / "programs"
    yield from sorted({file.parent for chapter in ROOT.glob("[1-9]00") for file in chapter.rglob("*.y*ml")})
    seen = []
    for lesson in lessons.lessons():
        files = {name: data for name, data in replay(lesson).items() if name.startswith("otel/")}
        if files and files not in seen:
            seen.append(files)
            for name, data in files.items():
                file = temporary / lesson.name / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            yield temporary / lesson.name / "otel"


@pytest.mark.parametrize("program", ["jaeger", "collector", "prometheus"])
def test_each_program_accepts_all_that_it_reads(program, brought, tmp_path):
    # What a lesson hands over for its own blocks to mend is wrong on purpose; as it ends, it is among the others.
    mended = {lesson.folder / block.title for lesson in lessons.lessons() for block in lesson.blocks if block.kind == "change"}
    files = [file for folder in folders(tmp_path) for file in sorted(folder.glob("*.y*ml")) if file not in mended]
    read = [file for file in files if (asked(file) or [""])[0] == program]
    assert read, f"no file of {program} was found"
    assert [found for found in (problem(file, brought) for file in read) if found] == []


RULES = "groups: [{name: app, rules: [{alert: Down, expr: up == 0}]}]"
TEST = """
rule_files: [rules.yml]
tests: [{input_series: [{series: up, values: "0"}], alert_rule_test: [{eval_time: 0, alertname: Down, exp_alerts: [{}]}]}]
"""
WRONG = {
    "jaeger.yaml": (ROOT / "workshop/programs/jaeger.yaml", "exporters: [jaeger_storage_exporter]", "exporters: [debug]"),
    "collector.yaml": (ROOT / "workshop/programs/collector.yaml", "limit_mib", "limit_mb"),
    "prometheus.yml": (ROOT / "workshop/programs/prometheus.yml", "scrape_interval", "scrape_intervall"),
    "rules.yml": (RULES, "up == 0", "up == "),
    "rules.test.yml": (TEST, 'values: "0"', 'values: "1"'),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_it_is_found(name, brought, tmp_path):
    right, old, new = WRONG[name]
    right = right.read_text(encoding="utf-8") if isinstance(right, Path) else right
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / name).write_text(right)
    assert problem(tmp_path / name, brought) == ""
    assert right.count(old) == 1
    (tmp_path / name).write_text(right.replace(old, new))
    assert problem(tmp_path / name, brought)
