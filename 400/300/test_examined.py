"""An app that nobody had instrumented tells as much as it should, and tells it well."""

import json
from dataclasses import dataclass

import pytest

EXAMINE = "workshop examine --folder mine --signals"
WANTED = 90
# In ms. No batch leaves by chance between the last request and SIGTERM; no worker is forked while gunicorn's first process exports.
LONG = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_METRIC_EXPORT_INTERVAL": "60000"}


@dataclass
class Examined:
    """What `workshop examine` says, by id."""

    score: float
    ladder: list[dict]
    rules: dict[str, dict]
    findings: list[dict]


def examined(checkpoint) -> Examined:
    checkpoint.sandbox.use_ports()  # as an app that is served has: what else runs here may have the text's
    said = checkpoint.run(EXAMINE, whole=True, **LONG).output
    found = json.loads(said[said.index("{") :])
    rules = {rule["id"]: rule for rule in found["rules"]}
    return Examined(found["score"]["value"] or 0, found["ladder"], rules, found["findings"])


def climbed(checkpoint) -> Examined:
    """What was said of an app of which every rung holds."""
    found = checkpoint.shared(examined)
    broken = next((rung for rung in found.ladder if rung["state"] == "failed"), None)
    checkpoint.must(
        not broken,
        f"{broken and broken['id']}-broken",
        seen=broken and broken["seen"],
        expected=broken and broken["title"],
        why="each rung stands on those before it: this is the first broken one of the app in src/mine/",
        do=broken and broken["do"],
        lesson=broken and broken["lesson"],
    )
    return found


@pytest.mark.before("exporter-broken")
def test_every_rung_holds(checkpoint):
    climbed(checkpoint)
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("exporter-broken")
def test_the_score_is_90_or_more_and_not_by_silence(checkpoint):
    found = climbed(checkpoint)
    silent = next((rule for rule in ("SPA-004", "MET-002") if found.rules[rule]["state"] == "open"), "")
    asked = {one["id"]: one["state"] for one in found.findings}
    checkpoint.must(
        not silent and asked["n-plus-1"] != "open",
        "told-less",
        seen=f"{silent} could not be asked: {found.rules[silent]['seen']}" if silent else "no statement below a request",
        expected="spans of requests, of their statements, and metrics",
        why="a rule that is not asked is not broken either: who tells nothing breaks no rule",
        do="leave traces and metrics on in src/mine/run.sh, and let SQLAlchemy be instrumented",
    )
    broken = [f"{rule['id']} {rule['title']}: {rule['seen']}" for rule in found.rules.values() if rule["state"] == "failed"]
    checkpoint.must(
        found.score >= WANTED,
        "score-low",
        seen=f"a score of {found.score:.0f}\n" + "\n".join(broken),
        expected=f"{WANTED} or more",
        why="each broken rule costs its points; what is open costs none",
        do="this is your own step of the lesson: a span around the start, and no metrics in units that are none",
    )


@pytest.mark.before("exporter-broken")
def test_nothing_hides_in_it(checkpoint):
    found = climbed(checkpoint)
    hidden = next((one for one in found.findings if one["state"] == "failed"), None)
    checkpoint.must(
        not hidden,
        f"{hidden and hidden['id']}-found",
        seen=hidden and hidden["seen"],
        expected=hidden and hidden["title"],
        why="no rule of the score asks for it, and it hurts all the same",
        do=hidden and hidden["do"],
        lesson=hidden and hidden["lesson"],
    )


def show(checkpoint):
    """What the page shows of the app before anything was changed."""
    there = checkpoint.on_the_way("workshop examine --folder mine -- sh run.sh")
    there.sandbox.use_ports()
    there.run("workshop examine --folder mine -- sh run.sh")
    there.run("OTEL_SERVICE_NAME=mine workshop examine --folder mine -- opentelemetry-instrument sh run.sh")
    there.run("OTEL_METRICS_EXPORTER=none")
    there.run("OTEL_SERVICE_NAME=mine workshop examine --folder mine --signals", **LONG)
