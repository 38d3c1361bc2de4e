"""Time is played to the learner's rules: series of hours and days, and what Prometheus's own test makes of them."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

from workshop.diagnosis.read_files import stumbled
from workshop.programs.methods import obtain
from workshop.programs.prometheus import PROMETHEUS

if TYPE_CHECKING:
    from workshop.checks.checkpoint import Checkpoint

WRONG = re.compile(
    r'expr: "(?P<query>.*?) # (?P<of>.*?)", time: (?P<time>\w+),\s+exp: \S+ (?P<wanted>\S+)\s+got: (?P<got>\S+(?: \S+)?)'
)


def seconds(duration: str) -> float:
    """A duration as Prometheus writes it, such as `1h30m`, in seconds."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))


def evaluated_soon(text: str, at_most: float = 300) -> str:
    """A configuration, or rules, that are evaluated five times a second: a check does not wait for the next time.

    What is evaluated more rarely than every `at_most` seconds stays as it is."""

    def soon(every: re.Match) -> str:
        return f"{every[1]}: {'200ms' if seconds(every[2]) <= at_most else every[2]}"

    return re.sub(r"\b((?:evaluation_)?interval): (\w+)", soon, text)


def asked(query: str, of: str, moment: str, value: float) -> dict:
    """A question for `promql_expr_test`: a query that comes to one value without labels at that moment. `of` says what it is about."""
    return {"expr": f"{query} # {of}", "eval_time": moment, "exp_samples": [{"labels": "{}", "value": round(value, 3)}]}


def play(checkpoint: Checkpoint, scenarios: dict[str, list[dict]]) -> list[re.Match]:
    """Play scenarios, by how often rules are evaluated in them, to the learner's rules: the questions that got a wrong answer.

    Raises Broken when promtool cannot read the rules."""
    folder = checkpoint.folder / "otel"
    files = {f"check-{interval}.yml": (interval, tests) for interval, tests in scenarios.items()}
    rules = _rule_files(checkpoint)
    for name, (interval, tests) in files.items():
        kept = {"rule_files": rules, "evaluation_interval": interval, "tests": tests}
        (folder / name).write_text(json.dumps(kept))  # JSON is YAML, too
    command = [obtain(PROMETHEUS).with_name("promtool"), "test", "rules", *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    for name in files:
        (folder / name).unlink()
    found = list(WRONG.finditer(done.stdout + done.stderr))
    if done.returncode and not found:
        _refused(checkpoint, done.stdout + done.stderr)
    return found


def _rule_files(checkpoint: Checkpoint) -> list[str]:
    """The files that prometheus.yml names; where it names none, all that look like rules."""
    folder = checkpoint.folder / "otel"
    text = re.sub(r"#.*", "", checkpoint.sandbox.files().get("otel/prometheus.yml", ""))
    named = re.findall(r"[\w./*?-]+\.ya?ml\b", text)
    there = sorted(
        {path.relative_to(folder).as_posix() for pattern in named for path in folder.glob(pattern.removeprefix("/"))}
    )
    return there or [
        path.name for path in sorted(folder.glob("*.y*ml")) if re.search(r"^groups:", path.read_text(), re.MULTILINE)
    ]


def _refused(checkpoint: Checkpoint, said: str) -> None:
    """promtool could not read the rules: say where."""
    file = re.search(r"([\w.-]+\.ya?ml): ", said)
    place, problem = stumbled(said, f"otel/{file[1]}" if file else "otel/rules.yml", checkpoint.sandbox.files())
    checkpoint.must(
        False,
        "rules-refused",
        seen=f"{place}: {problem}" if place else said.strip()[-300:],
        expected="rules that Prometheus can read",
        why="with one rule that cannot be read, Prometheus does not start",
        do=f"mend {place}; `workshop tool promtool check rules src/otel/rules.yml` says the same",
    )
