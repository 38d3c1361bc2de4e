"""The rooms of the machinery: which there are, and that each imports only from those above it in the list of its README."""

import re
import subprocess
import sys
from pathlib import Path

from workshop.course.fences import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def contract() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0]


def test_a_room_imports_only_from_rooms_above_it():
    command = Path(sys.prefix) / "bin" / "lint-imports"
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_has_the_rooms_in_the_order_of_the_contract():
    listed = re.findall(r"^(\w+)/ ", (ROOT / "workshop" / "README.md").read_text(encoding="utf-8"), re.M)
    folders = {path.parent.name for path in (ROOT / "workshop").glob("*/__init__.py")}
    assert listed == [room for room in reversed(contract()["layers"]) if room in folders]
    assert set(listed) == folders
