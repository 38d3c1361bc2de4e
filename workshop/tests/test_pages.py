"""INSTRUCTORS.md and CONTRIBUTING.md are true: their tables are computed, and what they say is done in fresh clones."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workshop.checks.process import environment
from workshop.course import lessons
from workshop.course.fences import parse
from workshop.course.replay import replay
from workshop.learner.workspace import files
from workshop.setup.uv import find_uv
from workshop.site import slides
from workshop.tests.learner import Learner
from workshop.tests.test_cloud import devcontainer, gitpod

INSTRUCTORS = (lessons.ROOT / "INSTRUCTORS.md").read_text(encoding="utf-8")
WIDTH = int(slides.CODE_WIDTH / slides.SMALLEST / slides.LETTER)  # characters of code beside each other on a slide
CONTRIBUTING = (lessons.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FENCE = re.compile(r'^(?P<fence>`{3,})(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?\n)(?P=fence)$', re.M | re.S)


def section(page: str, heading: str) -> str:
    """What stands below a heading; a heading within a block does not end it."""
    below = page.split(f"\n## {heading}\n")[1]
    within = [(block.start(), block.end()) for block in FENCE.finditer(below)]
    ends = (match.start() for match in re.finditer("^## ", below, re.M))
    return below[: next((end for end in ends if not any(start < end < stop for start, stop in within)), len(below))]


def blocks(text: str, language: str) -> list[str]:
    return [block["text"] for block in FENCE.finditer(text) if block["language"] == language and not block["title"]]


def sh(commands: str, folder: Path, env: dict[str, str]) -> str:
    """Run a block as it stands, every command of it successful."""
    command = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout


# The plans


def test_each_part_of_a_plan_has_half_as_much_time_again_as_one_who_reads_alone():
    rows = re.findall(r"^\| (\d+) \| .* \| (?!–)(.+) \|$", INSTRUCTORS, re.M)
    chapters = {path.relative_to(lessons.ROOT).as_posix() for path in lessons.chapters()}
    known = chapters | {lesson.name for lesson in lessons.lessons()}
    assert len(rows) > 15
    short = []
    for slot, names in rows:
        assert set(names.split(", ")) <= known
        within = tuple(f"{name}/" for name in names.split(", "))
        alone = sum(lesson.minutes for lesson in lessons.lessons() if f"{lesson.name}/".startswith(within))
        short += [f"{names}: {slot} minutes, alone {alone}"] if int(slot) < 1.5 * alone else []
    assert not short


def test_each_plan_adds_up():
    plans = re.findall(r"((?:^\|.*\n)+)\n.*?(\d+) minutes", INSTRUCTORS, re.M)
    slots = [re.findall(r"^\| (\d+) \|", table, re.M) for table, _ in plans]
    sums = [(sum(map(int, found)), int(said)) for found, (_, said) in zip(slots, plans) if found]
    assert len(sums) > 5 and all(slots == said for slots, said in sums), sums


def test_the_lines_of_a_class_are_counted(tmp_path):
    lines = [{"done": ["100/100"], "current": "100/200"}, {"done": ["100/100", "100/200"], "current": None}]
    (tmp_path / "class.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    export, count = blocks(section(INSTRUCTORS, "See how far a class is"), "shell")
    assert export == "workshop status --export\n"
    assert sh(count, tmp_path, environment()).splitlines() == ["  2 100/100", "  1 100/200"]


# A room without network, and a workspace that makes itself ready


def test_a_workspace_gets_ready_by_its_own_commands_with_what_is_brought_and_no_network(clone, tmp_path):
    home, bring = Path(shutil.move(clone, tmp_path / "home")), tmp_path / "bring"
    author = "-c user.name=someone -c user.email=someone@example.com"
    sh(f"git init -q && git add -A && git {author} commit -q -m all", home, environment())
    prepare, unpack = blocks(section(INSTRUCTORS, "A room without network"), "shell")
    sh(prepare, home, environment())
    shutil.rmtree(home)

    nowhere = "http://127.0.0.1:9"
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    away = {
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join([str(tools), os.defpath]),
        **dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "WORKSHOP_ARCHIVES"], nowhere),
        "GOPROXY": "off",
    }
    commands, own = devcontainer(), gitpod()["tasks"][0]
    assert own["init"] == commands["updateContentCommand"] == unpack.splitlines()[-1]
    said = sh(unpack, bring, away)
    assert "pip brings uv" in said and "Ready after " in said and "jaeger" not in said
    workspace = bring / "flask-opentelemetry"
    assert "Next: `workshop start 100/100`" in sh(f". ../class.sh\n{commands['postAttachCommand']}", workspace, away)
    assert "Next: `workshop start 100/100`" in sh(f". ../class.sh\n{own['command']}", workspace, away)
    assert not sh(". ../class.sh\nmake install", workspace, away)
    assert "packages | installing" in sh(". ../class.sh\nmake install-site", workspace, away)
    for file in [path for path in workspace.glob("[1-9]00/**/*requirements.txt") if sys.version_info < (3, 14)]:
        made = sh(f". ../class.sh\n.venv/bin/workshop environment {file.relative_to(workspace)}", workspace, away)
        assert (Path(made.strip()) / "bin" / "python").exists()

    (tools / "uv").symlink_to(find_uv().path)
    shutil.rmtree(workspace / ".venv")
    shutil.rmtree(bring / "cache" / "uv")
    said = sh(". ../class.sh\nmake install", workspace, away)
    assert "pip brings uv" not in said and "Ready after " in said


# A lesson, added as the page says


def test_a_lesson_that_is_added_as_the_page_says_is_a_lesson(clone):
    said = section(CONTRIBUTING, "Add a lesson, in ten lines")
    assert len(re.findall(r"^\d+\. ", said, re.M)) == 10
    for block in FENCE.finditer(said):
        if block["title"]:
            (clone / block["title"]).parent.mkdir(parents=True, exist_ok=True)
            (clone / block["title"]).write_text(block["text"], encoding="utf-8")
    [steps] = blocks(said, "shell")
    learner = Learner(clone)
    code = f"#!{sys.executable}\nimport sys, pytest\nsys.exit(pytest.main())\n"
    (clone / "bin" / "pytest").write_text(code, encoding="utf-8")
    (clone / "bin" / "pytest").chmod(0o755)
    learner.runs(f"workshop start {lessons.lessons(clone)[0].name}")
    printed = {step: learner.runs(step) for step in steps.splitlines()}
    lesson = lessons.find("400/900", clone)
    assert "1 passed" in printed["pytest --at start 400/900"]
    assert "4 passed" in printed["pytest --at end 400/900"]
    assert "✓ every robot is turned away" in printed["workshop check 400/900"]
    assert [block.text for block in lesson.blocks if block.kind == "output"] == ["User-agent: *\nDisallow: /"]
    assert "[400/900 Keep robots out](900/README.md)" in (clone / "400" / "README.md").read_text(encoding="utf-8")
    finished = replay(lessons.lessons(clone)[-1])
    assert {path.as_posix(): (clone / "src" / path).read_bytes() for path in files(clone / "src")} == finished
    assert "todo/static/robots.txt" in finished


@pytest.mark.parametrize("page", ["INSTRUCTORS.md", "CONTRIBUTING.md"])
def test_what_these_pages_name_exists(page):
    text = (lessons.ROOT / page).read_text(encoding="utf-8")
    made = {"400/900"} if page == "CONTRIBUTING.md" else set()
    folders = set(re.findall(r"(?<![\w/])(\d{3}(?:/\d{3})+)(?![\w/])", text)) - made
    paths = set(re.findall(r"`((?:workshop|\.github)/[\w./-]+)`", text)) | folders
    assert [path for path in sorted(paths) if not (lessons.ROOT / path).exists()] == []
    targets = re.findall(r"^([a-z-]+):", (lessons.ROOT / "Makefile").read_text(), re.M)
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= set(targets)


# Decks


@pytest.mark.parametrize("deck", slides.decks(), ids=lambda deck: deck.parent.name)
def test_no_line_of_code_is_wider_than_its_slide(deck):
    found, _ = parse(deck.read_text(encoding="utf-8"), f"{deck.parent.name}/slides.md")
    wide = [f"{block.where}:{block.line}: {line}" for block in found for line in block.lines if len(line) > WIDTH]
    assert not wide


def test_each_chapter_has_a_deck_whose_notes_ask_something_and_name_a_stumbling_block():
    assert [deck.parent.name for deck in slides.decks()] == [path.name for path in sorted(lessons.ROOT.glob("[1-9]00"))]
    for deck in slides.decks():
        for slide in slides.slides(deck.read_text(encoding="utf-8"))[1:-1]:
            notes = " ".join(slide.notes)
            assert "?" in notes and "Stumbling block: " in notes, f"{deck.parent.name}/slides.md:{slide.line}"
